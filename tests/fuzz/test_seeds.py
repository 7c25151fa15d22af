"""What fuzzing has found, tried again by `make test`: small enough to stand here."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from diagnosis_tool.cxr.bundle import BUNDLE_FILE, open_bundle, resolve_bundle
from diagnosis_tool.errors import BundleInvalid, SettingsInvalid
from diagnosis_tool.settings import Settings
from tests.fuzz.running import words

SETTINGS: Final = {
    "a folder's name that is too long": {"DATA_DIR": "0" * 300},
    "models' name that is too long": {"MODELS_DIR": "0" * 300},
    "a number of more digits than Python reads": {"PORT": "9" * 5000},
    "leading zeros": {"QUOTA_GB": "0" * 5000 + "1"},
    "a long word": {"ENGINE": "x" * 20_000},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_settings(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsInvalid) as error:
        Settings.from_env(SETTINGS[name])
    words(error.value, 5000)


@pytest.mark.parametrize("name", ["0" * 300, "\0"])
def test_a_bundles_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(BundleInvalid):
        resolve_bundle(tmp_path, name)


def test_a_default_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "DEFAULT").write_bytes(b"\xff\xfe")
    with pytest.raises(BundleInvalid):
        resolve_bundle(tmp_path, "default")


Change = Callable[[dict[str, Any]], object]
BUNDLES: Final[dict[str, Change]] = {
    "half a character": lambda data: data.update(name="\ud800"),
    "NUL in a file's name": lambda data: data["weights"][0].update(file="\0"),
    "a long name of a key": lambda data: data.update({"x" * 20_000: None}),
    "a long file name": lambda data: data["weights"][0].update(file="x" * 20_000),
    "a number beyond floats": lambda data: data["golden"].update(tolerance=10**400),
    "lists in lists": lambda data: data.update(schema_version=nested(900)),
}


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("name", BUNDLES)
def test_bundle_json(name: str, tiny_bundle: Path, tmp_path: Path) -> None:
    data = json.loads((tiny_bundle / BUNDLE_FILE).read_bytes())
    BUNDLES[name](data)
    (tmp_path / BUNDLE_FILE).write_text(json.dumps(data))
    with pytest.raises(BundleInvalid) as error:
        open_bundle(tmp_path)
    words(error.value, 20_000)


def test_bundle_json_that_is_infinite_or_deep(tiny_bundle: Path, tmp_path: Path) -> None:
    """A tolerance of 1e400 is infinity to Python, and every golden output would pass it."""
    sound = json.loads((tiny_bundle / BUNDLE_FILE).read_bytes())
    sound["golden"]["tolerance"] = 123.5
    infinite = json.dumps(sound).replace("123.5", "1e400")
    for text, said in ((infinite, "1e400 is no number"), ("[" * 100_000, "nested too deeply")):
        (tmp_path / BUNDLE_FILE).write_text(text)
        with pytest.raises(BundleInvalid, match=said):
            open_bundle(tmp_path)
