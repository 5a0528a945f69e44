"""How many tokens the prompt of a request takes, guessed from its bytes: for every row, before anything is sent.

A local rule, since the API's tokenizers are not public. It was fitted to an older one of Claude that is (PyPI `anthropic` 0.38.0,
`tokenizer.json`), on texts of many scripts; docs/decisions/0042-an-estimate-is-a-ratio.md has the figures, and
`python -m tests.estimates` prints them. What rows really take replaces it as soon as some were answered.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Sequence
from functools import lru_cache
from math import ceil
from typing import NamedTuple

from batchdrop.formats.file_source import pinned_in, without_sources

GUESS_LOW = 0.6
"""Of a guess: what a prompt takes at least, by the texts measured and a margin for tokenizers that are not known."""
GUESS_HIGH = 1.7
"""Of a guess: what a prompt takes at most, likewise."""
GUESS_MOST = 2.5
"""Of a guess: what no prompt takes more of. Random letters as text take twice as much as they are guessed."""
# Anthropic, "Token counting": models from 4.7 on take about 30 % more tokens for the same text.
_NEWER_PERCENT = 130
_VERSION = re.compile(r"-(\d{1,2})(?:-(\d{1,2}))?(?!\d)")

_LETTERS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ "
_ASCII = bytes(range(0x80))
_NOT_ASCII = bytes(range(0x80, 0x100))
_ASCII_AND_CONTINUATION = bytes(range(0xC0))
_LETTERS_AND_NOT_ASCII = _LETTERS + _NOT_ASCII
_TWO_BYTES = bytes(range(0xC2, 0xE0))
# Tokens of a thousand characters: ASCII letters and spaces, other ASCII, Latin with accents, Cyrillic, other scripts from Greek
# to Arabic, Hindi to Thai, Japanese syllables, emoji, and Chinese, Korean and signs of all scripts. Where some letters have
# accents, those without take more tokens than in English, too: that is counted with the accents.
_PER_LETTER = 215
_PER_SIGN = 600
_PER_ACCENT = 1800
_PER_CYRILLIC = 600
_PER_TWO = 1000
_PER_INDIC = 1400
_PER_KANA = 1000
_PER_EMOJI = 3000
_PER_WIDE = 1300
# Where fewer of the bytes are backslashes, those of `\u2019` count for about what it means.
_MANY_ESCAPES = 32
# Of `\u005f`, which may stand in a name: so may any letter.
_ESCAPED_ASCII = b"\\00"
# `"max_tokens"` as `_LETTERS` leave it, and every other name with one underline.
_UNDERLINED = b'"_"'
# `{"role":"user","content":"..."}` as `_LETTERS` leave it. It takes some four tokens, not those of its signs.
_BLOCK = b'{"":"","":"'
_BLOCK_LETTERS = 15
_PER_BLOCK = 4_000
# The fields around the messages, and what the API puts around a prompt.
_FRAME_SIGNS = 26
_FRAME_LETTERS = 45
_TOKENS_OF_A_PROMPT = 8
# Anthropic, "Tool use", pricing: what tools add as a system prompt, the most of any model.
_TOKENS_OF_TOOLS = 530

# Anthropic, "Vision": the most an image takes on models from 4.7 on, and on older ones.
_TOKENS_OF_AN_IMAGE = 4_784
_TOKENS_OF_AN_OLDER_IMAGE = 1_568
# Anthropic, "PDF support": a page takes 1,500 to 3,000 tokens of text, and its image; a request may have 600 of them.
_TOKENS_OF_A_PAGE = 3_000
_MOST_PAGES = 600
# Anthropic, "Vision": an image takes a token for each square of so many pixels, after it was scaled down to this long edge.
_SQUARE = 28
_LONG_EDGE = 2_576
_OLDER_LONG_EDGE = 1_568
# Of a document that is elsewhere, or that does not show how many it has.
_PAGES_OF_A_DOCUMENT = 10
# `%PDF-` in base64, but for the last bits.
_PDF = b"JVBERi"
# PDF 32000-1, 7.7.3.3. It is not seen of pages that are compressed.
_PAGE = re.compile(rb"/Type\s*/Page(?![A-Za-z])")

_IMAGE_OR_DOCUMENT = re.compile(rb'"type"\s*:\s*"(image|document)"')
_BASE64 = re.compile(rb'"data"\s*:\s*"([A-Za-z0-9+/=\\]{64,})"')
# Of what is beside the text. In a text the second quote has a backslash before it.
_NAMES = re.compile(rb'"(tools|source|inference_geo|cache_control)"')
_GEO = re.compile(rb'"inference_geo"\s*:\s*"us"')


class Look(NamedTuple):
    tokens: int
    us: bool
    """It asks to run in the United States alone."""
    caches: bool
    """It asks for its prompt to be cached."""


def guess_tokens(params: bytes, model: str) -> int:
    """Tokens of the prompt of a request, system text and tools included."""
    return look(params, model).tokens


def guess_text(text: bytes) -> int:
    """Tokens of a text that is sent whole, in UTF-8: those of older models."""
    letters, signs, thousandths = _split(text)
    return (letters * _PER_LETTER + len(signs) * _PER_SIGN + max(thousandths, 0) + 500) // 1_000


def most_of(guess: int) -> int:
    """What a prompt takes at most of which so many tokens were guessed."""
    return int(guess * GUESS_HIGH)


def look(params: bytes, model: str) -> Look:
    """What a request tells of its price. `params` is sound JSON."""
    params, parts = _parts(params)
    signs = parts.signs
    if signs.count(_UNDERLINED) <= 1 and signs.count(b"[") <= 1:
        return Look(_tokens(parts, 1, model), us=False, caches=False)
    names = set(_NAMES.findall(params))
    fixed = _TOKENS_OF_TOOLS if b"tools" in names else 0
    if b"source" in names:
        tokens, params = _sources(params, model)
        fixed += tokens
        parts = _split(params)
    us = b"inference_geo" in names and _GEO.search(params) is not None
    return Look(_tokens(parts, 1, model) + fixed, us, b"cache_control" in names)


def guess_together(requests: Sequence[bytes], model: str) -> Look | None:
    """The sum of many looks in half of their time, but for rounding. None: they differ in more than their texts."""
    params, parts = _parts(b"".join(requests))
    signs, number = parts.signs, len(requests)
    caches = False
    if signs.count(_UNDERLINED) > number or signs.count(b"[") > number:
        names = set(_NAMES.findall(params))
        caches = names == {b"cache_control"} and all(b'"cache_control"' in one for one in requests)
        if names and not caches:
            return None
    return Look(_tokens(parts, number, model), us=False, caches=caches)


class _Parts(NamedTuple):
    letters: int
    signs: bytes
    """What is left of ASCII without `_LETTERS`."""
    others: int
    """Thousandths of tokens of what is not ASCII."""


def _parts(params: bytes) -> tuple[bytes, _Parts]:
    """With them the params, without escapes where these matter."""
    parts = _split(params)
    if _ESCAPED_ASCII not in parts.signs and parts.signs.count(b"\\") * _MANY_ESCAPES <= len(params):
        return params, parts
    plain = params.translate(None, _NOT_ASCII).decode("raw_unicode_escape", "replace")
    # In an order of no meaning.
    params = plain.encode(errors="surrogatepass") + params.translate(None, _ASCII)
    return params, _split(params)


def _split(params: bytes) -> _Parts:
    if params.isascii():
        signs = params.translate(None, _LETTERS)
        return _Parts(len(params) - len(signs), signs, 0)
    signs = params.translate(None, _LETTERS_AND_NOT_ASCII)
    others, size = _other_scripts(params)
    return _Parts(len(params) - len(signs) - size, signs, others)


def _tokens(parts: _Parts, requests: int, model: str) -> int:
    """Of texts."""
    letters, signs, thousandths = parts
    blocks = signs.count(_BLOCK)
    letters -= requests * _FRAME_LETTERS + blocks * _BLOCK_LETTERS
    number = len(signs) - signs.count(b"\\") - requests * _FRAME_SIGNS - blocks * len(_BLOCK)
    thousandths += letters * _PER_LETTER + number * _PER_SIGN + blocks * _PER_BLOCK
    # Of requests shorter than the frame is taken to be, nothing is left.
    return (max(thousandths, 0) * _percent(model) + 50_000) // 100_000 + requests * _TOKENS_OF_A_PROMPT


def _other_scripts(params: bytes) -> tuple[int, int]:
    """Thousandths of tokens of what is not ASCII, and its bytes."""
    leads = params.translate(None, _ASCII_AND_CONTINUATION)
    above_two = leads.translate(None, _TWO_BYTES)
    two = len(leads) - len(above_two)
    accents = cyrillic = indic = kana = emoji = 0
    if two:
        accents = leads.count(b"\xc3") + leads.count(b"\xc2") + leads.count(b"\xc4") + leads.count(b"\xc5")
        cyrillic = leads.count(b"\xd0") + leads.count(b"\xd1")
    if above_two:
        indic = above_two.count(b"\xe0") + above_two.count(b"\xe1")
        kana = above_two.count(b"\xe3")
        emoji = above_two.count(b"\xf0")
    thousandths = (
        accents * _PER_ACCENT
        + cyrillic * _PER_CYRILLIC
        + (two - accents - cyrillic) * _PER_TWO
        + indic * _PER_INDIC
        + kana * _PER_KANA
        + emoji * _PER_EMOJI
        + (len(above_two) - indic - kana - emoji) * _PER_WIDE
    )
    return thousandths, 2 * two + 3 * len(above_two) + emoji


def _sources(params: bytes, model: str) -> tuple[int, bytes]:
    """The most that images and documents take, and the params without their data."""
    kinds = [found[1] for found in _IMAGE_OR_DOCUMENT.finditer(params)]
    images, documents = kinds.count(b"image"), kinds.count(b"document")
    if not kinds:
        return 0, params
    newer = _percent(model) == _NEWER_PERCENT
    per_image = _TOKENS_OF_AN_IMAGE if newer else _TOKENS_OF_AN_OLDER_IMAGE
    shown: list[int] = []
    known = 0
    if files := pinned_in(params):
        params = without_sources(params)
        images -= sum(1 for file in files if file.width)
        shown = [file.pages for file in files if not file.width]
        known = sum(file.tokens for file in files) * _percent(model) // 100
        known += sum(_tokens_of_image(file.width, file.height, newer=newer) for file in files if file.width)

    def taken_out(found: re.Match[bytes]) -> bytes:
        start, end = found.span(1)
        if params.startswith(_PDF, start) and (pages := _pages(memoryview(params)[start:end])):
            shown.append(pages)
        return b'"data":""'

    without = _BASE64.sub(taken_out, params)
    pages = sum(shown) + max(0, documents - len(shown)) * _PAGES_OF_A_DOCUMENT
    return known + images * per_image + min(pages, _MOST_PAGES) * (_TOKENS_OF_A_PAGE + per_image), without


def _tokens_of_image(width: int, height: int, *, newer: bool) -> int:
    edge, most = (_LONG_EDGE, _TOKENS_OF_AN_IMAGE) if newer else (_OLDER_LONG_EDGE, _TOKENS_OF_AN_OLDER_IMAGE)
    scale = min(1.0, edge / max(width, height))
    return min(most, ceil(width * scale / _SQUARE) * ceil(height * scale / _SQUARE))


def _pages(data: memoryview) -> int:
    """Those that a PDF in base64 shows. Of one that was edited, pages may be counted twice."""
    try:
        return len(_PAGE.findall(binascii.a2b_base64(data)))
    except binascii.Error:
        return 0


@lru_cache(maxsize=200)
def _percent(model: str) -> int:
    """Of the tokens of older models. A name that says no version may be any."""
    found = _VERSION.search(model[:100])
    if found is None:
        return _NEWER_PERCENT
    return _NEWER_PERCENT if (int(found[1]), int(found[2] or 0)) >= (4, 7) else 100
