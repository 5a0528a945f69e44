"""How many tokens the prompt of a request takes, guessed from its bytes: for every row, before anything is sent.

A local rule, since the API's tokenizers are not public. It was fitted to an older one of Claude that is (PyPI `anthropic` 0.38.0,
`tokenizer.json`), on texts of many scripts; docs/decisions/0042-an-estimate-is-a-ratio.md has the figures, and
`python -m tests.estimates` prints them. What rows really take replaces it as soon as some were answered.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

GUESS_LOW = 0.6
"""Of a guess: what a prompt takes at least, by the texts measured and a margin for tokenizers that are not known."""
GUESS_HIGH = 1.7
"""Of a guess: what a prompt takes at most, likewise."""
# Anthropic, "Token counting": models from 4.7 on take about 30 % more tokens for the same text.
_NEWER_PERCENT = 130
_VERSION = re.compile(r"-(\d{1,2})(?:-(\d{1,2}))?(?!\d)")

_LETTERS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ "
_ASCII_AND_CONTINUATION = bytes((*range(0x80), *range(0x80, 0xC0)))
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
# Of `\u0416`, the second: Latin is `\u00` and `\u01`, Greek `\u03`, Cyrillic `\u04`, Hebrew and Arabic `\u05` to `\u07`.
_DIGITS_OF_SCRIPTS = (b"0", b"1", b"3", b"4", b"5", b"6", b"7")
# Below these, looking closer would cost more than it tells.
_FEW_ESCAPES = 8
_QUOTES_OF_A_SOURCE = 26
# `{"role":"user","content":"..."}` as `_LETTERS` leave it. It takes some four tokens, not those of its signs.
_BLOCK = b'{"":"","":"'
_BLOCK_LETTERS = 15
_TOKENS_OF_A_BLOCK = 4
# The fields around the messages, and what the API puts around a prompt.
_FRAME_SIGNS = 26
_FRAME_LETTERS = 45
_TOKENS_OF_A_PROMPT = 8
# Anthropic, "Tool use", pricing: what tools add as a system prompt, the most of any model.
_TOKENS_OF_TOOLS = 530

# Anthropic, "Vision": the most an image takes on models from 4.7 on, and on older ones.
_TOKENS_OF_AN_IMAGE = 4_784
_TOKENS_OF_AN_OLDER_IMAGE = 1_568
# Anthropic, "PDF support": a page takes 1,500 to 3,000 tokens of text, and its image. How many there are is not known here.
_TOKENS_OF_A_PAGE = 3_000
_PAGES_OF_A_DOCUMENT = 10

_IMAGE_OR_DOCUMENT = re.compile(rb'"type"\s*:\s*"(image|document)"')
_BASE64 = re.compile(rb'"data"\s*:\s*"([A-Za-z0-9+/=\\]{64,})"')
_GEO = re.compile(rb'"inference_geo"\s*:\s*"us"')


class Look(NamedTuple):
    tokens: int
    us: bool
    """It asks to run in the United States alone."""
    caches: bool
    """It asks for its prompt to be cached."""


def guess_tokens(params: bytes, model: str) -> int:
    """Tokens of the prompt of a request, system text and tools included. A microsecond for a kilobyte of Latin text."""
    return look(params, model).tokens


def most_of(guess: int) -> int:
    """What a prompt takes at most of which so many tokens were guessed."""
    return int(guess * GUESS_HIGH)


def look(params: bytes, model: str) -> Look:
    """What a request tells of its price. `params` is sound JSON."""
    rest = params.translate(None, _LETTERS)
    us = caches = False
    # Of names with one underline nothing else is left, and `max_tokens` is always there.
    if rest.count(b'"_"') > 1:
        us = b'"inference_geo"' in params and _GEO.search(params) is not None
        caches = b'"cache_control"' in params
    fixed = _TOKENS_OF_A_PROMPT
    if rest.count(b'"') >= _QUOTES_OF_A_SOURCE:
        if b'"tools"' in params:
            fixed += _TOKENS_OF_TOOLS
        if b'"source"' in params:
            tokens, params = _sources(params, model)
            fixed += tokens
            rest = params.translate(None, _LETTERS)
    blocks = rest.count(_BLOCK)
    letters = len(params) - len(rest) - _FRAME_LETTERS - blocks * _BLOCK_LETTERS
    signs = len(rest) - _FRAME_SIGNS - blocks * len(_BLOCK)
    thousandths = 0
    if not rest.isascii():
        thousandths, taken = _other_scripts(rest)
        signs -= taken
    if escapes := rest.count(b"\\"):
        more, letters_taken, taken = _escapes(params, rest, escapes)
        thousandths += more
        letters -= letters_taken
        signs -= taken
    thousandths += max(letters, 0) * _PER_LETTER + max(signs, 0) * _PER_SIGN
    return Look((thousandths // 1000 + blocks * _TOKENS_OF_A_BLOCK) * _percent(model) // 100 + fixed, us, caches)


def _other_scripts(rest: bytes) -> tuple[int, int]:
    """Thousandths of tokens of what is not ASCII, and its bytes."""
    leads = rest.translate(None, _ASCII_AND_CONTINUATION)
    two = len(leads) - len(above_two := leads.translate(None, _TWO_BYTES))
    greek_to_arabic = two - leads.count(b"\xc3") - leads.count(b"\xc2") - leads.count(b"\xc4") - leads.count(b"\xc5")
    cyrillic = leads.count(b"\xd0") + leads.count(b"\xd1")
    indic = above_two.count(b"\xe0") + above_two.count(b"\xe1")
    kana = above_two.count(b"\xe3")
    emoji = above_two.count(b"\xf0")
    wide = len(above_two) - indic - kana - emoji
    thousandths = (
        (two - greek_to_arabic) * _PER_ACCENT
        + cyrillic * _PER_CYRILLIC
        + (greek_to_arabic - cyrillic) * _PER_TWO
        + indic * _PER_INDIC
        + kana * _PER_KANA
        + emoji * _PER_EMOJI
        + wide * _PER_WIDE
    )
    return thousandths, 2 * two + 3 * (len(above_two) - emoji) + 4 * emoji


def _escapes(params: bytes, rest: bytes, escapes: int) -> tuple[int, int, int]:
    """Of `\\n`, `\\"` and `\\u0416`: thousandths of tokens, and how many letters and signs they are that count no more."""
    coded = params.count(b"\\u") if escapes > _FEW_ESCAPES else 0
    if not coded:
        return 0, 0, escapes
    below = {digit: params.count(b"\\u0" + digit) for digit in _DIGITS_OF_SCRIPTS}
    latin, cyrillic = below[b"0"] + below[b"1"], below[b"4"]
    two = below[b"3"] + below[b"5"] + below[b"6"] + below[b"7"]
    indic = params.count(b"\\u0") - latin - cyrillic - two
    halves = params.count(b"\\ud8") + params.count(b"\\udc") + params.count(b"\\udd")
    wide = coded - latin - cyrillic - two - indic - halves
    thousandths = (
        latin * _PER_ACCENT
        + cyrillic * _PER_CYRILLIC
        + two * _PER_TWO
        + indic * _PER_INDIC
        + halves * _PER_EMOJI // 2
        + wide * _PER_WIDE
    )
    digits = len(rest) - len(rest.translate(None, b"0123456789"))
    taken = min(4 * coded, digits)
    return thousandths, 5 * coded - taken, escapes + taken


def _sources(params: bytes, model: str) -> tuple[int, bytes]:
    """The most that images and documents take, and the params without their data."""
    kinds = [found[1] for found in _IMAGE_OR_DOCUMENT.finditer(params)]
    images, documents = kinds.count(b"image"), kinds.count(b"document")
    if not kinds:
        return 0, params
    per_image = _TOKENS_OF_AN_IMAGE if _percent(model) == _NEWER_PERCENT else _TOKENS_OF_AN_OLDER_IMAGE
    pages = documents * _PAGES_OF_A_DOCUMENT
    without = _BASE64.sub(b'"data":""', params)
    return images * per_image + pages * (_TOKENS_OF_A_PAGE + per_image), without


@lru_cache(maxsize=200)
def _percent(model: str) -> int:
    """Of the tokens of older models. A name that says no version may be any."""
    found = _VERSION.search(model[:100])
    if found is None:
        return _NEWER_PERCENT
    return _NEWER_PERCENT if (int(found[1]), int(found[2] or 0)) >= (4, 7) else 100
