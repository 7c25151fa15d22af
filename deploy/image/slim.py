"""Run while the image is built: takes out of an environment what serving never opens, and says how much that was.

What each step is worth stands in docs/results/image.md; `make image` proves on the result that nothing is missing.
"""

import shutil
import subprocess
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path

SITE = Path(sysconfig.get_path("purelib"))

UNUSED_PACKAGES = (
    # grad-cam asks for these to draw and to factorise; our code never imports them (cxr/lazy_import.py)
    *("opencv-python-headless", "matplotlib", "scikit-learn", "scipy"),
    *("joblib", "threadpoolctl", "contourpy", "cycler", "kiwisolver", "pyparsing", "python-dateutil"),
    # nothing is downloaded from a hub, and the network is closed
    "hf-xet",
    # torch names it for who compiles networks
    "setuptools",
)
LANGUAGES = ("en", "de")
UNUSED_FILES = (
    # torch: headers and programs for who writes extensions of it, and its own tests
    *("torch/include", "torch/test", "torch/share", "torch/bin/test_*", "torch/bin/protoc*"),
    # OpenVINO: devices and file formats that cxr/engines does not ask for
    *(
        "openvino/libs/libopenvino_intel_gpu_plugin*",
        "openvino/libs/libopenvino_intel_npu_*",
        "openvino/libs/cache.json",
    ),
    *(f"openvino/libs/libopenvino_{kind}_frontend*" for kind in ("onnx", "tensorflow*", "paddle", "gguf", "jax")),
    # plotly: its Jupyter extension and example data. dash: maps from its scripts to their sources
    *("plotly/labextension", "plotly/package_data/datasets", "dash/**/*.map"),
    *("numpy/f2py", "numpy/_core/lib", "numpy/_core/include", "sqlalchemy/testing"),
    *("**/*.pyi", "**/*.a"),
)
UNSTRIPPED = ("torch/lib/*.so", "_libjpeg.*.so", "_openjpeg.*.so")
"""Libraries whose symbols are worth megabytes. Not all: what wheels bring along in folders of their own was moved about
inside after it was made, and no longer loads when strip has moved it again."""
TESTS = ("tests", "test")
KEPT_TESTS = ("torch/", "alembic/", "pydicom/")
"""Packages that have code of theirs in folders of this name, or whose tests are no weight."""


def main() -> None:
    """Each step, with the megabytes it took away."""
    steps: list[tuple[str, Callable[[], None]]] = [
        ("packages that serving never calls", _packages),
        ("files that serving never opens", lambda: _remove(_matches(UNUSED_FILES))),
        ("packages' own tests", lambda: _remove(_tests())),
        ("words of other languages than the pages'", lambda: _remove(_locales())),
        ("bytecode: only what is used is compiled, below", lambda: _remove(SITE.rglob("__pycache__"))),
        ("symbols of libraries", _strip),
    ]
    print(f"slim: {_megabytes()} MB before")
    for what, step in steps:
        before = _megabytes()
        step()
        print(f"slim: {before - _megabytes():4d} MB {what}", flush=True)
    print(f"slim: {_megabytes()} MB after")


def _packages() -> None:
    subprocess.run(["pip", "uninstall", "--quiet", "--yes", "--root-user-action=ignore", *UNUSED_PACKAGES], check=True)


def _matches(patterns: tuple[str, ...]) -> Iterator[Path]:
    for pattern in patterns:
        yield from list(SITE.glob(pattern))


def _tests() -> Iterator[Path]:
    for name in TESTS:
        for folder in list(SITE.rglob(name)):
            if folder.is_dir() and not folder.relative_to(SITE).as_posix().startswith(KEPT_TESTS):
                yield folder


def _locales() -> Iterator[Path]:
    for file in (SITE / "babel" / "locale-data").glob("*.dat"):
        if file.stem != "root" and file.stem.partition("_")[0] not in LANGUAGES:
            yield file


def _remove(paths: Iterator[Path]) -> None:
    for path in list(paths):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _strip() -> None:
    libraries = [str(file) for file in _matches(UNSTRIPPED)]
    subprocess.run(["strip", "--strip-unneeded", *libraries], check=True)


def _megabytes() -> int:
    return sum(file.lstat().st_size for file in SITE.rglob("*") if not file.is_dir()) // 1_000_000


if __name__ == "__main__":
    main()
