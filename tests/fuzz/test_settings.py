"""Settings.from_env: settings, or all that is wrong with them in words."""

import os
from dataclasses import fields
from pathlib import Path
from typing import Final

import pytest
from hypothesis import strategies as st

from diagnosis_tool.errors import SettingsInvalid
from diagnosis_tool.settings import Settings
from tests.fuzz.mutations import TEXTS
from tests.fuzz.running import BOTH, fuzz, words

_TAKES: Final = {"quota_bytes": "QUOTA_GB", "session_idle": "SESSION_IDLE_MINUTES", "session_lifetime": "SESSION_HOURS"}
KEYS: Final = tuple(_TAKES.get(field.name, field.name.upper()) for field in fields(Settings))
VALUES: Final = st.one_of(TEXTS, st.integers().map(str), st.text("0123456789", max_size=5000))


def promise(env: dict[str, str]) -> None:
    """A place for data is never made, whatever comes of it."""
    try:
        settings = Settings.from_env(env)
    except SettingsInvalid as error:
        words(error, 5000)
    else:
        assert settings.threads_of_a_worker(2) >= 1
        assert settings.engine_options(2).threads >= 1
        assert 0 < settings.port < 65536


@BOTH
def test_any_environment_is_read_or_refused(box: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fuzz(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=6), promise, box=box, smoke=60)
    assert os.listdir(tmp_path) == []
