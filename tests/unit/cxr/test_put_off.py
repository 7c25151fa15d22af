"""Packages that are only named at import are loaded when they are used, and need not be there."""

import subprocess
import sys
from pathlib import Path

import pytest

from diagnosis_tool.cxr.put_off import put_off

HEAVY = ("cv2", "matplotlib", "scipy", "sklearn")


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package with a part, and one that is nowhere."""
    (tmp_path / "put_off_whole").mkdir()
    (tmp_path / "put_off_whole" / "__init__.py").write_text("def double(x):\n    return 2 * x\n")
    (tmp_path / "put_off_whole" / "part.py").write_text("def triple(x):\n    return 3 * x\n")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("library")
def test_names_load_theirs_when_called() -> None:
    with put_off("put_off_whole", "put_off_nowhere"):
        import put_off_nowhere
        import put_off_whole
        from put_off_whole import part
        from put_off_whole.part import triple
    assert "put_off_whole" not in sys.modules
    assert (put_off_whole.double(2), triple(2), part.triple(2)) == (4, 6, 6)
    assert sys.modules["put_off_whole"] is not put_off_whole
    with pytest.raises(ModuleNotFoundError, match="put_off_nowhere"):
        put_off_nowhere.anything()
    with put_off("put_off_whole"):
        import put_off_whole as now
    assert now is sys.modules["put_off_whole"]  # it had been loaded


def test_heatmaps_load_no_drawing_library() -> None:
    code = (
        "import sys; import diagnosis_tool.cxr.gradcam; "
        f"print(sorted({set(HEAVY)!r} & {{name.partition('.')[0] for name in sys.modules}}))"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
