"""`make scale`: the figures of docs/scale.md."""

from __future__ import annotations

import msgspec

from tests.scale.figures import FIGURES, PAGE, Found, crowded, shown, simulated, written
from tests.scale.load import FULL, SMALL


def main() -> None:
    found = Found(simulated(FULL), simulated(SMALL), crowded())
    FIGURES.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
    PAGE.write_text(written(PAGE.read_text(), found))
    print(shown(found))


if __name__ == "__main__":
    main()
