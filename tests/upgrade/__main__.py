"""`make upgrade FROM=REF`: deploys an earlier commit on this machine, opens jobs, updates the stack to what is here, and back.

In the end every job must have ended, and the audit must find nothing. REF may be left out: then it is version 0.1.0, as
test_deployed.py has it, which `make test` runs with fewer states.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.e2e.laptop import running
from tests.upgrade.checkout import VERSION_0_1_0, Checkout, of_commit
from tests.upgrade.journey import PARAMETERS, Journey


def main(ref: str | None) -> int:
    earlier = of_commit(ref) if ref else VERSION_0_1_0
    with TemporaryDirectory(prefix="batchdrop-upgrade-") as folder:
        checkout = Checkout(Path(folder))
        checkout.put(earlier)
        started = time.monotonic()
        with running(checkout.root / ".local", *PARAMETERS, root=checkout.root) as laptop:
            _say(f"{ref or 'version 0.1.0'} is deployed after {time.monotonic() - started:.0f} s")
            wrong = Journey(laptop, checkout, earlier, _say, every_state=True)()
    _say("\n".join(wrong) if wrong else "All as expected; the audit finds nothing.")
    return 1 if wrong else 0


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else None))
