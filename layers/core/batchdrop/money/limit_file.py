"""`config/limits.json`: what a folder may spend, and from which amount on somebody is asked. `docs/cost.md` describes it."""

from __future__ import annotations

import msgspec

from batchdrop.domain.keys import INBOX, MAX_KEY_BYTES
from batchdrop.domain.money import MICRO
from batchdrop.domain.record import Record
from batchdrop.formats.config_file import ConfigFault, ConfigFile, Path

MAX_NAMED_FOLDERS = 10
"""That lie one within the other: each is a purse more in the transaction that admits a batch."""
FIELDS = ("ask_above_usd", "day_usd", "month_usd", "earlier_approvals")
_MAX_USD = 1_000_000_000


class LimitFault(ConfigFault):
    """The limit file cannot be used, and none of it is."""


class FolderLimits(Record, frozen=True, kw_only=True):
    """What is said of one folder, those below it included. Amounts in micro-dollars; None: nothing is said."""

    ask_above: int | None = None
    day: int | None = None
    month: int | None = None
    earlier_approvals: bool | None = None
    """Whether an earlier approval of a recipe covers a later file."""


class LimitList(Record, frozen=True, kw_only=True):
    version: str = ""
    """`config/limits.json <S3 version id>`, or empty where there is no such file."""
    default: FolderLimits | None = None
    folders: dict[str, FolderLimits] = msgspec.field(default_factory=dict)
    """By path below the inbox, such as `marketing/eu`. Never changed."""

    def limits_of(self, input_key: str) -> tuple[tuple[str, FolderLimits], ...]:
        """The limits that hold for a file, each with its folder below the inbox, the nearest first.

        At most 10 named folders, and one more where the top folder is not named: it falls under `default`. The folder of files
        that lie in none is called "".
        """
        above = _folders_above(input_key)
        named = tuple((folder, self.folders[folder]) for folder in above if folder in self.folders)
        top = above[-1]
        return named if top in self.folders or self.default is None else (*named, (top, self.default))

    def ask_above(self, input_key: str, stack_default: int | None) -> int | None:
        """Micro-dollars a day beyond which somebody is asked: what the nearest folder says, else `default`, else the stack's."""
        said = (limits.ask_above for limits in self._nearest_first(input_key) if limits.ask_above is not None)
        return next(said, stack_default)

    def earlier_approvals(self, input_key: str) -> bool:
        """Whether an earlier approval may cover a file. As with `ask_above`, the nearest that says it decides."""
        said = (limits.earlier_approvals for limits in self._nearest_first(input_key) if limits.earlier_approvals is not None)
        return next(said, True)

    def _nearest_first(self, input_key: str) -> list[FolderLimits]:
        named = [self.folders[folder] for folder in _folders_above(input_key) if folder in self.folders]
        return named if self.default is None else [*named, self.default]


def read_limits(data: bytes, *, name: str, version: str) -> LimitList:
    """`name`: of the file, for its reader. `version`: of the object. Raises LimitFault."""
    file = ConfigFile(data, name, LimitFault)
    fields = file.fields((), file.value, ("default", "folders"))
    named = fields.get("folders", {})
    if not isinstance(named, dict):
        raise file.fault(("folders",), 'This must be an object with one entry a folder: {"marketing": {"day_usd": 20}}.')
    folders = {_folder(file, folder, named): _limits(file, ("folders", folder), said) for folder, said in named.items()}
    default = _limits(file, ("default",), fields["default"]) if "default" in fields else None
    return LimitList(version=f"{name} {version}", default=default, folders=folders)


def _folder(file: ConfigFile, folder: str, named: dict[str, object]) -> str:
    if not folder or folder != folder.strip("/") or folder.startswith(INBOX):
        raise file.fault(
            ("folders", folder), "Write the path of the folder below inbox/, without a slash before or behind it: `marketing/eu`."
        )
    if len(folder.encode()) > MAX_KEY_BYTES:
        raise file.fault(("folders", folder), f"No folder has a path of more than {MAX_KEY_BYTES:,} bytes. Write its path.")
    if sum(above in named for above in _folders_above(f"{INBOX}{folder}/file")) > MAX_NAMED_FOLDERS:
        raise file.fault(
            ("folders", folder), f"More than {MAX_NAMED_FOLDERS} folders lie one within the other here. Leave some of them out."
        )
    return folder


def _limits(file: ConfigFile, path: Path, value: object) -> FolderLimits:
    fields = file.fields(path, value, FIELDS)
    approvals = fields.get("earlier_approvals")
    if "earlier_approvals" in fields and not isinstance(approvals, bool):
        raise file.fault((*path, "earlier_approvals"), "Write true or false, without quotation marks.")
    ask_above, day, month = (
        _micro(file, (*path, name), fields[name]) if name in fields else None
        for name in ("ask_above_usd", "day_usd", "month_usd")
    )
    return FolderLimits(ask_above=ask_above, day=day, month=month, earlier_approvals=approvals)


def _micro(file: ConfigFile, path: Path, value: object) -> int:
    what = "US dollars, 0 or more and with at most 6 decimals"
    return int(file.amount(path, value, what=what, example="20", most=_MAX_USD, zero=True) * MICRO)


def _folders_above(input_key: str) -> list[str]:
    """`inbox/a/b/file` -> `["a/b", "a"]`; of a file that lies in no folder `[""]`."""
    parts = input_key.removeprefix(INBOX).split("/")[:-1] or [""]
    return ["/".join(parts[:depth]) for depth in range(len(parts), 0, -1)]
