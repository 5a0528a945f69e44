"""What a cold start loads."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from batchdrop import settings
from bench import deployed
from local.paths import ROOT
from local.stages import STAGES

# Installed beside tests, botocore also loads pyOpenSSL; a deployed function has some 60 modules less.
MOST_MODULES = 650
_ENVIRONMENT = {
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "PYTHONPATH": f"{ROOT}:{ROOT / 'layers' / 'core'}",
    **{
        name: "name"
        for stage in STAGES
        for name in getattr(settings, f"{stage.capitalize()}Settings").__struct_encode_fields__
        if not name.endswith(("_USD", "_WORKSPACE", "_TEAMS", "_BATCHES"))
    },
}


def started(function: str, **variables: str) -> Any:
    """What `bench.coldstart` says of a function's first moments."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.coldstart", function, "names"],
        env=_ENVIRONMENT | deployed.limits() | variables,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("function", STAGES)
def test_a_function_starts_without_the_sdk_and_with_few_modules(function: str) -> None:
    found = started(function)
    assert found["sdk"] == []
    assert found["modules"] <= MOST_MODULES


def test_the_sdk_would_be_seen() -> None:
    assert started("sdk")["sdk"] == ["anthropic", "httpx2", "pydantic"]


@pytest.mark.parametrize("function", STAGES)
def test_only_a_stack_without_a_key_loads_what_mints_one(function: str) -> None:
    ours, librarys = "batchdrop.adapters.minted", "token_generator_for_aws_external_anthropic"
    assert {ours, librarys}.isdisjoint(started(function)["loaded"])
    keyless = started(function, BATCHDROP_WORKSPACE="wrkspc_1")
    assert (ours in keyless["loaded"]) == (function not in ("plan", "finish"))
    # At the first call to Claude.
    assert librarys not in keyless["loaded"]
    assert keyless["sdk"] == []


# What only a job with a recipe needs: its libraries, and our modules that use them.
OF_RECIPES = (
    "jsonschema_rs",
    "minijinja",
    "python_calamine",
    "ruamel",
    "batchdrop.formats.cells",
    "batchdrop.formats.csv_table",
    "batchdrop.formats.xlsx_sheet",
    "batchdrop.recipes.answers",
    "batchdrop.recipes.expected",
    "batchdrop.recipes.models",
    "batchdrop.recipes.output",
    "batchdrop.recipes.reading",
    "batchdrop.recipes.rendering",
    "batchdrop.recipes.templates",
    "batchdrop.recipes.validation",
    "batchdrop.stages.collect.tables",
    "batchdrop.stages.plan.open_rows",
    "batchdrop.stages.plan.render_file",
)


@pytest.mark.parametrize("function", STAGES)
def test_a_function_starts_without_what_only_recipes_need(function: str) -> None:
    assert set(started(function)["loaded"]).isdisjoint(OF_RECIPES)


def loaded_by(kind: str) -> set[str]:
    """Of `OF_RECIPES`, as a whole job asks for them on its way through all stages."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.counted.loaded", kind], env=_ENVIRONMENT, cwd=ROOT, stdout=subprocess.PIPE, check=True
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["state"] == "done"
    return set(found["modules"]) & set(OF_RECIPES)


def test_a_job_of_requests_asks_for_nothing_of_recipes() -> None:
    """But for the engine of templates, which makes its report."""
    assert loaded_by("requests") == {"minijinja"}


def test_a_job_with_a_recipe_asks_for_what_it_needs() -> None:
    asked = loaded_by("recipe")
    assert {"batchdrop.stages.plan.render_file", "batchdrop.stages.collect.tables", "batchdrop.recipes.answers"} <= asked
    # Nor an eval, nor a workbook.
    assert asked.isdisjoint({"python_calamine", "batchdrop.formats.xlsx_sheet", "batchdrop.recipes.expected"})
