"""Runs that start from earlier ones, networks that grow, and soft labels of teachers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from diagnosis_tool.cxr.network import ChestNetwork, build_network
from tests.recipes import tiny_recipe
from training.errors import RecipeInvalid, StartWeightsMissing, TrainingFailed
from training.evaluate.predictions import read_predictions, write_predictions
from training.prepare.data import TrainingData, load_training_data
from training.train.devices import pick_device
from training.train.distillation import soft_labels
from training.train.loop import predict_logits, train
from training.train.run_folder import RunFolder
from training.train.warm_start import warm_start

CPU = pick_device("cpu")
LITE = {
    "network__architecture": "efficientnet_lite0", "network__trunk_activation": "silu", "preprocess__size_px": 33,
    "loop__epochs": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def data(nih_folder: Path, cache: Path) -> TrainingData:
    return load_training_data(tiny_recipe(**LITE), nih_folder, cache)


@pytest.fixture(scope="module")
def lite_run(data: TrainingData, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    run = RunFolder(tmp_path_factory.mktemp("lite"))
    train(tiny_recipe(**LITE), data, run, CPU)
    # so few steps leave running statistics that silence a random network: take those of one batch
    network = _network_of(run)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network.train()(data.validation.batch(np.arange(len(data.validation)))[0])
    run.write_best(network.state_dict())
    return run


def _from(run: RunFolder, **changes: object):
    start = {"start__weights": "trained", "start__trained": [str(run.path)], "start__head_bias": "random"}
    return tiny_recipe(**{**LITE, **start, **changes})


def _network_of(run: RunFolder) -> ChestNetwork:
    network = build_network(run.recipe().network, 15)
    network.load_state_dict(run.best())
    return network


@pytest.mark.parametrize(
    ("architecture", "std"),
    [
        ("efficientnet_b1", [0.25] * 3),
        ("efficientnet_b1", [0.3] * 3),  # exact but for the border, where zeros are padded after the normalisation
        ("efficientnet_b2", [0.25] * 3),  # with a wider head
    ],
)
def test_a_larger_network_grows_from_a_run_and_says_the_same_at_first(lite_run, data, architecture, std):
    larger = {"network__architecture": architecture, "network__trunk_activation": "own", "network__std": std}
    recipe = _from(lite_run, **larger)
    torch.manual_seed(3)
    grown = build_network(recipe.network, 15)
    origin = warm_start(grown, recipe, data)
    assert f"grown to {architecture}" in origin
    assert "random initialisation" in origin
    before, after = (predict_logits(network, data.validation, 8, CPU) for network in (_network_of(lite_run), grown))
    assert np.ptp(before, axis=0).max() > 1e-3  # the small network does tell images apart
    np.testing.assert_allclose(after, before, atol=2e-3)


def test_two_runs_side_by_side_say_the_mean_of_both(lite_run, data):
    larger = {"network__architecture": "efficientnet_b7", "network__trunk_activation": "silu"}
    recipe = _from(lite_run, **larger, start__trained=[str(lite_run.path)] * 2)
    grown = build_network(recipe.network, 15)
    assert warm_start(grown, recipe, data).count("a run of tiny") == 2
    before, after = (predict_logits(network, data.validation, 8, CPU) for network in (_network_of(lite_run), grown))
    np.testing.assert_allclose(after, before, atol=2e-3)


def test_the_same_network_goes_on_at_another_size(lite_run, nih_folder, cache, tmp_path):
    recipe = _from(lite_run, preprocess__size_px=65, data__cache_size_px=80)
    run = RunFolder(tmp_path)
    train(recipe, load_training_data(recipe, nih_folder, cache), run, CPU)
    assert run.info().start_weights.startswith("a run of tiny")


def test_a_run_of_another_split_is_refused(lite_run, nih_folder, cache):
    recipe = _from(lite_run, data__validation_fold=1)
    other = load_training_data(recipe, nih_folder, cache)
    with pytest.raises(StartWeightsMissing, match="may have learned from this run's"):
        warm_start(build_network(recipe.network, 15), recipe, other)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"network__architecture": "resnet18", "network__trunk_activation": "own"},
            "only an EfficientNet-B can grow",
        ),
        ({"network__mean": [0.4, 0.4, 0.4]}, "network.mean"),
    ],
)
def test_a_start_that_does_not_fit_is_refused(lite_run, data, changes, said):
    recipe = _from(lite_run, **changes)
    with pytest.raises(StartWeightsMissing, match=said):
        warm_start(build_network(recipe.network, 15), recipe, data)


@pytest.mark.parametrize(
    "changes",
    [
        {"start__weights": "trained"},
        {"start__trained": ["somewhere"]},
        {"start__weights": "trained", "start__trained": ["somewhere"], "start__head_bias": "prior"},
        {"data__soft_share": 0.5},
        {"data__soft_labels": "taught.npz"},
        {"data__soft_labels": "taught.npz", "data__soft_share": 0.5, "loss__kind": "focal"},
    ],
)
def test_recipes_that_contradict_themselves(changes):
    with pytest.raises(RecipeInvalid, match=r"start\.trained|data\.soft_share"):
        tiny_recipe(**changes)


def test_soft_labels_are_mixed_into_the_labels_that_train(lite_run, data, nih_folder, cache, tmp_path):
    file = tmp_path / "taught.npz"
    taught = soft_labels([lite_run, lite_run], nih_folder, cache, CPU)
    write_predictions(file, taught)
    assert taught.images == tuple(record.image for record in data.train.records)
    soft = load_training_data(
        tiny_recipe(**LITE, data__soft_labels=str(file), data__soft_share=0.25), nih_folder, cache
    )
    np.testing.assert_allclose(soft.train.labels_nK, 0.75 * data.train.labels_nK + 0.25 * taught.scores_NK, atol=1e-6)
    assert soft.train.labels_nK.dtype == np.float32
    np.testing.assert_array_equal(soft.validation.labels_nK, data.validation.labels_nK)


def test_teachers_answer_the_same_to_an_image_and_its_mirror_image(lite_run, data, nih_folder, cache):
    taught = soft_labels([lite_run], nih_folder, cache, CPU)
    network = _network_of(lite_run)
    served = load_training_data(tiny_recipe(**{**LITE, "data__cache_size_px": 33}), nih_folder, cache).train
    straight = predict_logits(network, served, 8, CPU)
    flipped = predict_logits(network, replace(served, pixels_NHW=served.pixels_NHW[:, :, ::-1].copy()), 8, CPU)
    expected = 1 / (1 + np.exp(-(straight.astype(np.float64) + flipped) / 2))
    np.testing.assert_allclose(taught.scores_NK, expected, atol=1e-5)


def test_teachers_that_learned_from_validation_are_refused(lite_run, nih_folder, cache, tmp_path):
    file = tmp_path / "taught.npz"
    write_predictions(file, soft_labels([lite_run], nih_folder, cache, CPU))
    other = tiny_recipe(**LITE, data__validation_fold=1, data__soft_labels=str(file), data__soft_share=0.5)
    with pytest.raises(TrainingFailed, match="validation images were learned from"):
        load_training_data(other, nih_folder, cache)
    assert read_predictions(file).split == "train"
