"""What a cold start of each function costs before its first message: `python -m bench.coldstart SUBJECT` prints one line of
JSON; with a further word also the names of all modules.

The subject is a function, or `sdk` for Anthropic's SDK alone. Time, modules and memory of importing the handler and wiring
its stage, as the first invocation does.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType

from bench.process import peak_bytes
from local.paths import ROOT
from local.stages import STAGES

SUBJECTS = (*STAGES, "sdk")
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
    print(json.dumps(found | ({"loaded": sorted(sys.modules)} if names else {})))


def _import(subject: str) -> Callable[[], object]:
    """Imports a subject and returns what wires it."""
    if subject == "sdk":
        client: Callable[[], object] = import_module("anthropic").Anthropic
        return client
    wire: Callable[[], object] = getattr(handler(subject), f"_{subject}")
    return wire


if __name__ == "__main__":
    main(*sys.argv[1:3])
