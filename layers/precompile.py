"""Compiles a layer's modules ahead: /opt is read-only on Lambda, so without this every cold start would compile them again.

The result names sources as `/opt/python/...`, where they will be, and is never checked against them at run time
(`unchecked-hash`).
"""

from __future__ import annotations

import compileall
import py_compile
import sys
from pathlib import Path


def main(folder: Path) -> int:
    compiled = compileall.compile_dir(
        folder,
        quiet=1,
        workers=0,
        stripdir=str(folder),
        prependdir="/opt/python",
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    return 0 if compiled else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
