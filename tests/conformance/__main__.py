"""``python -m tests.conformance``: the description first, then the SDK's tests, whose summary comes last."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.conformance import description, sdk

HERE = Path(__file__).parent


def main() -> int:
    """Runs both checks whatever becomes of the first; 0 only if nothing failed."""
    file = description.path()
    if file.is_file():
        print(f"Answers against the OpenAPI description {file.name}:", flush=True)
    else:
        print(
            f"No OpenAPI description at {file}: that half of the check is left out ({description.VARIABLE} says where it is).",
            flush=True,
        )
    answers = subprocess.run([sys.executable, "-m", "pytest", "-q", str(HERE)], check=False).returncode
    print("The SDK's own tests:", flush=True)
    try:
        own = sdk.run()
    except sdk.NotPossible as error:
        print(f"FAILED: {error}", file=sys.stderr)
        own = 1
    return answers or own


if __name__ == "__main__":
    sys.exit(main())
