"""What the measurements ran on, without a name or a path of it."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

_CPUINFO = Path("/proc/cpuinfo")


def describe() -> dict[str, Any]:
    return {
        "processors": os.cpu_count(),
        "architecture": platform.machine(),
        "model": _model(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 1),
    }


def _model() -> str:
    if not _CPUINFO.exists():
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in _CPUINFO.read_text().splitlines() if line.startswith("model name")]
    return names[0] if names else "unknown"
