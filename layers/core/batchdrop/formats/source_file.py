"""`config/sources.json`: which files rows may name besides those of their team's inbox. `docs/recipes.md` describes it."""

from __future__ import annotations

from batchdrop.domain.file_names import SCHEME
from batchdrop.domain.keys import INBOX, MAX_KEY_BYTES
from batchdrop.formats.config_file import ConfigFault, ConfigFile

_MOST_PREFIXES = 100


class SourceFault(ConfigFault):
    """The file cannot be used, and none of it is."""


def read_sources(data: bytes, *, name: str) -> dict[str, tuple[str, ...]]:
    """Prefixes such as `s3://archive/invoices/` by folder below the inbox. `name`: of the file. Raises SourceFault."""
    file = ConfigFile(data, name, SourceFault)
    named = file.fields((), file.value, ("folders",)).get("folders", {})
    if not isinstance(named, dict):
        raise file.fault(
            ("folders",), 'This must be an object with a list of prefixes a folder: {"invoices": ["s3://archive/invoices/"]}.'
        )
    return {folder: _prefixes(file, folder, said) for folder, said in named.items()}


def _prefixes(file: ConfigFile, folder: str, said: object) -> tuple[str, ...]:
    path = ("folders", folder)
    if not folder or folder != folder.strip("/") or folder.startswith(INBOX):
        raise file.fault(path, "Write the path of the folder below inbox/, without a slash before or behind it: `marketing/eu`.")
    if not isinstance(said, list) or len(said) > _MOST_PREFIXES or not all(map(_is_prefix, said)):
        raise file.fault(
            path, f"This must be a list of up to {_MOST_PREFIXES} prefixes that end in a slash, such as `s3://archive/invoices/`."
        )
    return tuple(said)


def _is_prefix(value: object) -> bool:
    if not isinstance(value, str) or not value.startswith(SCHEME) or not value.endswith("/"):
        return False
    parts = value.removeprefix(SCHEME).removesuffix("/").split("/")
    return len(value) <= MAX_KEY_BYTES and all(part not in ("", ".", "..") for part in parts)
