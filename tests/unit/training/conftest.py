from pathlib import Path

import pytest

from tests.nih_phantoms import write_nih


@pytest.fixture(scope="session")
def nih_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ChestX-ray14 of phantoms; read-only by agreement."""
    return write_nih(tmp_path_factory.mktemp("nih") / "data")


@pytest.fixture
def own_nih_folder(tmp_path: Path) -> Path:
    """The same, for tests that change it."""
    return write_nih(tmp_path / "data", patients=6, films_each=1, test_patients=2)
