"""Fixtures that several kinds of tests share."""

import gc
import os

# What is not about engines predicts with torch, since converting takes seconds for each bundle; and with one thread:
# several that wait for each other burn CPU time, ten times as much as the work itself where the cores are shared.
# Before torch is loaded, and for every process that a test starts.
os.environ |= {"ENGINE": "torch", "TORCH_THREADS": "1", "OMP_NUM_THREADS": "1"}

# isort: split
import logging
from collections.abc import Iterator
from functools import cache
from io import BytesIO
from pathlib import Path

import pytest
from flask import Flask
from jinja2.bccache import Bucket, BytecodeCache
from PIL import Image

from diagnosis_tool.services.context import Context
from diagnosis_tool.worker import memory
from testing.bundles import write_bundle
from testing.stores import open_store
from training.phantom import chest_phantom
from training.release import finish

memory.keep_flat()  # a third less time in the kernel where networks are trained

REAL_FILMS = Path(__file__).resolve().parents[2] / "shared" / "data" / "nih-1024"


def pytest_collection_finish() -> None:
    """What was imported stays; looking through it for garbage again and again was a quarter of tests/unit/web's CPU."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


@cache
def phantom_png(seed: int = 0, side_px: int = 256) -> bytes:
    """A chest phantom as a PNG file."""
    buffer = BytesIO()
    Image.fromarray(chest_phantom(seed=seed, height_px=side_px, width_px=side_px)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="session", autouse=True)
def own_data_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Commands that tests start keep converted networks here, not in the checkout; one conversion serves them all."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATA_DIR", str(tmp_path_factory.mktemp("data")))
        yield


@pytest.fixture(scope="session", autouse=True)
def no_precision_validation() -> Iterator[None]:
    """A release validates no other precision: a conversion each; test_precision_validation.py does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finish, "validate_precisions", lambda *_, **__: ())
        yield


@pytest.fixture(autouse=True)
def no_log_on_a_closed_stream() -> Iterator[None]:
    """What a command logs to is the test's own standard error, which is closed after it: its handler goes with it."""
    before = set(logging.root.handlers)
    yield
    for handler in set(logging.root.handlers) - before:
        if type(handler) is logging.StreamHandler:  # pytest's own are of other kinds
            logging.root.removeHandler(handler)


class _CompiledTemplates(BytecodeCache):
    """Templates as they were compiled for the first app of this process."""

    def __init__(self) -> None:
        self._code: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self._code:
            bucket.bytecode_from_string(self._code[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._code[bucket.key] = bucket.bytecode_to_string()


@pytest.fixture(scope="session", autouse=True)
def templates_compiled_once() -> Iterator[None]:
    """Each test has an app of its own, and compiling its pages is a fifth of what that costs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Flask, "jinja_options", {"bytecode_cache": _CompiledTemplates()})
        yield


@pytest.fixture
def context(tmp_path: Path) -> Context:
    """Stores on an empty, migrated database of its own."""
    return open_store(tmp_path)


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A valid 15-output MobileNetV2 bundle at 64 px with random weights."""
    return write_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture(scope="session")
def film_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Path]]:
    """Three radiographs: real ones where shared/ lies beside the checkout, else phantoms."""
    real = sorted(REAL_FILMS.glob("*.png"))[:3]
    if real:
        yield real
        return
    folder = tmp_path_factory.mktemp("films")
    files = [folder / f"phantom-{seed}.png" for seed in range(3)]
    for seed, file in enumerate(files):
        file.write_bytes(phantom_png(seed, 512))
    yield files
