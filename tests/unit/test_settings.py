from pathlib import Path

import pytest

from diagnosis_tool.errors import SettingsInvalid
from diagnosis_tool.settings import Settings


def test_defaults_need_nothing() -> None:
    settings = Settings.from_env({})
    assert (settings.host, settings.port, settings.bundle) == ("127.0.0.1", 8000, "default")


def test_all_bad_keys_are_reported_at_once(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    env = {"PORT": "eighty", "WEB_THREADS": "0", "MODELS_DIR": str(tmp_path / "none"), "DATA_DIR": str(file)}
    with pytest.raises(SettingsInvalid) as error:
        Settings.from_env(env)
    assert all(key in str(error.value) for key in env)
