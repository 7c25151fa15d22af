"""A converted network is kept whole or not at all."""

import json
import os
from pathlib import Path

import pytest

from diagnosis_tool.cxr.engines.openvino_cache import MODEL_FILE, cache_key, cached_model


class Writer:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, file: Path) -> None:
        self.calls += 1
        file.write_text("graph")
        file.with_suffix(".bin").write_bytes(b"weights")


def test_is_written_once(tmp_path: Path) -> None:
    write = Writer()
    files = [cached_model(tmp_path / "engines", "key", write) for _ in range(2)]
    assert files == [tmp_path / "engines" / "key" / MODEL_FILE] * 2
    assert write.calls == 1
    assert [path.name for path in (tmp_path / "engines").iterdir()] == ["key"]


@pytest.mark.parametrize(
    "damage", ["altered", "shortened", "missing", "no hashes", "no JSON", "wrong JSON", "empty list"]
)
def test_is_made_again_when_damaged(tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    write = Writer()
    place = cached_model(tmp_path, "key", write).parent
    weights, hashes = place / "model.bin", place / "sha256.json"
    match damage:
        case "altered":
            weights.write_bytes(b"weightz")
        case "shortened":
            weights.write_bytes(b"weig")
        case "missing":
            weights.unlink()
        case "no hashes":
            hashes.unlink()
        case "no JSON":
            hashes.write_text('{"model.xml": ')
        case "wrong JSON":
            hashes.write_text("7")
        case "empty list":
            hashes.write_text(json.dumps({}))
    assert cached_model(tmp_path, "key", write).read_text() == "graph"
    assert weights.read_bytes() == b"weights"
    assert write.calls == 2
    assert "damaged" in caplog.text


def test_a_writer_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(file: Path) -> None:
        file.write_text("half")
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        cached_model(tmp_path, "key", fail)
    assert list(tmp_path.iterdir()) == []


def test_another_process_may_be_faster(tmp_path: Path) -> None:
    write = Writer()

    def slow(file: Path) -> None:
        cached_model(tmp_path, "key", write)
        write(file)

    place = cached_model(tmp_path, "key", slow).parent
    assert place.name == "key"
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_what_was_not_used_for_long_goes_when_a_new_one_comes(tmp_path: Path) -> None:
    write = Writer()
    for age, key in enumerate(("last", "third", "second", "first")):
        os.utime(cached_model(tmp_path, key, write).parent, (1000 - age, 1000 - age))
    cached_model(tmp_path, "first", write)
    cached_model(tmp_path, "new", write)
    assert {path.name for path in tmp_path.iterdir()} == {"last", "third", "first", "new"}


def test_key_tells_every_part_apart() -> None:
    keys = {cache_key("a", "b", "c"), cache_key("ab", "", "c"), cache_key("a", "b", "d"), cache_key("z", "b", "c")}
    assert len(keys) == 4
