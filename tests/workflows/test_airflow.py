"""The DAG of `examples/workflows`, task by task against a whole stack. Airflow is played: it is a hundred packages."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from batchdrop_client import NotNamed, Stack
from local.paths import ROOT
from tests.cli.live_stack import LiveStack, live_stack

_DAG = ROOT / "examples" / "workflows" / "airflow_dag.py"
_RECIPE = "model: claude-haiku-4-5\nprompt: 'Label: {{ review }}'\noutput: {label: [positive, negative]}\n"
_RUN = "manual__2026-11-26T10:00:00+00:00"


@dataclass
class Poked:
    is_done: bool
    xcom_value: object = None


class Fails(Exception): ...


class Airflow:
    """Keeps the tasks by name, as the functions they are made of."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tasks: dict[str, Callable[..., Any]] = {}
        self.options: dict[str, dict[str, Any]] = {}
        sdk, exceptions = ModuleType("airflow.sdk"), ModuleType("airflow.sdk.exceptions")
        task: Any = lambda made=None, **options: self._task(made, options)  # noqa: E731 - it has an attribute
        task.sensor = task
        vars(sdk).update(task=task, dag=lambda **_: lambda made: made, Param=lambda *_, **__: None, PokeReturnValue=Poked)
        vars(exceptions).update(AirflowFailException=Fails)
        for module in (ModuleType("airflow"), sdk, exceptions):
            monkeypatch.setitem(sys.modules, module.__name__, module)
        runpy.run_path(str(_DAG))

    def _task(self, made: Callable[..., Any] | None, options: dict[str, Any]) -> Callable[..., Any]:
        if made is None:
            return lambda made: self._task(made, options)
        self.tasks[made.__name__], self.options[made.__name__] = made, options
        return lambda *_: f"what {made.__name__} returns"

    def wait(self, stack: LiveStack, folder: str) -> object:
        assert self.options["ended"]["mode"] == "reschedule", "a worker is not held for hours"
        for _ in range(100):
            poked: Poked = self.tasks["ended"](folder, _RUN)
            if poked.is_done:
                return poked.xcom_value
            stack.pass_time()
        raise AssertionError("it has not ended")


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveStack]:
    with live_stack(monkeypatch) as stack:
        yield stack


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> Airflow:
    return Airflow(monkeypatch)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "recipe.yaml").write_text(_RECIPE)
    (tmp_path / "reviews.csv").write_text("review\nWarm and light\nBroke after a week\n")
    return tmp_path / "reviews.csv"


def test_it_drops_a_file_waits_and_uses_the_answers(
    airflow: Airflow, stack: LiveStack, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = airflow.tasks["start"](str(file), _RUN)
    assert airflow.wait(stack, folder) == folder
    assert airflow.tasks["use"](folder, _RUN) == 2
    assert capsys.readouterr().out.endswith("2 positive \n3 positive \n")
    (job,) = stack.pipeline.jobs()
    assert job.reference == _RUN
    assert job.input.key == "inbox/workflows/manual-2026-11-26T10-00-00-00-00/rows.csv"


def test_a_start_that_runs_again_finds_its_job(airflow: Airflow, stack: LiveStack, file: Path) -> None:
    folder = airflow.tasks["start"](str(file), _RUN)
    stack.pass_time()
    assert airflow.tasks["start"](str(file), _RUN) == folder
    airflow.wait(stack, folder)
    assert airflow.tasks["start"](str(file), _RUN) == folder
    assert len(stack.pipeline.jobs()) == 1
    assert airflow.options["start"]["retry_delay"].total_seconds() > 60, "the job has begun by then"


def test_a_job_that_is_rejected_fails_the_sensor_with_its_sentence(airflow: Airflow, stack: LiveStack, file: Path) -> None:
    file.write_text("review\n")
    folder = airflow.tasks["start"](str(file), _RUN)
    with pytest.raises(Fails, match="no row"):
        airflow.wait(stack, folder)


def test_a_job_that_has_not_begun_is_waited_for(airflow: Airflow, stack: LiveStack) -> None:
    folder = "outbox/workflows/a/rows/20261126T100000Z-aaaaaaaaaaaaaaaa/"
    with pytest.raises(NotNamed):
        Stack.from_environment().job(folder).status()
    assert not airflow.tasks["ended"](folder, _RUN).is_done
