"""Packages that are only named at import are loaded when they are used, and need not be there."""

import subprocess
import sys
from pathlib import Path

import pytest

from diagnosis_tool.cxr.lazy_import import lazy_import

HEAVY = {"cv2", "matplotlib", "scipy", "sklearn", "sympy", "torch._dynamo"}


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package with a part, and one that is nowhere."""
    (tmp_path / "lazy_import_whole").mkdir()
    (tmp_path / "lazy_import_whole" / "__init__.py").write_text("def double(x):\n    return 2 * x\n")
    (tmp_path / "lazy_import_whole" / "part.py").write_text("def triple(x):\n    return 3 * x\n")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("library")
def test_names_load_theirs_when_called() -> None:
    with lazy_import("lazy_import_whole", "lazy_import_nowhere"):
        import lazy_import_nowhere
        import lazy_import_whole
        from lazy_import_whole import part
        from lazy_import_whole.part import triple
    assert "lazy_import_whole" not in sys.modules
    assert (lazy_import_whole.double(2), triple(2), part.triple(2)) == (4, 6, 6)
    assert sys.modules["lazy_import_whole"] is not lazy_import_whole
    with pytest.raises(ModuleNotFoundError, match="lazy_import_nowhere"):
        lazy_import_nowhere.anything()
    with lazy_import("lazy_import_whole"):
        import lazy_import_whole as now
    assert now is sys.modules["lazy_import_whole"]  # it had been loaded


def test_part_of_a_package_may_be_lazy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lazy_import_parts" / "slow").mkdir(parents=True)
    (tmp_path / "lazy_import_parts" / "__init__.py").touch()
    (tmp_path / "lazy_import_parts" / "slow" / "__init__.py").write_text("def double(x):\n    return 2 * x\n")
    monkeypatch.syspath_prepend(tmp_path)
    import lazy_import_parts

    with lazy_import("lazy_import_parts.slow"):
        from lazy_import_parts.slow import double
    assert not hasattr(lazy_import_parts, "slow")
    assert double(2) == 4
    assert lazy_import_parts.slow.double(2) == 4


def test_predicting_loads_no_drawing_library_and_no_compiler(tiny_bundle: Path) -> None:
    code = (
        "import sys, numpy; from pathlib import Path; from diagnosis_tool.cxr.classifier import load_classifier; "
        "from diagnosis_tool.cxr.types import Radiograph; "
        "film = Radiograph(pixels=numpy.arange(4096, dtype=numpy.uint8).reshape(64, 64), source_format='PNG'); "
        f"load_classifier(Path({str(tiny_bundle)!r})).predict(film); "
        f"loaded = {{*sys.modules, *(name.partition('.')[0] for name in sys.modules)}}; print(sorted({HEAVY} & loaded))"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
