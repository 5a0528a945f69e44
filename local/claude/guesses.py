"""What an answer says in a field of a certain name: plausible, always the same, and not meant to be right."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from functools import lru_cache

from local.claude import phrases, sentiment
from local.claude.jsontypes import Json

_WORDS = re.compile(r"[a-z0-9]+")
_FIELD = re.compile(r"(?m)^[ \t]*[-*]?[ \t]*([A-Za-z][\w ]{0,30}): *(\S.{0,200})$")
_NUMBER = re.compile(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?")
_SENTENCE = re.compile(r"(?s)\s*(.+?[.!?])(?:\s|$)")
_READ = 4_000  # characters of a text that are looked at: enough for a guess, and a bound on what it costs
_WORDS_ECHOED = 24
_WORDS_OF_A_TITLE = 6
# Words that speak for an option whose name holds the word before the colon.
_SPEAKING = """
    billing: invoice charged charge payment refund card price overcharged subscription paid receipt bill
    refund: refund money-back return returned reimbursed
    technical: error crash crashes bug broken login password fails failed install update app screen server
    bug: error crash crashes broken fails failed wrong
    shipping: delivery delivered parcel package courier shipped tracking arrived late address
    delivery: parcel package courier shipped tracking arrived late
    account: login password account email profile username locked sign
    urgent: urgent asap immediately now emergency outage down today
    high: urgent asap immediately outage unacceptable angry
    low: whenever suggestion wondering question minor curious
    invoice: invoice due amount total vat iban payable rechnung
    contract: agreement contract party parties hereby terms clause clauses contrat
    application: apply position experience education skills curriculum
    reminder: reminder overdue letzte mahnung
    resume: experience education skills employment curriculum
    receipt: receipt cash change purchase till
    letter: dear sincerely regards
    report: report quarter findings summary results
    spam: buy free click offer winner prize viagra crypto discount followers
    harassment: idiot stupid loser pathetic shut ugly moron
    hate: hate vermin subhuman
    violence: kill hurt punch beat shoot attack bomb
    self: suicide myself worthless
    sexual: sex nude naked
    feature: feature wish would add support please
    question: how what when where why which
    praise: thanks thank love great excellent
    complaint: disappointed terrible awful broken worst refund
"""
_ELSE = ("other", "none", "ok", "okay", "safe", "allowed", "allow", "neutral", "normal", "medium", "general", "unknown")
_REFUSED = {"ransomware": "cyber", "keylogger": "cyber", "anthrax": "bio", "sarin": "bio"}
_SHORTEST_TELLING = 4  # letters of a word in what an instruction says about an option: shorter ones are in every text


@lru_cache(maxsize=1)
def _speaking() -> dict[str, frozenset[str]]:
    lines = (line.partition(":") for line in _SPEAKING.strip().splitlines())
    return {name.strip(): frozenset(words.split()) for name, _, words in lines}


@lru_cache(maxsize=256)
def _defined(asked: str) -> dict[str, frozenset[str]]:
    """The words by which an instruction explains its options, in lines such as ``- spam: sells pills``."""
    fields = ((_plain(name), _WORDS.findall(said.lower())) for name, said in _FIELD.findall(asked))
    return {name: frozenset(word for word in words if len(word) >= _SHORTEST_TELLING) for name, words in fields}


def _plain(words: str) -> str:
    return " ".join(_WORDS.findall(words.lower()))


def refused(prompt: str) -> str | None:
    """The category in which a model refuses; None if it answers."""
    lowered = prompt[:_READ].lower()
    return next((category for word, category in _REFUSED.items() if word in lowered), None)


def choice(options: list[Json], subject: str, asked: str = "") -> Json:
    """One of the options: the sentiment where that is among them, or the one the text speaks for, or any, always the same.

    ``asked``: an instruction that may explain them.
    """
    by_word = {str(option).lower(): option for option in options}
    feeling = sentiment.judge(subject)
    if "positive" in by_word and "negative" in by_word:
        return by_word.get(feeling, by_word.get("mixed", by_word["positive"]))
    if by_word.keys() == {"yes", "no"}:
        return by_word["no" if feeling == "negative" else "yes"]
    said = _plain(subject[:_READ])
    words, defined = frozenset(said.split()), _defined(asked)
    scores = {
        word: 3 * (f" {plain} " in f" {said} ") + _score(word, words) + 2 * len(defined.get(plain, frozenset()) & words)
        for word, plain in ((word, _plain(word)) for word in by_word)
    }
    best = max(scores, key=lambda word: scores[word])
    if scores[best]:
        return by_word[best]
    usual = next((by_word[word] for word in _ELSE if word in by_word), None)
    return options[_number(subject, len(options))] if usual is None else usual


def _score(option: str, words: frozenset[str]) -> int:
    return sum(len(_speaking().get(part, frozenset()) & words) for part in _WORDS.findall(option))


def text(name: str, subject: str) -> str:
    """A text for a field of this name."""
    words = set(_WORDS.findall(name.lower()))
    if words & {"translation", "translated"}:
        return phrases.translated(subject, name)
    makers: tuple[tuple[set[str], Callable[[str], str]], ...] = (
        ({"explanation", "reason", "why"}, _reason),
        ({"language", "lang"}, phrases.language_of),
        ({"description", "copy"}, described),
        ({"title", "headline", "subject", "name"}, _title),
        ({"email", "mail"}, _address),
        ({"summary"}, _summary),
    )
    return next((make for names, make in makers if words & names), echo)(subject)


def _title(subject: str) -> str:
    first = _FIELD.search(subject[:_READ])
    named = first[2] if first else subject
    return " ".join(named.split()[:_WORDS_OF_A_TITLE]).rstrip(".,;:!?")


def _address(subject: str) -> str:
    found = re.search(r"[\w.+-]{1,60}@[\w.-]{1,60}\w", subject[:_READ])
    return found[0] if found else "someone@example.com"


def _reason(subject: str) -> str:
    telling = " and ".join(f'"{word}"' for word in sentiment.telling(subject)[:2])
    return f"The text says {telling}." if telling else "No word of the text speaks for or against it."


def described(subject: str) -> str:
    """A description of the thing whose fields stand in the lines of a text, its name first."""
    fields = _FIELD.findall(subject[:_READ])
    if not fields:
        return echo(subject)
    (_, name), *others = fields
    details = ", ".join(f"{what.strip().lower()} {value.strip()}" for what, value in others)
    return f"Meet {name.strip()}: {details}." if details else f"Meet {name.strip()}."


def number(name: str, subject: str) -> int | float:
    """A number for a field of this name: the first one in the text, a rating by its sentiment, else 1."""
    words = set(_WORDS.findall(name.lower()))
    if words & {"stars", "rating", "rate", "score", "satisfaction"}:
        return {"negative": 1, "neutral": 3, "positive": 5}[sentiment.judge(subject)]
    if words & {"confidence", "probability"}:
        return round(0.6 + _number(subject, 40) / 100, 2)
    found = _NUMBER.search(subject[:_READ])
    digits = found[0].replace(",", "")[:15] if found else "1"
    return float(digits) if "." in digits else int(digits)


def boolean(name: str, subject: str) -> bool:
    """Whether the text speaks of what a field of this name asks; no words that are known speak for yes if it is not negative."""
    lowered = frozenset(_WORDS.findall(subject[:_READ].lower()))
    words = _WORDS.findall(name.lower())
    known = frozenset().union(*(_speaking().get(word, frozenset()) for word in words))
    if known or lowered & set(words):
        return bool((known | set(words)) & lowered)
    return sentiment.judge(subject) != "negative"


def _summary(subject: str) -> str:
    """The first sentence, and every second one after it."""
    first, *others = [" ".join(found.split()) for found in _SENTENCE.findall(subject[:_READ])] or [subject]
    return " ".join([echo(first), *others[1::2]])


def echo(subject: str) -> str:
    sentence = _SENTENCE.match(subject)
    words = (sentence[1] if sentence else subject).split()
    more = "..." if len(words) > _WORDS_ECHOED else ""
    return f"In short: {' '.join(words[:_WORDS_ECHOED])}{more}"


def _number(subject: str, below: int) -> int:
    return zlib.crc32(subject.encode("utf-8", "replace")) % below
