"""The chain for a lent GPU, from the tars that travel there to the parts that come back."""

import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from diagnosis_tool.cxr.backbones import build_backbone
from tests.rsna_labels import write_rsna_labels
from training import commands
from training.lease import __main__ as lease
from training.lease import chain, parts
from training.lease.chain import CHAIN, recipe_of
from training.lease.parts import halved, packed_tars
from training.train.run_folder import RunFolder

SMALL = {
    "mobilenet": ("preprocess.size_px=33",),
    "resnet50": ("network.architecture=resnet18", "preprocess.size_px=32", "start.weights=random"),
    "taught": ("preprocess.size_px=33",),
    "b7": ("network.architecture=efficientnet_b1", "preprocess.size_px=33", "boxes.images=2"),
    "b7-large": ("network.architecture=efficientnet_b1", "preprocess.size_px=65", "boxes.images=2"),
}
TRIAL = [
    option
    for pair in ("loop.precision=f32", "loop.batch_size=4", "loop.epochs=1", "loop.max_steps=1", "data.folds=4")
    for option in ("--set", pair)
]


@pytest.fixture
def start_weights(tmp_path: Path) -> Path:
    """Weights of nobody under the names that the chain starts from."""
    folder = tmp_path / "start-weights"
    folder.mkdir()
    torch.manual_seed(0)
    for name, architecture in (("mobilenet_v2-imagenet", "mobilenet_v2"), ("resnet50_v1-imagenet", "resnet18")):
        save_file(build_backbone(architecture, 0).features.state_dict(), folder / f"{name}.safetensors")
    return folder


def test_from_tars_to_parts(nih_folder, start_weights, tmp_path, monkeypatch, capsys):
    # one member each: two fit side by side into B7 alone (start_weights/test_wider_backbone.py)
    small = (replace(s, settings=s.settings + SMALL[s.run], members=s.members[:1]) for s in CHAIN)
    monkeypatch.setattr(lease, "CHAIN", tuple(small))
    monkeypatch.setattr(parts, "TAR_BYTES", 8 * 2**20)
    home, work = tmp_path / "home", tmp_path / "there"
    data = shutil.copytree(nih_folder, home / "nih-256")
    rsna = write_rsna_labels(home / "rsna", sorted(path.stem + ".png" for path in (data / "images").iterdir()))
    sources = ["--data", str(data), "--boxes", str(rsna), "--start-weights", str(start_weights)]
    assert lease.main(["carry", *sources, "--out", str(home)]) == 0
    tars = sorted(home.glob("carry-*.tar"))
    assert len(tars) > 1
    assert lease.main(["--work", str(work), "unpack", *map(str, tars)]) == 0
    assert lease.main(["--work", str(work), "train", "--device", "cpu", *TRIAL]) == 0
    assert (work / "soft-labels.npz").is_file()
    grown = RunFolder(work / "runs" / "b7-large")
    assert grown.recipe().boxes.folder == str(work / "rsna")
    assert "grown to efficientnet_b1" in grown.info().start_weights
    # what is finished is not trained again
    before = grown.last_file.stat().st_mtime_ns
    assert lease.main(["--work", str(work), "train", "--device", "cpu", *TRIAL]) == 0
    assert grown.last_file.stat().st_mtime_ns == before

    out = tmp_path / "out"
    monkeypatch.setattr(parts, "PART_BYTES", 2**20)
    for first in range(0, 40, 4):
        lease.main(["--work", str(work), "pack", "b7-large", "--out", str(out), "--first", str(first)])
    pieces = sorted(out.iterdir())
    assert all(piece.stat().st_size <= 2**20 for piece in pieces)
    whole = tmp_path / "whole.tar"
    whole.write_bytes(b"".join(piece.read_bytes() for piece in pieces))
    with tarfile.open(whole) as archive:
        archive.extractall(tmp_path / "back", filter="data")
    back = RunFolder(tmp_path / "back" / "b7-large")
    assert back.recipe() == grown.recipe()
    assert back.history() == grown.history()
    for name, value in grown.best().items():
        np.testing.assert_allclose(back.best()[name].float(), value.float(), rtol=1e-3, atol=1e-7)
    shutil.rmtree(work)  # soft labels and boxes stay there
    assert commands.main(["calibrate", str(back.path), "--data", str(data), "--cache", str(tmp_path / "cache")]) == 0
    assert back.calibration_file.is_file()


def test_the_chain_itself_names_recipes_that_fit(tmp_path):
    sizes = {step.run: recipe_of(step, tmp_path).preprocess.size_px for step in CHAIN}
    assert sizes["mobilenet"] % 32 == sizes["b7"] % 32 == sizes["b7-large"] % 32 == 1
    assert recipe_of(CHAIN[0], tmp_path, ("loop.epochs=1",)).loop.epochs == 1
    assert [step.run for step in chain.CHAIN if step.teachers] == ["taught", "b7", "b7-large"]


def test_a_value_beyond_float16_stays_as_it_is(tmp_path):
    file = tmp_path / "state.safetensors"
    file.write_bytes(halved({"large": torch.tensor([1e6]), "small": torch.tensor([0.5]), "count": torch.tensor(3)}))
    state = load_file(file)
    assert {name: value.dtype for name, value in state.items()} == {
        "large": torch.float32, "small": torch.float16, "count": torch.int64,
    }  # fmt: skip


def test_rsna_s_folder_without_its_tables_is_refused_at_home(nih_folder, start_weights, tmp_path, capsys):
    (tmp_path / "rsna").mkdir()
    sources = ["--data", str(nih_folder), "--boxes", str(tmp_path / "rsna"), "--start-weights", str(start_weights)]
    assert lease.main(["carry", *sources, "--out", str(tmp_path / "out")]) == 1
    assert "has no stage_2_train_labels.csv and no nih_source.csv" in capsys.readouterr().err


def test_no_tar_is_larger_than_a_call_carries(nih_folder, start_weights, tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "TAR_BYTES", 10**5)
    rsna = write_rsna_labels(tmp_path / "rsna", ["00000001_000.png"])
    for tar in packed_tars(nih_folder, rsna, start_weights, tmp_path / "tars")[:-3]:
        assert tar.stat().st_size <= 10**5 + 20480
