"""The rows of a job as a data frame. Neither library is needed for anything else."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any, Protocol

from batchdrop_client.errors import StackError
from batchdrop_client.rows import Row

LIBRARIES = ("pandas", "polars")


class PandasFrame(Protocol):
    """What is needed of a `pandas.DataFrame`."""

    def to_json(self, *args: Any, **kwargs: Any) -> Any: ...  # noqa: ANN401 - pandas has many forms of it


class PolarsFrame(Protocol):
    """What is needed of a `polars.DataFrame`."""

    def write_ndjson(self, *args: Any, **kwargs: Any) -> Any: ...  # noqa: ANN401 - of several versions


type Frame = PandasFrame | PolarsFrame


def data_frame(rows: Iterable[Row], library: str = "") -> Any:  # noqa: ANN401 - of either library
    """With the columns of results.csv: own ones, the answer's, and four that tell what became of the row. Raises StackError."""
    for name in (library,) if library else LIBRARIES:
        try:
            frames = importlib.import_module(name)
        except ImportError:
            continue
        records = [_record(row) for row in rows]
        return frames.DataFrame(records, infer_schema_length=None) if name == "polars" else frames.DataFrame(records)
    raise StackError(f"There is no {library or 'pandas or polars'} here. Install it, or go through job.results().")


def _record(row: Row) -> dict[str, Any]:
    return {
        **(row.fields or {"custom_id": row.custom_id}),
        **row.output,
        "batchdrop_row": row.line,
        "batchdrop_status": row.status.value,
        "batchdrop_error": row.error,
        "batchdrop_usd": None if row.cost_usd is None else float(row.cost_usd),
    }
