"""What commands in the documents print. `make docs` runs them again and writes their outputs into the pages.

In a page, `<!-- output -->` stands between a block and what comes of it, and `<!-- end -->` after that: below a row of input its
row of output, below shell commands what they print. They run here on the real handlers with an AWS in memory and the Claude
emulator. What differs from run to run (times, ids that are drawn) is left out or always the same. What `make invoke` prints needs
a container engine: `tests/local/test_invoke.py` compares it, `python -m tests.local.invoked` writes it.

`<!-- from examples/a/b.csv, 4 lines -->` stands above a copy of a file, or of its first lines, and `<!-- end -->` below it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from click.testing import CliRunner

from batchdrop.domain import keys
from batchdrop_cli.main import batchdrop
from local import demo, drops
from local.claude.client import start
from tests.docs import cost_scenarios, recipe_page
from tests.docs.drop_output import waited_for
from tests.docs.job_files import JOB, dropped
from tests.docs.pages import PAGES, ROOT
from tests.handlers.conftest import Cloud, surroundings

SHOWN = re.compile(
    r"(?P<above>^```(?P<language>json|sh)\n(?P<block>(?:(?!```).*\n)+)```\n(?:(?!```).*\n)*<!-- output -->\n)"
    r"```(?P<kind>json|)\n(?:(?!```).*\n)*```\n<!-- end -->\n",
    re.MULTILINE,
)
COPIED = re.compile(
    r"(?P<above><!-- from (?P<path>examples/\S+?)(?:, (?P<lines>\d+) lines)? -->\n```\w*\n)(?:(?!```).*\n)*```\n<!-- end -->\n"
)
CACHE_HITS = 0.875
"""Of the rows that could find a beginning cached: the real API draws it anew for each batch, from 0.30 to 0.98."""
_INVOKE = "make invoke "
_TRY = re.compile(r"batchdrop try (examples/\S+)")
_ESTIMATE = re.compile(r"batchdrop (estimate (?:examples|\.local)/.*)")
_SCENARIOS = re.compile(r"python -m tests\.docs\.cost_scenarios (\.local/\S+)")
_DROP = re.compile(r"batchdrop (drop examples/([\w-]+)/\S+ --to [\w-]+(?: --recipe \S+)? --wait(?: -o [\w.-]+)?)")
_SCRIPT = re.compile(r"python (examples/\S+\.py) ([\w.-]+)")
_DEMO = re.compile(r"make demo(?: EXAMPLE=([\w-]+)| FILE=(examples/\S+))?")


def filled(text: str) -> str:
    """The page with the output of every block that says it has one, and with its copies of files."""
    text = COPIED.sub(_copied, text)
    if not SHOWN.search(text):
        return text
    emulator = ("--clock", "manual", "--seconds", "5", "--seed", "documents", "--cache-hits", str(CACHE_HITS))
    with start(*emulator) as claude, surroundings(claude):
        cloud = Cloud(claude)
        return SHOWN.sub(lambda match: _shown(cloud, match), text)


def _copied(match: re.Match[str]) -> str:
    lines = (ROOT / match["path"]).read_text().splitlines(keepends=True)
    return f"{match['above']}{''.join(lines[: int(match['lines'] or len(lines))])}```\n<!-- end -->\n"


def of_example(name: str) -> str:
    """What its page says that it prints."""
    text = (drops.EXAMPLES / name / "README.md").read_text()
    (found,) = (match for match in SHOWN.finditer(text) if match["block"] == f"make demo EXAMPLE={name}\n")
    return found[0].rsplit("```\n", 2)[1].rstrip("\n")


def reported(jobs: Iterable[tuple[str, Mapping[str, bytes]]]) -> str:
    """What `make demo` prints at its end, of jobs by the key of their input: their outputs by name."""
    with tempfile.TemporaryDirectory() as root:
        folders = []
        for key, files in jobs:
            folder = Path(root, keys.outbox_folder(key, JOB).removeprefix(keys.OUTBOX))
            folder.mkdir(parents=True)
            for name, body in files.items():
                (folder / name).write_bytes(body)
            folders.append(folder)
        return demo.report(folders).replace(root, ".local/outbox")


def _shown(cloud: Cloud, match: re.Match[str]) -> str:
    if match["block"].startswith(_INVOKE):
        return match[0]
    answer = _row(cloud, match["block"]) if match["language"] == "json" else _shell(cloud, match["block"])
    return f"{match['above']}```{match['kind']}\n{answer}\n```\n<!-- end -->\n"


def _row(cloud: Cloud, line: str) -> str:
    """The row of `results.jsonl`, with no more of Claude's message than the text."""
    row = json.loads(dropped(cloud, "row.jsonl", line.encode())["results.jsonl"], parse_float=str)
    (content,) = row["result"]["message"]["content"]
    row["result"]["message"] = {"content": [{"type": content["type"], "text": content["text"]}]}
    # As it is written: `json` has an exponent where the file has none.
    shown = json.dumps(row).replace(json.dumps(row["cost_usd"]), row["cost_usd"], 1)
    return shown.removesuffix("}}}") + ", ...}}}"


def _shell(cloud: Cloud, block: str) -> str:
    """In a folder that is there for this block alone."""
    with tempfile.TemporaryDirectory() as home:
        commands = [command.partition("#")[0].strip() for command in block.splitlines()]
        return "\n".join(line for command in commands for line in _printed(cloud, command, Path(home)))


def _printed(cloud: Cloud, command: str, home: Path) -> Iterator[str]:
    if demonstrated := _DEMO.fullmatch(command):
        chosen = [drops.of_path(ROOT / demonstrated[2])] if demonstrated[2] else drops.of_example(demonstrated[1] or "reviews")
        yield reported(_of_drop(cloud, drop) for drop in chosen)
    elif tried := _TRY.fullmatch(command):
        yield _tried(cloud, tried[1])
    elif waited := _DROP.fullmatch(command):
        yield waited_for(cloud, waited[1].split(), waited[2], home)
    elif script := _SCRIPT.fullmatch(command):
        run = [sys.executable, str(ROOT / script[1]), script[2]]
        yield subprocess.run(run, cwd=home, capture_output=True, text=True, check=True).stdout.rstrip()
    elif estimate := _ESTIMATE.fullmatch(command):
        yield cost_scenarios.printed(estimate[1].split())
    elif scenarios := _SCENARIOS.fullmatch(command):
        cost_scenarios.write(ROOT / scenarios[1])
    else:
        raise ValueError(f"nothing here can run: {command}")


def _of_drop(cloud: Cloud, drop: drops.Drop) -> tuple[str, dict[str, bytes]]:
    for key, path in drop.before.items():
        cloud.upload(key, path.read_bytes())
    return drop.key, dropped(cloud, drop.key.removeprefix(keys.INBOX), drop.read())


def _tried(cloud: Cloud, file: str) -> str:
    """What `batchdrop try` writes to stdout."""
    environment = {"ANTHROPIC_BASE_URL": cloud.claude.base_url, "ANTHROPIC_API_KEY": "test-key"}
    done = CliRunner(mix_stderr=False).invoke(batchdrop, ["try", str(ROOT / file)], env=environment, catch_exceptions=False)
    return done.stdout.rstrip()


def written(page: Path) -> str:
    """The page as `make docs` writes it."""
    text = cost_scenarios.filled(filled(page.read_text()))
    return recipe_page.filled(text) if page == recipe_page.PAGE else text


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(written(page))
