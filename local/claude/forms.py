"""What stands on an invoice or a similar form: values beside their labels, and the lines of its table, in a few languages."""

from __future__ import annotations

import re

_LABELLED = re.compile(r"(?m)^[ \t]*([^\W\d][^:\n]{0,40}?) ?: ?(\S[^\n]{0,200})$")
_WORDS = re.compile(r"[^\W\d_]+")
_AMOUNT = r"-?\d[\d.,']*"
_SPACED_AMOUNT = re.compile(r"-?\d+(?: \d{3})*(?:[.,']\d+)*")
_DECIMALS = re.compile(r"[.,](\d{1,2})$")
_ISO = re.compile(r"\b\d{4}-\d\d-\d\d\b")
_DAY_FIRST = re.compile(r"\b(\d\d?)[./](\d\d?)[./](\d{4})\b")
# The words of a label that stand for a word in the name of a field.
_LABELS = {
    "number": "no nr nummer rechnungsnummer numéro",
    "invoice": "rechnung rechnungsnummer rechnungsdatum facture facturation",
    "date": "datum rechnungsdatum",
    "due": "fällig échéance",
    "customer": "bill kunde rechnung client facturé",
    "net": "netto nettobetrag ht",
    "vat": "mwst ust tva tax",
    "tax": "mwst ust tva vat",
    "total": "gesamt gesamtbetrag summe",
}
_SENDER = frozenset({"supplier", "seller", "vendor", "sender", "issuer"})


class Form:
    """The text of a document. What it does not say is None, or no lines."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._labelled = [
            (frozenset(_WORDS.findall(label.lower())), value.strip()) for label, value in _LABELLED.findall(self._text)
        ]

    def text(self, name: str) -> str | None:
        """Of the label that has most words of a field's name; who sends a form stands in its first line."""
        words = _WORDS.findall(name.lower())
        if not _SENDER.isdisjoint(words):
            return next((line for line in map(str.strip, self._text.splitlines()) if line), None)
        wanted = [{word, *_LABELS.get(word, "").split()} for word in words]
        scored = [(sum(not of_word.isdisjoint(label) for of_word in wanted), value) for label, value in self._labelled]
        most, value = max(scored, key=lambda one: one[0], default=(0, ""))
        return value if most else None

    def number(self, name: str) -> int | float | None:
        found = _SPACED_AMOUNT.search(self.text(name) or "")
        return amount(found[0]) if found else None

    def date(self, name: str) -> str | None:
        """`2026-11-30`; days come before months."""
        said = self.text(name) or ""
        if iso := _ISO.search(said):
            return iso[0]
        found = _DAY_FIRST.search(said)
        return f"{found[3]}-{int(found[2]):02}-{int(found[1]):02}" if found else None

    def lines(self, numbers: int) -> list[tuple[str, list[int | float]]]:
        """Of the table: those that end in so many numbers, each with the words before them."""
        # Between a word and a number that stand close to each other a PDF may have no space.
        pattern = re.compile(rf"(?m)^(.*\S)(?: |(?<=[^\W\d]))({_AMOUNT}(?: {_AMOUNT}){{{numbers - 1}}})\s*$")
        found = pattern.findall(self._text) if numbers > 1 else []
        return [(words, [amount(one) for one in said.split()]) for words, said in found]


def amount(said: str) -> int | float:
    """`1,440.00`, `1.440,00` and `1 440,00` are the same; a point or comma before three digits divides thousands."""
    decimals = _DECIMALS.search(said)
    whole = re.sub(r"[^\d-]", "", said[: decimals.start()] if decimals else said)
    return float(f"{whole}.{decimals[1]}") if decimals else int(whole)
