"""Two CPU processes under torchrun take the steps of one, stop together, and go through folds.

The network is VGG-16, which has no BatchNorm: torch synchronises batch statistics on CUDA alone, and with statistics of
half a batch each the two runs would differ by design. Dropout is 0: each process has its own masks.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.unit.training.test_commands import write_recipe
from training.commands import main
from training.errors import RecipeInvalid
from training.recipes.config import AugmentConfig
from training.train.augment import BatchPart, augment
from training.train.distributed import ALONE, ProcessGroup
from training.train.run_folder import RunFolder

ROOT = Path(__file__).resolve().parents[4]


_SMALL = {"loop.batch_size": "4"}  # the recipe's own small network; BatchNorm wants two images a process


def _options(home: Path, nih_folder: Path, out: str, settings: dict[str, str] | None = None) -> list[str]:
    settings = settings or {
        "network.architecture": "vgg16", "network.head_dropout": "0.0", "freeze.stages": "[[0, 4], [1, 3]]",
        "loop.batch_size": "2", "loop.accumulate": "2", "loop.ema_decay": "0.0", "start.head_bias": "random",
        "optimizer.kind": "sgd", "optimizer.learning_rate": "0.02",
        "augment.rotate_deg": "7.0", "augment.flip": "0.5", "augment.translate": "0.05",
    }  # fmt: skip
    return [
        "train", str(write_recipe(home / "tiny.toml")), "--data", str(nih_folder), "--cache", str(home / "cache"),
        "--out", str(home / out), "--device", "cpu", *(f"--set={key}={value}" for key, value in settings.items()),
    ]  # fmt: skip


def _torchrun(options: list[str]) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "training"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*command, *options], cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def test_two_processes_have_the_loss_curve_of_one(nih_folder, tmp_path):
    process = _torchrun(_options(tmp_path, nih_folder, "two"))
    assert main(_options(tmp_path, nih_folder, "one")) == 0
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    one, two = RunFolder(tmp_path / "one"), RunFolder(tmp_path / "two")
    for key in ("train_loss", "validation_loss", "step", "learning_rate"):
        curves = [[getattr(record, key) for record in run.history()] for run in (one, two)]
        np.testing.assert_allclose(curves[1], curves[0], rtol=1e-5)
    assert one.history()[0].train_loss != pytest.approx(one.history()[1].train_loss, rel=1e-3)
    np.testing.assert_allclose(two.validation().scores_NK, one.validation().scores_NK, rtol=1e-3, atol=1e-5)
    for name, value in one.best().items():
        torch.testing.assert_close(two.best()[name], value, rtol=1e-4, atol=1e-6)
    assert sorted(file.name for file in two.path.iterdir()) == sorted(file.name for file in one.path.iterdir())
    assert said.count("epoch 1: train loss") == said.count("2 processes on cpu") == 1  # one of them speaks


@pytest.mark.long
def test_ctrl_c_stops_both_and_the_same_command_goes_on(nih_folder, tmp_path):
    run, epochs = RunFolder(tmp_path / "stopped"), 6
    options = [
        *_options(tmp_path, nih_folder, "stopped", _SMALL),
        f"--set=loop.epochs={epochs}",
        "--set=loop.early_stop=0",
    ]
    process = _torchrun(options)
    end = time.monotonic() + 300
    while not run.history() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert said.count("the same command goes on") >= 1, said
    done = run.history()
    assert 1 <= len(done) < epochs
    again = _torchrun(options)
    said, _ = again.communicate(timeout=300)
    assert again.returncode == 0, said
    assert run.history()[: len(done)] == done
    assert [record.epoch for record in run.history()] == list(range(1, epochs + 1))


@pytest.mark.long
def test_cross_validation_by_two_processes_is_proven(nih_folder, tmp_path):
    _, *options = _options(tmp_path, nih_folder, "folds", _SMALL)
    process = _torchrun(["cross-validate", *options, "--folds", "3", "--set=loop.epochs=1"])
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    proof = json.loads((tmp_path / "folds" / "proof.json").read_text())
    assert proof["every_image_validated_exactly_once"] is True
    assert proof["patients_trained_and_validated"] == 0
    assert len(proof["fold"]) == 3
    assert said.count("proof.json") == 1  # one of them speaks


def test_a_part_is_augmented_as_in_the_whole_batch():
    x = torch.randint(0, 256, (6, 40, 40), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    config = AugmentConfig(
        crop=(0.8, 1.0), aspect=(0.9, 1.1), flip=0.5, rotate_deg=7.0, translate=0.1, scale=(0.9, 1.1), brightness=9.0,
        contrast=0.1,
    )  # fmt: skip
    whole = augment(x, 32, config, torch.Generator().manual_seed(1))
    for first in (0, 2, 4):
        part = augment(
            x[first : first + 2], 32, config, torch.Generator().manual_seed(1), BatchPart(first=first, whole=6)
        )
        torch.testing.assert_close(part, whole[first : first + 2], rtol=0, atol=1e-3)


def test_a_batch_is_divided_without_loss():
    batch = np.arange(8)
    groups = [ProcessGroup(rank=rank, size=4) for rank in range(4)]
    np.testing.assert_array_equal(np.concatenate([group.share(batch) for group in groups]), batch)
    assert [batch[g.part(8).first] for g in groups] == [g.share(batch)[0] for g in groups]
    np.testing.assert_array_equal(ALONE.share(batch), batch)
    with pytest.raises(RecipeInvalid, match="batch of 6 cannot be divided evenly by 4"):
        groups[0].check(6)
