"""What a recipe asks of the API and would be refused for is said with its line, before anything is sent."""

from __future__ import annotations

import pytest

from batchdrop.domain.records import JobState
from tests.stages.row_jobs import stack_of

_START = b"model: claude-opus-4-5\nprompt: '{{ text }}'\n"


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (b"params:\n  output_config: {effort: max}\n", "recipe.yaml, line 4: claude-opus-4-5 does not take the effort `max`"),
        (b"params:\n  thinking: {type: adaptive}\n", "recipe.yaml, line 4: claude-opus-4-5 does not take the thinking type"),
        (b"params:\n  top_k: 1\n  temperature: 0\n", "recipe.yaml, line 5: `temperature` is an error for every model"),
        (b"betas: [some-beta]\n", "recipe.yaml, line 3: This asks for anthropic-beta some-beta, which this stack does not allow"),
        (b"anthropic_version: '2022-01-01'\n", "recipe.yaml, line 3: This asks for anthropic-version 2022-01-01, which"),
    ],
)
def test_it_waits_and_names_the_line(more: bytes, sentence: str) -> None:
    stack = stack_of()
    stack.drop("inbox/team/recipe.yaml", _START + more)
    stack.drop("inbox/team/rows.csv", b"id,text\n1,Good\n")
    stack.run()
    job = stack.job()
    assert job.state is JobState.held
    assert job.reason.startswith(sentence)
    assert "Nothing was sent or paid." in job.reason


def test_a_separator_that_was_not_found_is_asked_for() -> None:
    """The only row has a cell too many, so nothing tells that commas separate."""
    stack = stack_of()
    stack.drop("inbox/team/recipe.yaml", _START)
    stack.drop("inbox/team/rows.csv", b"id,text\n1,Good,x\n")
    stack.run()
    said = 'recipe.yaml, line 2, asks for the column "text"; the file has id,text. '
    assert stack.job().reason.startswith(said + 'If these are several columns, write `separator: ","`. Put in')
    stack.drop("inbox/team/recipe.yaml", _START + b'separator: ","\n')
    stack.run()
    assert stack.job().reason == "The only row cannot be sent; failed.csv gives the reason."
