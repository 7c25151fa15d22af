"""Each import contract bites: in a copy of the tree, what it forbids makes `lint-imports` fail and is named."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final
from unittest.mock import ANY

import pytest

ROOT: Final = Path(__file__).parents[2]
_CONTRACTS: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
ROOMS: Final[dict[str, list[str]]] = next(c["rooms"] for c in _CONTRACTS if c["type"] == "rooms")
UNKNOWN: Final = "httpcore2"
"""A library that the table does not know."""


def _samples() -> dict[str, Path]:
    """A module of each package and each module at the top, by its name."""
    samples = {}
    for root in ("diagnosis_tool", "training"):
        for place in sorted((ROOT / root).iterdir()):
            found = sorted(place.glob("[a-z]*.py")) if place.is_dir() else [place] if place.suffix == ".py" else []
            if found and not place.name.startswith("_"):
                samples[".".join(found[0].relative_to(ROOT).with_suffix("").parts)] = found[0].relative_to(ROOT)
    for name in (
        "diagnosis_tool.web.health",
        "diagnosis_tool.cxr.classifier",
        "diagnosis_tool.worker.loop",
        "training.train.loop",
    ):
        samples[name] = Path(name.replace(".", "/")).with_suffix(".py")
    return samples


SAMPLES: Final = _samples()


def strangers(module: str) -> list[str]:
    """The libraries that this module may not import."""
    return [*(lib for lib, rooms in ROOMS.items() if not any(f"{module}.".startswith(f"{r}.") for r in rooms)), UNKNOWN]


def linted(folder: Path) -> tuple[int, str]:
    """What the command itself says of the tree there."""
    command = Path(sys.executable).with_name("lint-imports")
    run = subprocess.run(
        [command, "--no-cache"], cwd=folder, capture_output=True, text=True, timeout=120,
        env={**os.environ, "COLUMNS": "500", "PYTHONPATH": str(folder)},
    )  # fmt: skip
    return run.returncode, run.stdout + run.stderr


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what the contracts look at."""
    for package in ("diagnosis_tool", "training", "testing"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__", "*.toml"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def add(tree: Path, module: str, imports: list[str]) -> None:
    """Writes these imports into the module; the last one into a function, where nothing of it runs at the start."""
    lines = [f"import {name}" for name in imports]
    with (tree / SAMPLES[module]).open("a") as file:
        file.write("\n".join(["", *lines[:-1], "def late():", f"    {lines[-1]}", ""]))


def test_each_library_is_kept_out_of_every_package_that_is_none_of_its_rooms(tree: Path) -> None:
    for module in SAMPLES:
        add(tree, module, strangers(module))
    code, said = linted(tree)
    assert code == 1
    assert "Each library is imported in its rooms alone BROKEN" in said
    assert [f"{m} imports {lib}" for m in SAMPLES for lib in strangers(m) if f"{m} imports {lib}, " not in said] == []
    for module, library in (
        ("diagnosis_tool.web.health", "sqlalchemy"),
        ("diagnosis_tool.web.health", "pydicom"),
        ("training.train.loop", "pytorch_grad_cam"),
        ("diagnosis_tool.worker.loop", "flask"),
        ("diagnosis_tool.web.health", "dash"),
        ("diagnosis_tool.cxr.classifier", "openvino"),
        ("diagnosis_tool.web.health", "fpdf"),
        ("diagnosis_tool.worker.loop", "diagnosis_tool.settings"),
    ):
        assert library in strangers(module)
        assert module in SAMPLES


def test_the_tree_as_it_is_breaks_none_also_with_each_library_in_its_rooms(tree: Path) -> None:
    """So what the other tests add is all that breaks there."""
    for module in SAMPLES:
        if module.startswith(("diagnosis_tool.cxr", "training")):  # nothing of the web process reaches these
            add(tree, module, [library for library in ROOMS if library not in strangers(module)])
    assert linted(tree) == (0, ANY)


def test_each_other_contract_bites(tree: Path) -> None:
    allowed = {"cxr", "dicom", "errors"}
    ours = {place.stem for place in (tree / "diagnosis_tool").glob("[a-z]*")}
    forbidden = {
        "Layers of diagnosis_tool": [
            ("storage", "services"),
            ("cxr", "dicom"),
            ("domain", "web"),
            ("dicom", "storage"),
        ],
        "The product never imports training": [("worker", "training.phantom")],
        "The web process never reaches torch or OpenVINO, not even indirectly": [("services", "cxr.classifier")],
        "training imports only cxr, dicom and errors": [("training", module) for module in sorted(ours - allowed)],
    }
    assert len(forbidden["training imports only cxr, dicom and errors"]) > 10
    pairs = [(_sample(importer), _named(imported)) for found in forbidden.values() for importer, imported in found]
    for module in {importer for importer, _ in pairs}:
        add(tree, module, [imported for importer, imported in pairs if importer == module])
    code, said = linted(tree)
    assert code == 1
    assert [name for name in forbidden if f"{name} BROKEN" not in said] == []
    assert [pair for pair in pairs if f"{pair[0]} -> {pair[1]} (" not in said] == []


def test_no_module_imports_itself_through_another(tree: Path) -> None:
    (tree / "diagnosis_tool/domain/one.py").write_text("from diagnosis_tool.domain import two\n")
    (tree / "diagnosis_tool/domain/two.py").write_text("def late():\n    from diagnosis_tool.domain.one import two\n")
    code, said = linted(tree)
    assert code == 1
    assert "No module imports itself through others BROKEN" in said
    assert "diagnosis_tool.domain.one -> diagnosis_tool.domain.two" in said


def _sample(package: str) -> str:
    return next(name for name in SAMPLES if package in name.split("."))


def _named(module: str) -> str:
    return module if module.startswith("training") else f"diagnosis_tool.{module}"
