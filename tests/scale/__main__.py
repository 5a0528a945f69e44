"""`make scale`: the figures of docs/scale.md."""

from __future__ import annotations

from tests.scale.figures import PAGE, simulated, table, written
from tests.scale.load import FULL


def main() -> None:
    found = simulated(FULL)
    PAGE.write_text(written(PAGE.read_text(), found))
    print(table(found))


if __name__ == "__main__":
    main()
