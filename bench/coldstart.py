"""What a cold start of each function costs before its first message: `python -m bench.coldstart SUBJECT` prints one line of
JSON; with a further word also the names of all modules.

The subject is a function, or `sdk` for Anthropic's SDK alone. Time, modules and memory of importing the handler and wiring
its stage, as the first invocation does; then what of the import is our own code, and what the first job with a recipe adds.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType

from bench.process import peak_bytes
from local.paths import ROOT
from local.stages import STAGES

SUBJECTS = (*STAGES, "sdk")
STEPS = ("import", "wired", "own", "recipe")
_OF_RECIPES = {
    "plan": ("batchdrop.stages.plan.open_rows", "batchdrop.stages.plan.render_file", "batchdrop.recipes.reading"),
    "collect": ("batchdrop.stages.collect.tables", "batchdrop.recipes.validation"),
}
"""What brings in everything that a job with a recipe needs of them."""
_SDK = ("anthropic", "httpx2", "pydantic")


def handler(function: str) -> ModuleType:
    """Imports a function's `app.py` as Lambda does."""
    spec = spec_from_file_location("app", ROOT / "functions" / function / "app.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["app"] = module
    spec.loader.exec_module(module)
    return module


def main(subject: str, *names: str) -> None:
    modules = len(sys.modules)
    wall, cpu = time.perf_counter(), time.process_time()
    wire = _import(subject)
    imported = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    wire()
    wired = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    found = {
        "import": imported,
        "wired": wired,
        "modules": len(sys.modules) - modules,
        "sdk": [name for name in _SDK if name in sys.modules],
        "peak": peak_bytes(),
    }
    loaded = sorted(sys.modules)
    found |= {"own": _timed(partial(_again, subject)), "recipe": _timed(partial(_import_all, _OF_RECIPES.get(subject, ())))}
    print(json.dumps(found | ({"loaded": loaded} if names else {})))


def _timed(step: Callable[[], object]) -> dict[str, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    step()
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def _again(subject: str) -> None:
    """Imports our own modules once more, when all packages are there."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "batchdrop"]:
        del sys.modules[name]
    if subject != "sdk":
        _import(subject)


def _import_all(modules: Iterable[str]) -> None:
    for name in modules:
        import_module(name)


def _import(subject: str) -> Callable[[], object]:
    """Imports a subject and returns what wires it."""
    if subject == "sdk":
        client: Callable[[], object] = import_module("anthropic").Anthropic
        return client
    wire: Callable[[], object] = getattr(handler(subject), "_poll" if subject == "poll" else "_parts")
    return wire


if __name__ == "__main__":
    main(*sys.argv[1:3])
