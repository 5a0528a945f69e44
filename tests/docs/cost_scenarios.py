"""The worked examples of docs/cost.md: files like those of a page that compares prices, and what `batchdrop estimate` says.

`python -m tests.docs.cost_scenarios FOLDER` writes the files. In the page, tables stand between `<!-- scenarios -->`,
`<!-- a million tokens -->` or `<!-- break-even -->` and `<!-- end -->`; `make docs` fills them in.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from contextlib import chdir
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from click.testing import CliRunner

from batchdrop.domain.money import MICRO
from batchdrop.money.cache_rules import SHORTEST
from batchdrop.money.price_file import built_in
from batchdrop_cli.amounts_said import said
from batchdrop_cli.main import batchdrop
from tests.docs.pages import ROOT

_TABLE = re.compile(
    r"(?P<above>^<!-- (?P<name>scenarios|a million tokens|break-even) -->\n)(?:\|.*\n)*<!-- end -->\n", re.MULTILINE
)
_WORD = "word "


class Scenario(NamedTuple):
    what: str
    requests: int
    shared: int
    """Words that all prompts begin with."""
    own: int
    prompt_tokens: int
    answer_tokens: int
    models: tuple[str, ...]
    """The one that such pages count with, and the newest of its line."""

    def name(self, model: str) -> str:
        return f"{self.what.rsplit(' ', 1)[-1]}-{model}.jsonl"

    def line(self, model: str, number: int) -> str:
        content = f"{number}: {_WORD * self.own}"
        params = {"model": model, "max_tokens": self.answer_tokens, "system": _WORD * self.shared}
        return json.dumps({"params": params | {"messages": [{"role": "user", "content": content}]}})

    @property
    def told(self) -> list[str]:
        return ["--prompt-tokens", str(self.prompt_tokens), "--answer-tokens", str(self.answer_tokens)]


SCENARIOS = (
    Scenario("1,000 short classifications", 1_000, 100, 50, 150, 10, ("claude-haiku-4-5", "claude-haiku-5-5")),
    Scenario("500 summaries", 500, 200, 1_800, 2_000, 200, ("claude-sonnet-4-6", "claude-sonnet-5-5")),
    Scenario("100 long analyses", 100, 6_000, 4_000, 10_000, 1_500, ("claude-opus-5", "claude-opus-5-5")),
)


def write(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for scenario in SCENARIOS:
        for model in scenario.models:
            lines = (scenario.line(model, number) for number in range(100_000, 100_000 + scenario.requests))
            (folder / scenario.name(model)).write_text("".join(f"{line}\n" for line in lines))


def printed(arguments: list[str]) -> str:
    """What the command writes to stdout, called in the root of the repository."""
    with chdir(ROOT):
        return CliRunner(mix_stderr=False).invoke(batchdrop, arguments, catch_exceptions=False).stdout.rstrip()


def told() -> list[tuple[Scenario, str, dict[str, Any]]]:
    """Each file with the answer of `estimate --json`."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder))
        return [
            (scenario, model, json.loads(printed(["estimate", f"{folder}/{scenario.name(model)}", "--json", *scenario.told])))
            for scenario in SCENARIOS
            for model in scenario.models
        ]


def filled(text: str) -> str:
    """The page with its tables."""
    if not _TABLE.search(text):
        return text
    found = told()
    return _TABLE.sub(lambda match: f"{match['above']}{_TABLES[match['name']](found)}<!-- end -->\n", text)


def _scenarios(found: list[tuple[Scenario, str, dict[str, Any]]]) -> str:
    rows = ["| requests | model | one by one | cached | batch | batch, cached |", "|---|---|---|---|---|---|"]
    for scenario, model, answer in found:
        amounts = [_amount(answer[way][kind]) for way in ("one_by_one", "batch") for kind in ("uncached", "cached")]
        rows.append(
            f"| {scenario.what}: {scenario.prompt_tokens:,} tokens in, {scenario.answer_tokens:,} out | `{model}` | "
            f"{' | '.join(amounts)} |"
        )
    return "".join(f"{row}\n" for row in rows)


def _prices(found: list[tuple[Scenario, str, dict[str, Any]]]) -> str:
    rows = ["| prompt, a million tokens | one by one | from the cache | batch | batch, from the cache |", "|---|---|---|---|---|"]
    for _, model, answer in found:
        price = answer["prices"]["usd_per_million"][model]["prompt"]
        if "opus" in model:
            names = ("one_by_one", "one_by_one_cached", "batch", "batch_cached")
            rows.append(f"| `{model}` | {' | '.join(f'${price[name]:.2f}' for name in names)} |")
    return "".join(f"{row}\n" for row in rows)


def _break_even(_: object) -> str:
    """Models that are alike in one row."""
    alike: defaultdict[tuple[int, str, str], list[str]] = defaultdict(list)
    for model, shortest in SHORTEST.items():
        rates = built_in().models[model][0].rates[0][0]
        shares = (Fraction(write - rates.input, write - rates.read) for write in (rates.write_5m, rates.write_1h))
        five_minutes, hour = (f"{float(share):.1%}".replace("%", " %") for share in shares)
        alike[shortest, five_minutes, hour].append(f"`{model}`")
    rows = ["| model | cached from, in tokens | `5m` pays above | `1h` pays above |", "|---|---|---|---|"]
    for (shortest, five_minutes, hour), models in sorted(alike.items()):
        rows.append(f"| {', '.join(models)} | {shortest:,} | {five_minutes} | {hour} |")
    return "".join(f"{row}\n" for row in rows)


_TABLES: dict[str, Callable[[list[tuple[Scenario, str, dict[str, Any]]]], str]] = {
    "scenarios": _scenarios,
    "a million tokens": _prices,
    "break-even": _break_even,
}


def _amount(amount: dict[str, float] | None) -> str:
    return "not possible" if amount is None else said(*(round(amount[name] * MICRO) for name in ("low_usd", "high_usd")))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
