import json
import re
from pathlib import Path

import pytest

from tests.recipes import tiny_recipe
from training.config import Precision, load_recipe, recipe_from, recipe_to_json
from training.errors import RecipeInvalid

RECIPES = sorted((Path(__file__).parents[3] / "training" / "recipes").glob("*.toml"))
FIRST = RECIPES[0]


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
    ("override", "message"),
    [
        ("loop.epoch=7", "epoch"),
        ("loop.epochs=seven", "expected int, found 'seven'"),
        ("loop.epochs=0", "must be at least 1"),
        ("loop.precision=f64", "f64"),
        ("augment.crop=[0.9, 0.5]", "augment.crop"),
        ("nonsense", "write key=value"),
        ("name.x=1", "is a value, not a table"),
        ("data.validation_fold=10", "validation_fold"),
    ],
)
def test_wrong_values_are_errors_that_name_them(override, message):
    with pytest.raises(RecipeInvalid, match=re.escape(message)):
        load_recipe(FIRST, (override,))


def test_a_missing_preprocess_key_is_an_error(tmp_path):
    text = "\n".join(line for line in FIRST.read_text().splitlines() if not line.startswith("interpolation"))
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(RecipeInvalid, match="missing key 'interpolation'"):
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
