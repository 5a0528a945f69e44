"""An estimate as text for people."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from batchdrop.formats.invalid_line import shown
from batchdrop.money.amounts import dollars
from batchdrop.money.cache_rules import BEST_HITS, WORST_HITS
from batchdrop.money.price_list import Rates
from batchdrop_cli.amounts_said import number, price, said
from batchdrop_cli.columns import columns, paragraph
from batchdrop_cli.estimating.advice import advice
from batchdrop_cli.estimating.estimated import Estimated
from batchdrop_cli.estimating.four_ways import Caching, Range
from batchdrop_client.plain_text import plain

_MOST_MODELS = 5
# So many times the low amount, and the answers are what is not known.
_WIDE = 3
_AS_IT_STANDS = "  <- as it stands"


def described(found: Estimated, width: int) -> str:
    """Lines of at most `width` characters, where words allow it."""
    parts = [list(_head(found, width)), _faults(found, width)]
    if found.priced:
        parts += [_table(found, width), _about_caching(found, width), _prices(found, width)]
    told = [line for sentence in advice(found).sentences for line in paragraph(sentence, width)]
    return "\n\n".join("\n".join(part) for part in [*parts, told] if part)


def not_cached(found: Estimated) -> str:
    """Why no request can be cached, or "" if some can."""
    if any(one.possible for one in found.cachings):
        return ""
    return "not possible: " + "; ".join(_reason(one) for one in found.cachings[:_MOST_MODELS])


# ---------------------------------------------------------------- above the table


def _head(found: Estimated, width: int) -> Iterator[str]:
    models = ", ".join(shown(plain(model)) for model in found.models[:_MOST_MODELS])
    more = f" and {len(found.models) - _MOST_MODELS} more" if len(found.models) > _MOST_MODELS else ""
    what = f", {number(found.batches, 'batch')}, {models}{more}" if found.requests else ""
    yield from paragraph(f"{plain(found.name)}: {number(found.rows, 'row')}{what}", width)
    if not found.requests:
        return
    yield from paragraph(_cost(found), width)
    yield from paragraph(f"How it is known: {found.known.words()}.", width)
    yield from paragraph(f"{_tokens(found)}.", width)
    if found.known.told_answer is None and found.ways.as_it_stands.high > _WIDE * found.ways.as_it_stands.low:
        yield from paragraph(
            "To know it better: `batchdrop try` shows how long answers are, and --answer-tokens takes it.", width
        )
    for model, requests in found.unpriced.items():
        yield from paragraph(
            f"No price is known of {shown(plain(model))}: its {number(requests, 'row')} {'is' if requests == 1 else 'are'} in no "
            "sum here. Give its prices with --prices.",
            width,
        )


def _cost(found: Estimated) -> str:
    if not found.priced:
        return "What it costs is not known."
    ways = found.ways
    without = f", without {number(found.requests - found.priced, 'row')} of unknown price" if found.unpriced else ""
    stands, most = said(*ways.as_it_stands), dollars(ways.at_most)
    beyond = "" if dollars(ways.as_it_stands.high) == most else f"; at most {most}, if its text takes more tokens than texts do"
    return f"As a batch, as it stands: {stands}{without}{beyond}."


def _tokens(found: Estimated) -> str:
    each = found.prompt_tokens / found.requests
    low, high = (round(each * float(share)) for share in (found.known.input_low, found.known.input_high))
    prompts = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    most = round(found.most_answer_tokens / found.requests)
    answers = f"at most {most:,}" if found.known.told_answer is None else f"{min(found.known.told_answer, most):,}"
    return f"Tokens of a row, on average: prompt {prompts}, answer {answers}"


def _faults(found: Estimated, width: int) -> list[str]:
    if not found.invalid:
        return []
    lines = paragraph(f"{number(found.invalid, 'row')} cannot be sent, and would cost nothing:", width)
    for fault in found.faults:
        lines += paragraph(f"  row {fault.line}: {plain(fault.message)}", width, "    ")
    if found.invalid > len(found.faults):
        lines.append(f"  and {found.invalid - len(found.faults):,} more")
    return lines


# ---------------------------------------------------------------- the table


def _table(found: Estimated, width: int) -> list[str]:
    ways = found.ways
    mark = "" if ways.asks_for_caching else _AS_IT_STANDS
    uncached = ["without caching", said(*ways.one_by_one), said(*ways.batch) + mark]
    return columns(["", "one by one", "as a batch"], [uncached, _cached(found)], width)


def _cached(found: Estimated) -> list[str]:
    one_by_one, batch = found.ways.one_by_one_cached, found.ways.batch_cached
    if one_by_one is None or batch is None:
        return ["with caching", not_cached(found)]
    return ["with caching", _cell(one_by_one), _cell(batch)]


def _cell(amount: Range) -> str:
    return said(*amount)


def _about_caching(found: Estimated, width: int) -> list[str]:
    lines: list[str] = []
    able = [one for one in found.cachings if one.possible]
    if found.ways.asks_for_caching:
        lines += paragraph(
            "Rows ask for caching (`cache_control`): as it stands, all that they mark is read from the cache at best, and "
            "written to it at worst. The table has the mark where the shared part ends.",
            width,
        )
    for one in able[:_MOST_MODELS]:
        lines += paragraph(_possible(one), width)
    if able:
        lines += paragraph(
            f"One by one, the cache lasts 5 minutes from row to row. In a batch it lasts 1 hour, and {_percent(BEST_HITS)} to "
            f"{_percent(WORST_HITS)} of the rows find it: hits in a batch are not guaranteed.",
            width,
        )
        lines += [line for one in found.cachings if not one.possible for line in paragraph(f"Uncached: {_reason(one)}.", width)]
    return lines


def _possible(one: Caching) -> str:
    pays = f" In a batch it pays above {_percent(one.pays_above)} hits." if one.pays_above is not None else ""
    unsure = "" if one.certain else f", which may be too few: it caches from {one.shortest:,}"
    return f"{one.model}: all prompts begin with the same {one.about:,} tokens or so{unsure}.{pays}"


def _reason(one: Caching) -> str:
    if one.requests < 2:
        return f"one row of {one.model} has nobody to share its prompt with"
    if not one.shared:
        return f"the prompts for {one.model} begin differently"
    shared = f"{number(one.about, 'token')} {'is' if one.about == 1 else 'are'} shared"
    if one.shortest is None:
        return f"about {shared}, and from how many on {one.model} caches is not known"
    return f"about {shared}, and {one.model} caches from {one.shortest:,}"


def _of_prompt(rates: Rates) -> str:
    return f"{price(rates.input)}, cached {price(rates.read)}"


def _percent(share: Fraction) -> str:
    return f"{float(share) * 100:.0f} %"


def _prices(found: Estimated, width: int) -> list[str]:
    rows = []
    for model in found.prices[:_MOST_MODELS]:
        batch = model.rates.percent(found.batch_percent)
        rows += [
            [f"{model.name}, prompt", _of_prompt(model.rates), _of_prompt(batch)],
            [f"{model.name}, answer", price(model.rates.output), price(batch.output)],
        ]
    return columns(["a million tokens", "one by one", "as a batch"], rows, width)
