"""What an answer says in a field of a certain name: plausible, always the same, and not meant to be right."""

from __future__ import annotations

import re
import zlib
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
    invoice: invoice due amount total vat iban payable
    contract: agreement contract party parties hereby terms clause
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
_YES = ("yes", "true")
_NO = ("no", "false")


@lru_cache(maxsize=1)
def _speaking() -> dict[str, frozenset[str]]:
    lines = (line.partition(":") for line in _SPEAKING.strip().splitlines())
    return {name.strip(): frozenset(words.split()) for name, _, words in lines}


def choice(options: list[Json], subject: str) -> Json:
    """One of the options: the sentiment where that is among them, or the one the text speaks for, or any, always the same."""
    by_word = {str(option).lower(): option for option in options}
    feeling = sentiment.judge(subject)
    if "positive" in by_word and "negative" in by_word:
        return by_word.get(feeling, by_word.get("mixed", by_word["positive"]))
    if by_word.keys() == {"yes", "no"}:
        return by_word["no" if feeling == "negative" else "yes"]
    lowered = subject[:_READ].lower()
    words = frozenset(_WORDS.findall(lowered))
    scores = {word: 3 * bool(word and word in lowered) + _score(word, words) for word in by_word}
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
    if words & {"language", "lang"}:
        return phrases.language_of(subject)
    if words & {"description", "copy"}:
        return described(subject)
    if words & {"title", "headline", "subject", "name"}:
        first = _FIELD.search(subject[:_READ])
        named = first[2] if first else subject
        return " ".join(named.split()[:_WORDS_OF_A_TITLE]).rstrip(".,;:!?")
    if words & {"email", "mail"}:
        found = re.search(r"[\w.+-]{1,60}@[\w.-]{1,60}\w", subject[:_READ])
        return found[0] if found else "someone@example.com"
    return echo(subject)


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


def echo(subject: str) -> str:
    sentence = _SENTENCE.match(subject)
    words = (sentence[1] if sentence else subject).split()
    more = "..." if len(words) > _WORDS_ECHOED else ""
    return f"In short: {' '.join(words[:_WORDS_ECHOED])}{more}"


def _number(subject: str, below: int) -> int:
    return zlib.crc32(subject.encode("utf-8", "replace")) % below
