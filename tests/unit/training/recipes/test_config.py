import copy
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from diagnosis_tool.cxr.backbones import ARCHITECTURES
from diagnosis_tool.cxr.calibration import Activation
from tests.recipes import tiny_recipe
from training.errors import RecipeInvalid
from training.recipes.config import Balance, LossKind, Precision, SamplingKind
from training.recipes.load import load_recipe, recipe_from, recipe_to_json, stored_recipe
from training.start_weights.unpack import RANDOM, SOURCES
from training.train.losses import build_loss

RECIPES = sorted((Path(__file__).parents[4] / "training" / "recipes").glob("*.toml"))
FIRST = next(path for path in RECIPES if path.stem == "nih14-mobilenet_v2-first")


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_is_valid_and_named_as_its_file(path):
    assert load_recipe(path).name == path.stem


def test_set_replaces_values_of_every_type():
    recipe = load_recipe(
        FIRST,
        ("loop.epochs=7", "loop.precision=f32", "optimizer.learning_rate=1e-3", "augment.crop=[0.5, 0.9]", 'name="x"'),
    )
    assert (recipe.loop.epochs, recipe.loop.precision, recipe.optimizer.learning_rate) == (7, Precision.F32, 1e-3)
    assert (recipe.augment.crop, recipe.name) == ((0.5, 0.9), "x")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("loop.epoch=7", "epoch"),
        ("loop.epochs=seven", "expected int, found 'seven'"),
        ("loop.epochs=0", "must be at least 1"),
        ("loop.precision=f64", "f64"),
        ("augment.crop=[0.9, 0.5]", "augment.crop"),
        ("nonsense", "write key=value"),
        ("name.x=1", "is a value, not a table"),
        ("data.validation_fold=10", "validation_fold"),
        ("loop.stochastic_depth=-0.1", "stochastic_depth must lie in [0, 1]"),
        ("loop.stochastic_depth=6", "stochastic_depth must lie in [0, 1]"),
        ("calibration.method=none", "must be platt or temperature"),
        ("calibration.method=isotonic", "isotonic"),
        ("calibration.slope_spread=-1", "slope_spread must not be negative"),
        ("calibration.method=temperature; calibration.slope_spread=0.3", "slope_spread must not be negative"),
    ],
)
def test_wrong_values_are_errors_that_name_them(overrides, message):
    with pytest.raises(RecipeInvalid, match=re.escape(message)):
        load_recipe(FIRST, tuple(overrides.split("; ")))


def test_a_missing_preprocess_key_is_an_error(tmp_path):
    shutil.copytree(FIRST.parent, tmp_path, dirs_exist_ok=True)
    base = tmp_path / "bases" / "chest.toml"
    base.write_text("\n".join(line for line in base.read_text().splitlines() if not line.startswith("interpolation")))
    with pytest.raises(RecipeInvalid, match="missing key 'interpolation'"):
        load_recipe(tmp_path / FIRST.name)


def test_a_recipe_says_only_what_differs_from_the_one_it_extends(tmp_path):
    (tmp_path / "middle").mkdir()
    (tmp_path / "middle" / "m.toml").write_text(f'extends = "{FIRST}"\n[loop]\nepochs = 7\n[augment]\nflip = 0.25\n')
    (tmp_path / "r.toml").write_text('extends = "middle/m.toml"\nname = "r"\n[augment]\ncrop = [0.5, 0.9]\n')
    first, recipe = load_recipe(FIRST), load_recipe(tmp_path / "r.toml", ("loop.batch_size=3",))
    augment = replace(first.augment, flip=0.25, crop=(0.5, 0.9))
    assert recipe == replace(first, name="r", augment=augment, loop=replace(first.loop, epochs=7, batch_size=3))
    assert recipe_from(json.loads(recipe_to_json(recipe)), "saved") == recipe


@pytest.mark.parametrize(
    ("extends", "message"),
    [
        ('"r.toml"', "Recipes extend each other"),
        ('"other.toml"', r"Recipes extend each other: \S+r.toml -> \S+other.toml -> \S+r.toml"),
        ('"none.toml"', r"none.toml, which \S+r.toml extends, cannot be read"),
        ('["other.toml"]', 'write extends = "other.toml", one file'),
    ],
)
def test_what_cannot_be_extended(tmp_path, extends, message):
    (tmp_path / "other.toml").write_text('extends = "r.toml"\n')
    (tmp_path / "r.toml").write_text(f"extends = {extends}\n")
    with pytest.raises(RecipeInvalid, match=message):
        load_recipe(tmp_path / "r.toml")


def test_what_is_wrong_is_told_with_all_files_that_it_may_stand_in(tmp_path):
    (tmp_path / "bases").mkdir()
    (tmp_path / "bases" / "b.toml").write_text(f'extends = "{FIRST}"\n[loop]\nepoch = 3\n')
    (tmp_path / "r.toml").write_text('extends = "bases/b.toml"\n')
    with pytest.raises(RecipeInvalid, match=r"r\.toml \(extends \S+bases/b\.toml, \S+first\.toml, .*\(epoch\)"):
        load_recipe(tmp_path / "r.toml")


def test_files_that_are_no_recipe(tmp_path):
    with pytest.raises(RecipeInvalid, match="cannot be read"):
        load_recipe(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("= 3")
    with pytest.raises(RecipeInvalid, match="is not TOML"):
        load_recipe(tmp_path / "bad.toml")


def test_a_saved_recipe_reads_back_the_same():
    recipe = tiny_recipe()
    assert recipe_from(json.loads(recipe_to_json(recipe)), "saved") == recipe


def test_a_key_that_has_gone_is_an_error_in_a_recipe_and_left_out_of_a_run_of_before():
    data = json.loads(recipe_to_json(tiny_recipe()))
    data["loop"] |= {"channels_last": True, "compile": False}
    data["start"]["blend"] = 0.0
    data["calibration"] |= {"weighting": "ward", "ap_share": 0.55, "follow_up_from": [0], "follow_up_shares": [1.0]}
    data["explanation"] |= {"method": "layercam", "mean_images": 300, "opposite": 0.5, "smoothing_cells": 1.0}
    with pytest.raises(RecipeInvalid, match=r"extra fields.*blend.*weighting.*opposite"):
        recipe_from(copy.deepcopy(data), "typed")
    assert stored_recipe(copy.deepcopy(data), "run") == tiny_recipe()
    data["start"]["blend"] = 0.5  # which made other weights
    with pytest.raises(RecipeInvalid, match="blend"):
        stored_recipe(data, "run")
    del data["start"]
    with pytest.raises(RecipeInvalid, match="run: missing key 'start'"):
        stored_recipe(data, "run")


NAMES = [  # of the field: all of them must be there
    "nih14-effnet_b7-adam-exponential",
    "nih14-effnet_b7-sgd-step",
    "nih14-effnet_b7-adam-step",
    "nih14-resnet_50-adam-exponential",
    "nih14-resnet_50-adam-step",
    "nih14-effnet_b0-adam-step",
    "nih14-effnet_b0-sgd-step",
    "nih14-googlenet-adam-step-1",
    "nih14-googlenet-adam-step-2",
    "nih14-densenet161-adam-step",
    "nih14-resnet_34-adam-step",
    "nih-sample-resnet50-grey",
    "covidx-coatnet0",
    "covidx-resnet50v2",
    "kermany-vgg16",
    "rsna-resnet18-grey",
    "rsna-resnet50-grey",
]


@pytest.mark.parametrize("name", NAMES)
def test_their_networks_are_known_and_their_losses_fit_the_data(name):
    recipe = load_recipe(FIRST.parent / f"{name}.toml", ("start.weights=random",))
    exclusive = recipe.data.dataset == "covidx"
    activation = Activation.SOFTMAX if exclusive else Activation.SIGMOID
    labels = np.eye(3, dtype=np.float32) if exclusive else np.zeros((2, 1), np.float32)
    build_loss(recipe.loss, labels, activation)
    assert recipe.network.architecture in ARCHITECTURES
    start = load_recipe(FIRST.parent / f"{name}.toml").start.weights
    assert start == RANDOM or recipe.network.architecture in SOURCES[start].architectures
    assert recipe.network.input_px == (recipe.preprocess.size_px if "coatnet" in name else 0)
    assert (FIRST.parent / f"{name}.toml").read_text().startswith("# ")
    for part in name.split("-"):
        if part in {"adam", "sgd", "step", "exponential"}:
            assert part in (recipe.optimizer.kind, recipe.schedule.kind)


def test_the_hyperparameters_that_were_published():
    b7 = load_recipe(FIRST.parent / "nih14-effnet_b7-adam-exponential.toml")
    assert (b7.optimizer.learning_rate, b7.schedule.gamma, b7.loop.epochs) == (1e-4, 0.5, 8)
    grey = load_recipe(FIRST.parent / "nih-sample-resnet50-grey.toml")
    assert (grey.network.in_channels, grey.optimizer.learning_rate, grey.loss.kind) == (1, 1e-3, LossKind.BCE)
    coatnet = load_recipe(FIRST.parent / "covidx-coatnet0.toml")
    assert (coatnet.optimizer.learning_rate, coatnet.loop.epochs) == (5e-6, 15)
    assert coatnet.sampling.kind is SamplingKind.DOWN
    assert (coatnet.network.head_hidden, coatnet.network.head_dropout, coatnet.start.weights) == ((128,), 0.2, "random")
    v2 = load_recipe(FIRST.parent / "covidx-resnet50v2.toml")
    assert (v2.preprocess.size_px, v2.optimizer.learning_rate, v2.loop.epochs) == (300, 1e-5, 12)
    assert (v2.loss.class_weight, v2.network.head_batch_norm) == (Balance.BALANCED, True)
    assert load_recipe(FIRST.parent / "kermany-vgg16.toml").freeze.names == ("features",)
    for weight in (1.0, 2.22, 4.44):
        rsna = load_recipe(FIRST.parent / "rsna-resnet18-grey.toml", (f"loss.pos_weight={weight}",))
        assert (rsna.loss.pos_weight, rsna.network.in_channels, rsna.optimizer.learning_rate) == (weight, 1, 1e-4)


@pytest.mark.parametrize(
    ("override", "value"), [("2.22", 2.22), ("[1, 2.5]", (1.0, 2.5)), ("balanced", Balance.BALANCED)]
)
def test_a_weight_is_a_number_a_list_or_balanced_and_survives_saving(override, value):
    recipe = load_recipe(FIRST, (f"loss.pos_weight={override}", "loss.kind=bce"))
    assert recipe.loss.pos_weight == value
    assert recipe_from(json.loads(recipe_to_json(recipe)), "saved") == recipe


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": {"kind": "bce", "pos_weight": "heavy"}}, "a number, a list of numbers or 'balanced', found 'heavy'"),
        ({"loss": {"kind": "bce", "pos_weight": True}}, "found True"),
        ({"loss": {"kind": "bce", "pos_weight": [1.0, -1.0]}}, "must be above 0"),
        ({"loss": {"kind": "focal", "pos_weight": 2.0}}, "loss.pos_weight has no effect on loss.kind focal: leave it"),
        ({"loss": {"kind": "bce", "label_smoothing": 0.1}}, "label_smoothing has no effect on loss.kind bce"),
        ({"loss": {"kind": "focal", "focal_gamma": -1.0}}, "focal_gamma must not be negative"),
        ({"loss": {"kind": "huber"}}, "huber"),
        ({"optimizer": {"kind": "adam", "learning_rate": 1.0, "nesterov": True}}, "nesterov needs kind = sgd"),
        ({"optimizer": {"kind": "sgd", "learning_rate": 0.0}}, "learning_rate must be above 0"),
        ({"schedule": {"kind": "one_cycle"}}, "set schedule.warmup above 0"),
        ({"schedule": {"kind": "step", "step_epochs": 0}}, "step_epochs"),
        ({"sampling": {"kind": "up"}}, "up"),
        ({"augment": {"scale": [1.2, 0.8]}}, "augment.aspect and augment.scale"),
        ({"augment": {"translate": 1.0}}, "augment.translate"),
        ({"augment": {"rotate_deg": -7.0}}, "rotate_deg"),
        ({"network__mean": []}, 'be empty lists, with data.normalise = "training_set"'),
        ({"network__in_channels": 1}, "one value for each of network.in_channels"),
    ],
)
def test_impossible_values_and_combinations_say_what_to_do(changes, message):
    with pytest.raises(RecipeInvalid, match=re.escape(message)):
        tiny_recipe(**changes)
