"""Keys that are made once and kept beside the data: one signs session cookies, one chains the audit log."""

import os
import secrets
from pathlib import Path
from typing import Final

from diagnosis_tool.errors import SettingsInvalid

_FILE: Final = "secret_key"
AUDIT_FILE: Final = "audit_key"
_BYTES: Final = 32


def stored_secret(data_dir: Path) -> str:
    """The key in data_dir/secret_key, readable by this user alone; made on the first call.

    Raises SettingsInvalid when it can be neither read nor made.
    """
    return _stored(data_dir / _FILE, "SECRET_KEY")


def audit_key(data_dir: Path) -> str:
    """The same in data_dir/audit_key: a key of its own, since what was signed with it must stay checkable."""
    return _stored(data_dir / AUDIT_FILE, "AUDIT_KEY")


def _stored(path: Path, setting: str) -> str:
    data_dir = path.parent
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _make(path)
        key = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsInvalid(
            f"The key in {path} cannot be used: {error}. Remove the file, or set {setting}."
        ) from error
    if len(key) < _BYTES:
        raise SettingsInvalid(f"The key in {path} is too short. Remove the file: a new one is made.")
    return key


def _make(path: Path) -> None:
    # written whole under another name first: a second process never reads half a key, and the first one's stays
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(_BYTES))
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
