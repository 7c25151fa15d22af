"""Packages that are only named at import are loaded when they are used, and need not be there."""

import subprocess
import sys
from pathlib import Path

import pytest

from diagnosis_tool.cxr.lazy_import import lazy_import

HEAVY = ("cv2", "matplotlib", "scipy", "sklearn")


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


def test_heatmaps_load_no_drawing_library() -> None:
    code = (
        "import sys; import diagnosis_tool.cxr.gradcam; "
        f"print(sorted({set(HEAVY)!r} & {{name.partition('.')[0] for name in sys.modules}}))"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
