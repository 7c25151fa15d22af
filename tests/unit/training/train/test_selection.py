"""Which epoch is the best, by each figure that a recipe may name."""

import numpy as np
import pytest

from diagnosis_tool.cxr.calibration import Activation
from tests.made_up_runs import outputs_named
from training.errors import RecipeInvalid
from training.train.run_folder import EpochRecord
from training.train.selection import answer_metrics, best_epoch, check_select

OUTPUTS = outputs_named("A", "B")


def _record(epoch: int, **values: float | None) -> EpochRecord:
    known = {"mean_auc": 0.5, "loss": 1.0, **values}
    return EpochRecord(
        epoch=epoch, step=epoch, learning_rate=0.1, train_loss=1.0, validation_loss=known["loss"],
        mean_auc=known["mean_auc"], auc={"A": known.get("auc:A")}, images_per_s=1.0, seconds=1.0,
        answers={name: known.get(name) for name in ("accuracy", "f1:B")},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("select", "values", "best"),
    [
        ("mean_auc", (0.6, 0.7, 0.7), 2),
        ("mean_auc", (None, 0.4, 0.3), 2),
        ("loss", (0.3, 0.2, 0.4), 2),
        ("auc:A", (0.6, 0.5, 0.9), 3),
        ("accuracy", (0.6, 0.5, 0.6), 1),
        ("f1:B", (None, 0.0, 0.5), 3),
    ],
)
def test_the_best_epoch_by_each_figure(select, values, best):
    history = [_record(epoch, **{select: value}) for epoch, value in enumerate(values, start=1)]
    assert best_epoch(history, select).epoch == best
    assert best_epoch([], select) is None


def test_answers_of_independent_labels_by_hand():
    logits = np.array([[1, -1], [1, -2], [-1, -3], [2, -1]], np.float32)
    labels = np.array([[1, 0], [0, 0], [1, 0], [1, 0]], np.float32)
    found = answer_metrics(logits, labels, OUTPUTS, Activation.SIGMOID)
    assert found["accuracy:A"] == 0.5
    assert found["f1:A"] == pytest.approx(2 * 2 / (3 + 3))
    assert (found["accuracy:B"], found["f1:B"]) == (1, None)  # neither there nor answered: no figure
    assert (found["accuracy"], found["f1"]) == (0.75, found["f1:A"])


def test_answers_of_exclusive_classes_by_hand():
    logits = np.array([[3, 2], [-1, -2], [0, 1]], np.float32)
    labels = np.array([[1, 0], [0, 1], [0, 1]], np.float32)
    found = answer_metrics(logits, labels, OUTPUTS, Activation.SOFTMAX)
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["f1:A"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("name", ["auc", "auc:C", "recall:A", "auc:A:B", ""])
def test_an_unknown_figure_is_refused(name):
    with pytest.raises(RecipeInvalid, match="write mean_auc, loss, accuracy, f1, or auc:NAME"):
        check_select(name, OUTPUTS, np.ones((2, 2), np.float32))


def test_a_figure_that_validation_cannot_give_is_refused():
    labels = np.array([[1, 0], [0, 0]], np.float32)
    check_select("auc:A", OUTPUTS, labels)
    check_select("accuracy:B", OUTPUTS, labels)
    with pytest.raises(RecipeInvalid, match="0 of 2 validation images have B"):
        check_select("auc:B", OUTPUTS, labels)
