"""A comparison as text for people."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from batchdrop.domain.money import MICRO
from batchdrop.formats.invalid_line import shown
from batchdrop.money.amounts import dollars
from batchdrop_cli.amounts_said import duration, number
from batchdrop_cli.columns import columns, paragraph
from batchdrop_cli.comparing.comparison import Comparison, Way
from batchdrop_client.plain_text import plain

_MOST_MODELS = 5


def described(found: Comparison, width: int) -> str:
    """`found` has both ways."""
    first, second = found.one_by_one, found.batch
    assert first is not None, "whoever shows it has asked"  # noqa: S101
    assert second is not None, "likewise"  # noqa: S101
    rows = [
        ["time", duration(first.seconds), duration(second.seconds)],
        ["answers", *(f"{way.answered:,} of {found.rows:,}" for way in (first, second))],
        ["tokens in", f"{first.input_tokens:,}", f"{second.input_tokens:,}"],
        ["tokens out", f"{first.output_tokens:,}", f"{second.output_tokens:,}"],
        ["cost", _cost(first), _cost(second)],
    ]
    parts = [paragraph(_head(found), width), columns(["", "one by one", "as a batch"], rows, width)]
    sentences = [*_left_out(found), *_errors(first, second), *_sides(first, second), *_whole(found, first, second)]
    if found.emulated:
        sentences.append("This was the emulator: nothing was paid, and its times and answers are not Claude's.")
    parts.append([line for sentence in sentences for line in paragraph(sentence, width)])
    return "\n\n".join("\n".join(part) for part in parts if part)


def amount(usd: Decimal) -> str:
    return dollars(int((usd * MICRO).to_integral_value(rounding=ROUND_HALF_UP)))


def _head(found: Comparison) -> str:
    models = ", ".join(shown(plain(model)) for model in found.models[:_MOST_MODELS])
    more = f" and {len(found.models) - _MOST_MODELS} more" if len(found.models) > _MOST_MODELS else ""
    which = f"{found.rows:,} of {number(found.of_rows, 'row')}" if found.rows < found.of_rows else number(found.rows, "row")
    return f"{plain(found.file)}: {which}, {models}{more}"


def _cost(way: Way) -> str:
    if not way.unpriced:
        return amount(way.usd)
    without = sum(way.unpriced.values())
    return "not known" if without >= way.answered else f"{amount(way.usd)}, without {number(without, 'row')}"


def _left_out(found: Comparison) -> list[str]:
    if not found.left_out:
        return []
    return [f"{number(found.left_out, 'row')} that would have been asked about cannot be sent: `batchdrop estimate` says why."]


def _errors(first: Way, second: Way) -> list[str]:
    told = [
        f"Without an answer {name}: {_kinds(way) or way.failed}."
        for name, way in (("one by one", first), ("as a batch", second))
        if way.failed
    ]
    names = dict.fromkeys((*first.unpriced, *second.unpriced))
    if names:
        listed = ", ".join(shown(plain(name)) for name in names)
        told.append(f"No price is known of {listed}. Give its prices with --prices.")
    return told


def _sides(first: Way, second: Way) -> list[str]:
    if not first.usd or not second.usd or first.unpriced or second.unpriced or not first.seconds:
        return []
    share = second.usd / first.usd * 100
    ratio = second.seconds / first.seconds
    slower = f"{ratio:,.1f} times as long" if ratio >= 1 else f"{ratio * 100:.0f} % of the time"
    return [f"The batch cost {share:.0f} % of what one by one cost, and took {slower}."]


def _whole(found: Comparison, first: Way, second: Way) -> list[str]:
    """What it comes to for the whole file."""
    if found.of_rows <= found.rows or not (first.answered and second.answered) or first.unpriced or second.unpriced:
        return []
    times = Decimal(found.of_rows)
    seconds = duration(first.seconds / found.rows * found.of_rows)
    singly, batched = (amount(way.usd / way.answered * times) for way in (first, second))
    rows = number(found.of_rows, "row")
    return [
        f"All {rows} at these rates: one by one about {singly} and {seconds}; as batches about {batched}, "
        "and most batches end within an hour."
    ]


def _kinds(way: Way) -> str:
    """Why rows have no answer, by name: results come in any order."""
    return ", ".join(f"{times} {plain(kind)}" for kind, times in sorted(way.errors.items()))
