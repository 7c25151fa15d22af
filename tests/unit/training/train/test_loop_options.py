"""torch.compile, the ReLU6-to-SiLU blend, checkpoints that do not fit, and disks that are full."""

import contextlib
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from diagnosis_tool.cxr.backbones import build_backbone
from diagnosis_tool.cxr.network import build_network
from tests.recipes import tiny_recipe
from training import files
from training.errors import RecipeInvalid, TrainingFailed
from training.prepare.data import TrainingData, load_training_data
from training.recipes.config import Precision
from training.train import devices, interrupts, loop, run_folder
from training.train.blend import BlendedActivation
from training.train.devices import AUTO, pick_device
from training.train.interrupts import Stopped
from training.train.loop import train
from training.train.run_folder import RunFolder
from training.train.state import save_checkpoint

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(nih_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    return load_training_data(tiny_recipe(), nih_folder, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def lite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lite0 weights of nobody: random kernels, as start-weights would have written them."""
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("weights") / "efficientnet_lite0-imagenet.safetensors"
    save_file(build_backbone("efficientnet_lite0", 0).features.state_dict(), file)
    return file


def _blended(lite_file: Path, **changes: object):
    return tiny_recipe(**{
        "network__architecture": "efficientnet_b0", "start__weights": "efficientnet_lite0-imagenet",
        "start__file": str(lite_file), "start__blend": 0.5, "loop__epochs": 4, "loop__max_steps": 1, **changes,
    })  # fmt: skip


def _ratios(monkeypatch) -> list[float]:
    """The share of SiLU at each step."""
    seen: list[float] = []
    step_of = loop._gradients

    def noted(state, *rest):
        loss = step_of(state, *rest)
        seen.append(next(m.ratio for m in state.network.modules() if isinstance(m, BlendedActivation)))
        return loss

    monkeypatch.setattr(loop, "_gradients", noted)
    return seen


def test_the_blend_is_over_half_way_and_nothing_of_it_is_left(data, lite_file, tmp_path, monkeypatch):
    seen = _ratios(monkeypatch)
    run = RunFolder(tmp_path)
    state = train(_blended(lite_file), data, run, CPU)
    assert seen == [0, 0.5, 1, 1]
    assert [record.blending for record in run.history()] == [True, False, False, False]
    assert not any(isinstance(module, BlendedActivation | nn.ReLU6) for module in state.network.modules())
    plain = build_network(state_recipe := run.recipe().network, len(data.outputs))
    assert state_recipe.architecture == "efficientnet_b0"
    plain.load_state_dict(run.best())
    best = run.validation().scores_NK  # what the best weights said is what the plain network says
    np.testing.assert_allclose(loop.predict_logits(plain, data.validation, 8, CPU), best, atol=1e-4)
    assert "widened" not in run.info().start_weights or "efficientnet_b0" in run.info().start_weights


def test_no_weights_are_kept_while_blending_and_a_stopped_blend_goes_on(data, lite_file, tmp_path, monkeypatch):
    straight, broken = RunFolder(tmp_path / "straight"), RunFolder(tmp_path / "broken")
    recipe = _blended(lite_file, start__blend=1.0, loop__epochs=2)
    seen = _ratios(monkeypatch)
    train(recipe, data, straight, CPU)
    with monkeypatch.context() as patch:
        ask = interrupts.Stop(asked=True)
        patch.setattr(loop, "ask_to_stop", lambda: contextlib.nullcontext(ask))
        with pytest.raises(Stopped):
            train(recipe, data, broken, CPU)
        assert not broken.best_file.exists()
    train(recipe, data, broken, CPU)
    assert seen == [0, 0.5, 0, 0.5]
    assert [e.validation_loss for e in broken.history()] == [e.validation_loss for e in straight.history()]
    assert [e.blending for e in broken.history()] == [True, False]


@pytest.mark.parametrize(("architecture", "blend"), [("mobilenet_v2", 0.5), ("efficientnet_b0", 1.5)])
def test_a_blend_that_makes_no_sense_is_refused(architecture, blend):
    with pytest.raises(RecipeInvalid, match=r"start\.blend must lie in \[0, 1\]"):
        tiny_recipe(network__architecture=architecture, start__blend=blend)


def test_compiled_it_takes_the_same_steps(data, tmp_path, monkeypatch):
    asked = []

    def compile_eagerly(module):  # the real compiler takes a minute for this network
        asked.append(module)
        return torch._dynamo.optimize("eager")(module)

    monkeypatch.setattr(devices.torch, "compile", compile_eagerly)
    curves = []
    for compiled in (False, True):
        run = RunFolder(tmp_path / str(compiled))
        recipe = tiny_recipe(
            loop__compile=compiled, loop__epochs=1, loop__max_steps=2, network__architecture="resnet18"
        )
        train(recipe, data, run, CPU)
        curves.append([record.train_loss for record in run.history()])
    assert len(asked) == 1
    assert curves[0] == pytest.approx(curves[1], rel=1e-5)


def test_a_compiler_that_is_not_there_is_named(data, tmp_path, monkeypatch):
    class CompilerMissing(RuntimeError):
        __module__ = "torch._inductor.exc"

    def without(*_):
        raise CompilerMissing("no g++ found\nand so on")

    monkeypatch.setattr(loop, "_gradients", without)
    with pytest.raises(TrainingFailed, match=r"no g\+\+ found.*loop\.compile=false"):
        train(tiny_recipe(), data, RunFolder(tmp_path), CPU)


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
    run = RunFolder(tmp_path)
    state = train(tiny_recipe(loop__epochs=1, loop__max_steps=1), data, run, CPU)
    with pytest.raises(TrainingFailed, match="checkpoint of mobilenet_v2, and the recipe trains resnet18"):
        train(tiny_recipe(loop__epochs=1, loop__max_steps=1, network__architecture="resnet18"), data, run, CPU)
    with pytest.raises(TrainingFailed, match=r"another recipe \(loop\.epochs was 1, is 2\)"):
        train(tiny_recipe(loop__epochs=2, loop__max_steps=1), data, run, CPU)
    state.network.head = nn.Sequential(nn.Linear(3, 3))
    save_checkpoint(state, tiny_recipe(loop__epochs=1, loop__max_steps=1), run)
    with pytest.raises(TrainingFailed, match="weights of another network"):
        train(tiny_recipe(loop__epochs=1, loop__max_steps=1), data, run, CPU)


def test_early_stopping_waits_for_the_named_figure(data, tmp_path):
    run = RunFolder(tmp_path)
    recipe = tiny_recipe(
        loop__epochs=9, loop__early_stop=1, loop__select="f1:Edema", loop__max_steps=1, optimizer__learning_rate=1e-9
    )
    with pytest.raises(RecipeInvalid, match="0 of 4 validation images have Edema"):
        train(recipe, data, run, CPU)
    recipe = tiny_recipe(
        loop__epochs=9, loop__early_stop=1, loop__select="accuracy:Effusion", loop__max_steps=1,
        optimizer__learning_rate=1e-9,
    )  # fmt: skip
    train(recipe, data, run, CPU)
    assert len(run.history()) == 2  # a network that does not move gets no better


@contextlib.contextmanager
def _tiny_disk(folder: Path, size: str):
    """A file system that is soon full; skips the test where this user may not mount one."""
    folder.mkdir()
    mount = shutil.which("mount")
    if mount is None or subprocess.run([mount, "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]).returncode:
        pytest.skip("mounting a tmpfs needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_leaves_the_checkpoint_before_whole(tmp_path):
    with _tiny_disk(tmp_path / "disk", "300k") as disk:
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
