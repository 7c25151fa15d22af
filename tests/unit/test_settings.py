from pathlib import Path

import pytest

from diagnosis_tool.cxr.engine_choice import EngineChoice, PrecisionChoice
from diagnosis_tool.errors import SettingsInvalid
from diagnosis_tool.settings import Settings


def test_defaults_need_nothing() -> None:
    settings = Settings.from_env({})
    assert (settings.host, settings.port, settings.bundle) == ("127.0.0.1", 8000, "default")


def test_all_bad_keys_are_reported_at_once(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    env = {"PORT": "eighty", "WEB_THREADS": "0", "MODELS_DIR": str(tmp_path / "none"), "DATA_DIR": str(file)}
    env |= {"ENGINE": "onnx", "PRECISION": "int8"}
    with pytest.raises(SettingsInvalid) as error:
        Settings.from_env(env)
    assert all(key in str(error.value) for key in env)


def test_the_engine_is_chosen_by_name(tmp_path: Path) -> None:
    assert Settings.from_env({}).engine_options(2).engine is EngineChoice.AUTO
    env = {"ENGINE": "openvino", "PRECISION": "f32", "TORCH_THREADS": "3", "DATA_DIR": str(tmp_path)}
    options = Settings.from_env(env).engine_options(2)
    assert (options.engine, options.precision, options.threads) == (EngineChoice.OPENVINO, PrecisionChoice.F32, 3)
    assert options.cache_folder == tmp_path / "engines"


@pytest.mark.parametrize(
    ("env", "cores", "threads"),
    [
        ({}, 8, 8),
        ({"WORKERS": "2"}, 8, 4),
        ({"WORKERS": "3"}, 8, 2),
        ({"WORKERS": "4"}, 2, 1),
        ({"WORKERS": "2", "TORCH_THREADS": "3"}, 8, 3),
    ],
)
def test_workers_share_the_cores(env: dict[str, str], cores: int, threads: int) -> None:
    assert Settings.from_env(env).threads_of_a_worker(cores) == threads
