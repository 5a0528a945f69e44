"""The example policies, with their places filled in as their page says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "docs" / "policies"
NAMES = sorted(file.stem for file in FOLDER.glob("*.json"))


def policy(name: str, **places: str) -> dict[str, Any]:
    """`places`: what stands for BUCKET, TEAM, STACK, ACCOUNT and REGION."""
    text = (FOLDER / f"{name}.json").read_text()
    for place, value in places.items():
        text = text.replace(place.upper(), value)
    return dict(json.loads(text))
