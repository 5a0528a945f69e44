"""What a JSON text can hold, as a type."""

from __future__ import annotations

type Json = bool | int | float | str | list[Json] | dict[str, Json] | None
