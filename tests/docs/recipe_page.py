"""The example of `docs/recipes.md`: a table and a recipe that stand in the page, and the files that come of them.

`<!-- file: NAME -->` stands before a block that is the file of that name. `recipe.yaml` and `reviews.csv` are dropped; the others
are written by `make docs`. What differs from run to run is always the same, and of Claude's messages only the content is shown.
"""

from __future__ import annotations

import json
import re

from local.claude.client import start
from tests.docs.job_files import JOB, dropped
from tests.docs.pages import ROOT
from tests.handlers.conftest import Cloud, surroundings

PAGE = ROOT / "docs" / "recipes.md"
FILE = re.compile(r"^<!-- file: (?P<name>[\w.]+) -->\n```(?P<kind>\w+)\n(?P<body>(?:(?!```).*\n)*)```\n", re.MULTILINE)
RECIPE, TABLE = "recipe.yaml", "reviews.csv"
_JOB_ID = re.compile(r"\d{8}T\d{6}Z-[a-z2-7]{16}")


def filled(text: str) -> str:
    given = {match["name"]: match["body"] for match in FILE.finditer(text) if match["name"] in (RECIPE, TABLE)}
    with start("--clock", "manual", "--seconds", "5", "--seed", "documents") as claude, surroundings(claude):
        cloud = Cloud(claude)
        cloud.invoke("plan", cloud.upload(f"inbox/marketing/{RECIPE}", given[RECIPE].encode()))
        made = dropped(cloud, f"marketing/{TABLE}", given[TABLE].encode())
    files = {name: _shown(name, body) for name, body in made.items()} | given
    return FILE.sub(lambda match: _block(match["name"], match["kind"], files[match["name"]]), text)


def _block(name: str, kind: str, body: str) -> str:
    return f"<!-- file: {name} -->\n```{kind}\n{body}```\n"


def _shown(name: str, body: bytes) -> str:
    text = _JOB_ID.sub(JOB, body.decode("utf-8-sig")).replace("\r\n", "\n")
    return "".join(map(_line, text.splitlines(keepends=True))) if name.endswith(".jsonl") else text


def _line(line: str) -> str:
    """With no more of Claude's message than the text."""
    row = json.loads(line)
    if "result" not in row:
        return json.dumps(row, ensure_ascii=False) + "\n"
    content = [block for block in row["result"]["message"]["content"] if block["type"] == "text"]
    row["result"]["message"] = {"content": content}
    return json.dumps(row, ensure_ascii=False).removesuffix("}}}") + ", ...}}}\n"
