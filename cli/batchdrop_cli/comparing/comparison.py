"""What came of asking the same rows both ways, and the file that keeps it. It holds figures, never a row or an answer."""

from __future__ import annotations

import os
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path

import msgspec

from batchdrop.domain.record import Record


class Progress(StrEnum):
    asking = "asking"
    """One by one."""
    sent = "sent"
    """The batch is with the API, and its results are still to be fetched."""
    done = "done"
    canceled = "canceled"
    """By the person who started it; what had an answer by then is in the figures."""
    unknown = "unknown"
    """No answer came when the batch was sent: it may be with the API."""


class Way(Record, frozen=True, kw_only=True):
    """How the rows fared one way."""

    seconds: float
    answered: int
    failed: int = 0
    """Without an answer, whatever the reason."""
    errors: dict[str, int] = msgspec.field(default_factory=dict)
    """Those by the API's word for it."""
    input_tokens: int = 0
    """Cache writes and reads included."""
    output_tokens: int = 0
    usd: Decimal = Decimal(0)
    """By the API's own usage, at the prices of this way."""
    unpriced: dict[str, int] = msgspec.field(default_factory=dict)
    """Answers by model of which no price is known: what they cost is not in `usd`."""


class Comparison(Record, frozen=True, kw_only=True):
    file: str
    rows: int
    """That were asked about."""
    of_rows: int
    """In the file."""
    left_out: int
    """Rows that were picked and cannot be sent."""
    lines: tuple[int, ...]
    """Their numbers, as the spreadsheet or the editor counts them."""
    models: tuple[str, ...]
    emulated: bool
    """By the emulator: nothing was paid, and the answers are not Claude's."""
    at_most_usd: Decimal | None
    """What both ways together cost at most, as it was said before; None if a model has no price."""
    prices: str
    """Version of the price list."""
    started_at: datetime
    progress: Progress = Progress.asking
    batch_id: str = ""
    prefix: str = ""
    """What the custom ids of its requests begin with."""
    one_by_one: Way | None = None
    batch: Way | None = None

    @property
    def paid(self) -> Decimal:
        return sum((way.usd for way in (self.one_by_one, self.batch) if way is not None), Decimal(0))


class _Json:
    """Decimals as numbers, without an exponent."""

    def __call__(self, comparison: Comparison) -> bytes:
        return msgspec.json.format(msgspec.json.encode(self._plain(msgspec.structs.asdict(comparison))), indent=2) + b"\n"

    def _plain(self, value: object) -> object:
        match value:
            case Decimal():
                whole, point, rest = f"{value:f}".partition(".")
                return msgspec.Raw(f"{whole}{point}{rest.rstrip('0') or '0' * len(point)}".encode())
            case Way():
                return self._plain(msgspec.structs.asdict(value))
            case dict():
                return {name: self._plain(one) for name, one in value.items()}
        return value


encode = _Json()
_decode = msgspec.json.Decoder(Comparison, float_hook=Decimal).decode


class KeptFile:
    """`compare-<name>.json`. Nothing that lies there is ever overwritten but by the comparison that it belongs to."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin(self, comparison: Comparison) -> None:
        """Raises FileExistsError, OSError."""
        with self.path.open("xb") as file:
            file.write(encode(comparison))

    def replace(self, comparison: Comparison) -> None:
        """Raises OSError."""
        beside = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            with beside.open("xb") as file:
                file.write(encode(comparison))
            beside.replace(self.path)
        finally:
            beside.unlink(missing_ok=True)

    def read(self) -> Comparison:
        """Raises OSError; ValueError if it is none of ours."""
        try:
            return _decode(self.path.read_bytes())
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ValueError(str(error)) from None

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
