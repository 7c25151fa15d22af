import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.nih_phantoms import write_nih
from tests.recipes import tiny_recipe
from training.prepare.data import TrainingData, load_training_data
from training.train import loop


@pytest.fixture(scope="session")
def nih_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ChestX-ray14 of phantoms; read-only by agreement."""
    return write_nih(tmp_path_factory.mktemp("nih") / "data")


@pytest.fixture
def own_nih_folder(tmp_path: Path) -> Path:
    """The same, for tests that change it."""
    return write_nih(tmp_path / "data", patients=6, films_each=1, test_patients=2)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Decoded pixels, for all tests."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def data(nih_folder: Path, cache: Path) -> TrainingData:
    """What the tiny recipe trains on."""
    return load_training_data(tiny_recipe(), nih_folder, cache)


@pytest.fixture
def ctrl_c_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Somebody presses Ctrl-C in this step of the training loop, counted from 1."""

    def press(step: int) -> None:
        step_of, taken = loop._step, []

        def interrupted(*arguments: object) -> object:
            taken.append(1)
            if len(taken) == step:
                os.kill(os.getpid(), signal.SIGINT)
            return step_of(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(loop, "_step", interrupted)

    return press
