"""Peak memory and disk of plan and submit of a job whose rows name PDFs of 1 to 20 MB, by their number, and what is sent."""

from __future__ import annotations

import tempfile
from typing import Any

from bench import measured


def measure(numbers: list[int]) -> dict[int, Any]:
    """By number of documents, what `tests.counted.documents` prints, each in a process of its own."""
    found = {}
    for number in numbers:
        with tempfile.TemporaryDirectory() as folder:
            found[number] = measured.run("tests.counted.documents", folder, str(number), environment={})
    return found
