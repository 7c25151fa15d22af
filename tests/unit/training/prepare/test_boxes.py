"""Boxes supervise where a network looks, those of half of the patients alone; the others' judge."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from diagnosis_tool.cxr.network import build_network
from tests.recipes import tiny_recipe
from tests.rsna_labels import write_rsna_labels
from training.datasets import read_dataset
from training.datasets.base import Split
from training.errors import DatasetInvalid, RecipeInvalid
from training.prepare.boxes import (
    OPACITIES,
    BoxedFilms,
    boxed_films,
    opacity_boxes,
    supervises,
)
from training.prepare.data import TrainingData, load_training_data
from training.recipes.config import BoxesConfig, Precision, Recipe
from training.train import loop
from training.train.interrupts import Stopped
from training.train.location_loss import last_layer, location_loss
from training.train.loop import train
from training.train.run_folder import RunFolder

CPU = torch.device("cpu")


def test_boxes_of_the_test_lists_patients_are_left_out(nih_folder: Path, tmp_path: Path) -> None:
    nih = read_dataset("nih", nih_folder)
    assert nih.of(Split.TEST)
    boxes = opacity_boxes(write_rsna_labels(tmp_path / "rsna", [record.image for record in nih.records]), nih)
    assert {record.image for record in boxes} == {record.image for record in nih.of(Split.TRAIN_VAL)}
    (box,) = next(iter(boxes.values()))
    assert (box.left, box.top, box.width, box.height) == pytest.approx((0.1, 0.2, 0.5, 0.25))


def test_films_without_opacity_have_no_boxes(nih_folder: Path, tmp_path: Path) -> None:
    nih = read_dataset("nih", nih_folder)
    films = [record.image for record in nih.of(Split.TRAIN_VAL)]
    with pytest.raises(DatasetInvalid, match="no boxes"):
        opacity_boxes(write_rsna_labels(tmp_path / "rsna", films, target=0), nih)


@pytest.fixture(scope="module")
def rsna(nih_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    films = [record.image for record in read_dataset("nih", nih_folder).records]
    return write_rsna_labels(tmp_path_factory.mktemp("rsna") / "data", films)


@pytest.fixture(scope="module")
def recipe(rsna: Path) -> Recipe:
    boxes = BoxesConfig(folder=str(rsna), weight=1.0, images=2)
    tiny = tiny_recipe(augment={"crop": [0.9, 1.0], "flip": 0.5}, preprocess__size_px=96, data__cache_size_px=96)
    return replace(tiny, boxes=boxes)  # 96 px: maps of 3 x 3 cells


@pytest.fixture(scope="module")
def data(recipe: Recipe, nih_folder: Path, cache: Path) -> TrainingData:
    return load_training_data(recipe, nih_folder, cache)


def test_half_of_the_patients_teach_and_only_films_that_train(data: TrainingData, rsna: Path, nih_folder: Path) -> None:
    assert 0.4 < np.mean([supervises(f"{n:08}") for n in range(2000)]) < 0.6
    assert data.boxed is not None
    teaching = {n for n, record in enumerate(data.train.records) if supervises(record.patient)}
    assert set(data.boxed.masks) == teaching
    assert 0 < len(teaching) < len(data.train)
    assert [data.outputs[k].name for k in data.boxed.columns] == [o.name for o in data.outputs if o.name in OPACITIES]
    others = [record for record in data.train.records if not supervises(record.patient)]
    with pytest.raises(DatasetInvalid, match="may supervise"):
        boxed_films(rsna, read_dataset("nih", nih_folder), others, data.outputs, 96)


def test_a_mask_covers_the_box_and_films_without_one_are_empty(data: TrainingData) -> None:
    assert data.boxed is not None
    with_box = next(iter(data.boxed.masks))
    without = next(n for n in range(len(data.train)) if n not in data.boxed.masks)
    masks = data.boxed.masks_of(np.array([with_box, without]))
    assert masks.dtype == torch.uint8
    rows, columns = masks[0].nonzero(as_tuple=True)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (19, 43, 9, 57)  # of 96: 0.2 to 0.45, 0.1 to 0.6
    assert not masks[1].any()


def test_films_with_boxes_take_the_last_places_of_each_batch() -> None:
    films = BoxedFilms(masks={n: torch.zeros(2, 2, dtype=torch.uint8) for n in (3, 5, 8)}, side_px=2, columns=(0,))
    batches = [np.arange(10, 14), np.arange(20, 24)]
    drawn = films.among(batches, 2, seed=1)
    assert [list(batch[:2]) for batch in drawn] == [[10, 11], [20, 21]]
    assert all(len(batch) == 4 and set(batch[2:]) <= {3, 5, 8} and batch[2] != batch[3] for batch in drawn)
    assert all((a == b).all() for a, b in zip(drawn, films.among(batches, 2, seed=1), strict=True))
    assert [len(set(batch[-3:]) - {3, 5, 8}) for batch in films.among(batches, 9, seed=1)] == [0, 0]


def test_the_loss_is_small_when_the_map_lies_in_the_box() -> None:
    last = torch.nn.Linear(1, 2).requires_grad_(False)
    last.weight.fill_(1)
    masks = torch.zeros(2, 64, 64)
    masks[0, :32, :32] = 255  # the upper left four of sixteen cells; the second film has no box
    features = torch.zeros(2, 1, 4, 4)
    even = location_loss(features, last, masks, (0, 1))
    assert float(even) == pytest.approx(-np.log(4 / 16))
    features[0, 0, 0, 0] = 10
    assert float(location_loss(features, last, masks, (0, 1))) < 0.02
    features[0, 0, 0, 0], features[0, 0, 3, 3] = 0, 10
    assert float(location_loss(features, last, masks, (0, 1))) > 5
    assert float(location_loss(features, last, torch.zeros(2, 64, 64), (0, 1))) == 0


def test_a_head_of_more_layers_is_refused(data: TrainingData, recipe: Recipe, tmp_path: Path) -> None:
    deeper = replace(recipe.network, head_hidden=(8,))
    with pytest.raises(RecipeInvalid, match="one dense layer"):
        last_layer(build_network(deeper, 15))
    with pytest.raises(RecipeInvalid, match="one dense layer"):
        train(replace(recipe, network=deeper), data, RunFolder(tmp_path), CPU)


@pytest.mark.parametrize(
    "boxes",
    [
        {"folder": "somewhere"},
        {"folder": "somewhere", "weight": 1.0},
        {"folder": "somewhere", "weight": 1.0, "images": 5},
        {"weight": 1.0},
        {"images": 1},
    ],
)
def test_a_recipe_says_all_of_it_or_nothing(boxes: dict[str, object]) -> None:
    with pytest.raises(RecipeInvalid, match=r"boxes\.weight"):
        tiny_recipe(boxes=boxes)


def test_masks_move_with_their_films(data: TrainingData, recipe: Recipe) -> None:
    """Films that are white where their boxes are keep their white there, whatever else is done to their grey values."""
    assert data.boxed is not None
    recipe = replace(recipe, augment=replace(recipe.augment, brightness=10.0, contrast=0.1))
    job = loop._Job(
        recipe=recipe,
        data=data,
        run=RunFolder(Path()),
        device=CPU,
        group=loop.ALONE,
        loss_of=lambda logits, _: logits.sum(),
        stop=loop.Stop(),
        steps=1,
    )
    chosen = np.array(list(data.boxed.masks)[:2])
    generator = torch.Generator().manual_seed(5)
    masks = loop._masks(job, chosen, generator, loop.BatchPart(first=0, whole=2))
    films = loop.augment(data.boxed.masks_of(chosen), 96, recipe.augment, generator)  # the generator has not moved on
    assert masks is not None
    assert not torch.equal(masks, films)
    assert ((masks > 128) != (films > 128)).float().mean() < 0.01  # a border's pixel or two
    assert 0 < float((masks > 128).float().mean()) < 0.9


def test_maps_learn_to_lie_in_the_boxes(data: TrainingData, recipe: Recipe, tmp_path: Path) -> None:
    assert data.boxed is not None
    chosen = np.array(list(data.boxed.masks))
    masks, (x, _) = data.boxed.masks_of(chosen).float(), data.train.batch(chosen)

    def outside(weight: float) -> float:
        changes = {"epochs": 6, "ema_decay": 0.0}
        taught = replace(
            recipe,
            boxes=replace(recipe.boxes, weight=weight),
            loop=replace(recipe.loop, **changes),
            optimizer=replace(recipe.optimizer, learning_rate=3e-3),
        )
        network = train(taught, data, RunFolder(tmp_path / str(weight)), CPU).network
        with torch.inference_mode():
            network.train()  # batch statistics: so few steps leave those for serving behind
            _, features = network(x)
            return float(location_loss(features, last_layer(network), masks, data.boxed.columns)) / len(chosen)

    assert outside(3.0) < 0.8 * outside(1e-6)


def test_boxes_teach_in_bfloat16_too(data: TrainingData, recipe: Recipe, tmp_path: Path) -> None:
    changed = replace(recipe, loop=replace(recipe.loop, epochs=1, precision=Precision.BF16))
    assert train(changed, data, RunFolder(tmp_path), CPU).step > 0


def test_a_stopped_run_goes_on_with_the_same_films(
    data: TrainingData, recipe: Recipe, tmp_path: Path, ctrl_c_at: Callable[[int], None]
) -> None:
    straight, broken = RunFolder(tmp_path / "straight"), RunFolder(tmp_path / "broken")
    train(recipe, data, straight, CPU)
    ctrl_c_at(3)
    with pytest.raises(Stopped):
        train(recipe, data, broken, CPU)
    train(recipe, data, broken, CPU)
    assert [e.train_loss for e in broken.history()] == [e.train_loss for e in straight.history()]
