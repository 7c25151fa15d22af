"""The mean of a run's weights and of one that went on from it is a run of its own."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from tests.recipes import tiny_recipe
from training.commands import main
from training.errors import TrainingFailed
from training.prepare.data import TrainingData
from training.train.interpolate_weights import interpolate_weights
from training.train.loop import train
from training.train.run_folder import RunFolder

CPU = torch.device("cpu")
ONE_EPOCH = {"loop__epochs": 1}


@pytest.fixture(scope="module")
def runs(data: TrainingData, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, RunFolder]:
    home = tmp_path_factory.mktemp("runs")
    before, after = RunFolder(home / "before"), RunFolder(home / "after")
    train(tiny_recipe(**ONE_EPOCH), data, before, CPU)
    start = {"weights": "trained", "trained": [str(before.path)]}
    train(tiny_recipe(**ONE_EPOCH, start=start, seed=2), data, after, CPU)
    return before, after


def copied(run: RunFolder, out: RunFolder, **info: Any) -> RunFolder:
    """A run like this one, but for what is said of it."""
    out.path.mkdir()
    out.write_recipe(run.recipe())
    out.write_best(run.best())
    out.write_history(run.history())
    out.write_info(replace(run.info(), **info))
    return out


def test_the_weights_lie_between_both(runs, nih_folder, cache, tmp_path, capsys):
    before, after = runs
    arguments = ["average", str(before.path), str(after.path), "--data", str(nih_folder), "--cache", str(cache)]
    out = RunFolder(tmp_path / "out")
    assert main([*arguments, "--share", "0.25", "--out", str(out.path)]) == 0
    assert "mean AUC on validation 0." in capsys.readouterr().out
    one, other, mean = before.best(), after.best(), out.best()
    for name, value in mean.items():
        expected = 0.75 * one[name] + 0.25 * other[name] if value.is_floating_point() else other[name]
        torch.testing.assert_close(value, expected)
    assert (out.recipe(), out.history()) == (after.recipe(), after.history())
    assert "0.25 of what came of it and 0.75 of that start" in out.info().start_weights
    said = out.validation()
    assert said is not None
    assert said.images == after.info().validation_images
    assert main([*arguments, "--out", str(out.path)]) == 1
    assert "is a run already" in capsys.readouterr().err


def test_the_new_run_may_read_at_another_size(runs, nih_folder, cache, tmp_path, capsys):
    _, after = runs
    arguments = ["average", *(str(run.path) for run in runs), "--data", str(nih_folder), "--cache", str(cache), "--out"]
    size = after.recipe().preprocess.size_px
    out = RunFolder(tmp_path / "out")
    assert main([*arguments, str(out.path), "--size", str(size + 32)]) == 0
    assert out.recipe().preprocess.size_px == size + 32
    assert out.recipe().optimizer == after.recipe().optimizer
    assert out.info().start_weights.endswith(f"; trained at {size} px")
    assert main(["calibrate", str(out.path), "--data", str(nih_folder), "--cache", str(cache)]) == 0
    assert main([*arguments, str(tmp_path / "other"), "--size", "4"]) == 1
    assert "at least 16" in capsys.readouterr().err


@pytest.mark.parametrize("share", ["0", "1.5"])
def test_a_share_beyond_0_and_1_is_refused(share, tmp_path, capsys):
    assert main(["average", "a", "b", "--share", share, "--out", str(tmp_path / "out")]) == 1
    assert "--share" in capsys.readouterr().err


def test_runs_of_another_split_or_network_are_refused(runs, data, tmp_path):
    before, after = runs
    other = copied(before, RunFolder(tmp_path / "other"), validation_images=before.info().train_images)
    with pytest.raises(TrainingFailed, match="one split"):
        interpolate_weights(other, after, 0.5, data, RunFolder(tmp_path / "out"), after.recipe())
    other.write_recipe(replace(before.recipe(), network=replace(before.recipe().network, architecture="resnet18")))
    with pytest.raises(TrainingFailed, match="same network"):
        interpolate_weights(other, after, 0.5, data, RunFolder(tmp_path / "out"), after.recipe())
    assert not (tmp_path / "out").exists()


def test_only_a_run_and_what_came_of_it_have_something_between(runs, data, tmp_path):
    before, after = runs
    with pytest.raises(TrainingFailed, match="did not start from"):
        interpolate_weights(after, before, 0.5, data, RunFolder(tmp_path / "out"), before.recipe())


def test_data_of_another_split_is_refused(runs, data, tmp_path):
    before, after = runs
    other = replace(data, validation=data.train)
    with pytest.raises(TrainingFailed, match="one split"):
        interpolate_weights(before, after, 0.5, other, RunFolder(tmp_path / "out"), after.recipe())


def test_half_precision_from_a_lent_gpu_is_averaged_with_what_lies_here(runs, data, tmp_path):
    before, after = runs
    half = copied(after, RunFolder(tmp_path / "half"))
    half.write_best({name: v.half() if v.is_floating_point() else v for name, v in after.best().items()})
    interpolate_weights(before, half, 0.5, data, RunFolder(tmp_path / "out"), half.recipe())
    for name, value in RunFolder(tmp_path / "out").best().items():
        expected = (before.best()[name] + after.best()[name]) / 2 if value.is_floating_point() else value
        torch.testing.assert_close(value, expected, atol=1e-3, rtol=1e-3)
