"""Checkpoints that do not fit, runs of before, and disks that are full."""

import json
from dataclasses import asdict

import pytest
import torch
from torch import nn

from tests.full_disk import small_disk
from tests.recipes import tiny_recipe
from training import files
from training.errors import RecipeInvalid, TrainingFailed
from training.recipes.config import Precision
from training.train import devices, loop, run_folder
from training.train.devices import AUTO, pick_device
from training.train.loop import train
from training.train.run_folder import RunFolder
from training.train.state import save_checkpoint

CPU = torch.device("cpu")


def test_the_device_is_chosen_in_one_place(monkeypatch):
    assert pick_device("cpu") == CPU
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device(AUTO) == CPU
    chosen = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    assert pick_device(AUTO, local_rank=1) == torch.device("cuda:1") == chosen[0]
    with pytest.raises(TrainingFailed, match="GPU 2 was asked for and there are 2"):
        pick_device("cuda", local_rank=2)
    with devices.autocast(CPU, Precision.BF16):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype is torch.bfloat16


def test_memory_that_ran_out_says_what_to_lower(data, tmp_path, monkeypatch):
    def greedy(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(loop, "_gradients", greedy)
    with pytest.raises(TrainingFailed, match=r"loop\.batch_size=2\).*loop\.accumulate=2\)"):
        train(tiny_recipe(), data, RunFolder(tmp_path), CPU)


def test_a_checkpoint_of_another_architecture_or_recipe_is_named(data, tmp_path):
    run, short = RunFolder(tmp_path), {"loop__epochs": 1, "loop__max_steps": 1}
    state = train(tiny_recipe(**short), data, run, CPU)
    with pytest.raises(TrainingFailed, match="checkpoint of mobilenet_v2, and the recipe trains resnet18"):
        train(tiny_recipe(**short, network__architecture="resnet18"), data, run, CPU)
    with pytest.raises(TrainingFailed, match=r"another recipe \(loop\.epochs was 1, is 2\)"):
        train(tiny_recipe(loop__epochs=2, loop__max_steps=1), data, run, CPU)
    state.network.head = nn.Sequential(nn.Linear(3, 3))
    save_checkpoint(state, tiny_recipe(**short), run)
    with pytest.raises(TrainingFailed, match="weights of another network"):
        train(tiny_recipe(**short), data, run, CPU)


def test_early_stopping_waits_for_the_named_figure(data, tmp_path):
    run = RunFolder(tmp_path)
    short = {"loop__epochs": 9, "loop__early_stop": 1, "loop__max_steps": 1, "optimizer__learning_rate": 1e-9}
    with pytest.raises(RecipeInvalid, match="0 of 4 validation images have Edema"):
        train(tiny_recipe(**short, loop__select="f1:Edema"), data, run, CPU)
    train(tiny_recipe(**short, loop__select="accuracy:Effusion"), data, run, CPU)
    assert len(run.history()) == 2  # a network that does not move gets no better


def test_a_full_disk_leaves_the_checkpoint_before_whole(tmp_path):
    with small_disk(tmp_path / "disk", kilobytes=300) as disk:
        run = RunFolder(disk)
        run.write_last({"step": 1, "weights": torch.zeros(20_000)})
        before = run.last_file.read_bytes()
        with pytest.raises(TrainingFailed, match=r"disk is full: .*last\.pt could not be written"):
            run.write_last({"step": 2, "weights": torch.zeros(200_000)})
        assert run.last_file.read_bytes() == before
        assert run.last()["step"] == 1
        assert [file.name for file in disk.iterdir()] == ["last.pt"]


def test_a_disk_that_fills_while_saving_stops_the_run_and_it_goes_on_later(data, tmp_path, monkeypatch):
    straight, broken = RunFolder(tmp_path / "straight"), RunFolder(tmp_path / "broken")
    train(tiny_recipe(), data, straight, CPU)
    write, count = run_folder.write_whole, []

    def filling(target, data):
        count.append(target.name)
        if count.count("last.pt") == 2:  # the second epoch's
            monkeypatch.setattr(files.os, "fsync", full)
        write(target, data)

    def full(number):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(run_folder, "write_whole", filling)
        with pytest.raises(TrainingFailed, match="disk is full"):
            train(tiny_recipe(), data, broken, CPU)
    monkeypatch.undo()
    assert broken.last()["epoch"] == 1
    assert not [file for file in broken.path.iterdir() if file.name.startswith(".")]
    train(tiny_recipe(), data, broken, CPU)
    assert [e.train_loss for e in broken.history()] == [e.train_loss for e in straight.history()]


def test_a_learning_curve_of_before_is_read_without_the_key_that_has_gone(tmp_path):
    run = RunFolder(tmp_path)
    record = {"epoch": 1, "step": 2, "learning_rate": 0.1, "train_loss": 1.0, "validation_loss": 0.9, "mean_auc": None,
              "auc": {}, "images_per_s": 1.0, "seconds": 2.0, "answers": {}}  # fmt: skip
    run.history_file.write_text(json.dumps([{**record, "blending": False}]))
    assert [asdict(epoch) for epoch in run.history()] == [record]
