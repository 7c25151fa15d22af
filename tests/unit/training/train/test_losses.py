"""Each loss against its formula, written out in NumPy, and against numerical gradients in float64."""

import numpy as np
import pytest
import torch
from scipy.special import expit, log_softmax, softmax
from sklearn.utils.class_weight import compute_class_weight

from diagnosis_tool.cxr.calibration import Activation
from training.errors import RecipeInvalid
from training.recipes.config import Balance, LossConfig, LossKind
from training.train.losses import EXCLUSIVE, build_loss

SIGMOID, SOFTMAX = Activation.SIGMOID, Activation.SOFTMAX
Z = np.random.default_rng(0).normal(0, 2, (6, 3))
# the last two images: no label, and all
Y = np.array([[1, 0, 1], [0, 0, 1], [1, 1, 0], [0, 1, 0], [0, 0, 0], [1, 1, 1]], float)
CLASSES = np.array([0, 2, 2, 1, 2, 2])
ONE_HOT = np.eye(3)[CLASSES]
TRAIN = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [1, 1, 0], [0, 1, 1]], np.float32)
"""Labels of a training set: 3, 4 and 1 of 5 images."""


def _loss(config, labels, activation, train=TRAIN):
    loss = build_loss(config, train, activation)
    y = torch.tensor(labels)
    z = torch.tensor(Z, requires_grad=True)
    assert torch.autograd.gradcheck(lambda logits: loss(logits, y), (z,))
    assert loss(z.detach().float(), y.float()).dtype is torch.float32
    halves = [loss(z.detach()[n : n + 3], y[n : n + 3]) for n in (0, 3)]
    torch.testing.assert_close(sum(halves) / 2, loss(z, y).detach())  # accumulated batches are one larger batch
    return loss(z, y).item()


@pytest.mark.parametrize(
    ("weight", "per_label"),
    [(1.0, [1, 1, 1]), (2.22, [2.22] * 3), ((1.0, 2.0, 4.0), [1, 2, 4]), (Balance.BALANCED, [2 / 3, 1 / 4, 4])],
)
def test_bce(weight, per_label):
    p = expit(Z)
    expected = -(np.array(per_label) * Y * np.log(p) + (1 - Y) * np.log(1 - p)).mean()
    assert _loss(LossConfig(kind=LossKind.BCE, pos_weight=weight), Y, SIGMOID) == pytest.approx(expected)


def test_weighted_bce():
    p, share = expit(Z), np.array([0.6, 0.8, 0.2])
    expected = -((1 - share) * Y * np.log(p) + share * (1 - Y) * np.log(1 - p)).mean()
    assert _loss(LossConfig(kind=LossKind.WEIGHTED_BCE), Y, SIGMOID) == pytest.approx(expected)


@pytest.mark.parametrize(("gamma", "alpha"), [(2.0, 0.0), (2.0, 0.25), (0.5, 0.0), (0.0, 0.0)])
def test_focal(gamma, alpha):
    p_t = np.where(Y == 1, expit(Z), 1 - expit(Z))
    weight = np.where(Y == 1, alpha, 1 - alpha) if alpha else 1
    expected = -(weight * (1 - p_t) ** gamma * np.log(p_t)).mean()
    config = LossConfig(kind=LossKind.FOCAL, focal_gamma=gamma, focal_alpha=alpha)
    assert _loss(config, Y, SIGMOID) == pytest.approx(expected)
    if not gamma and not alpha:
        assert expected == pytest.approx(_loss(LossConfig(kind=LossKind.BCE), Y, SIGMOID))


def test_hamming_is_the_mean_hamming_loss_of_answers_drawn_from_the_probabilities():
    loss = _loss(LossConfig(kind=LossKind.HAMMING), Y, SIGMOID)
    assert loss == pytest.approx(np.abs(expit(Z) - Y).mean())
    answers = np.random.default_rng(1).random((20_000, *Z.shape)) < expit(Z)
    assert loss == pytest.approx((answers != Y).mean(), abs=0.005)


def test_bp_mll_over_all_pairs():
    c = np.tanh(Z / 2)
    images = []
    for scores, labels in zip(c, Y, strict=True):
        present = scores[labels == 1] if labels.any() else np.zeros(1)
        absent = scores[labels == 0] if not labels.all() else np.zeros(1)
        images.append(np.mean([np.exp(-(k - n)) for k in present for n in absent]))
    assert _loss(LossConfig(kind=LossKind.BP_MLL), Y, SIGMOID) == pytest.approx(np.mean(images))


@pytest.mark.parametrize("labels", [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
def test_bp_mll_teaches_also_when_an_image_has_none_or_all_labels(labels):
    loss = build_loss(LossConfig(kind=LossKind.BP_MLL), TRAIN, SIGMOID)
    z = torch.zeros(1, 3, requires_grad=True)
    loss(z, torch.tensor([labels])).backward()
    assert torch.isfinite(z.grad).all()
    assert (z.grad < 0).all() if labels[0] else (z.grad > 0).all()  # descent goes towards the labels


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weight", [1.0, (1.0, 2.0, 4.0), Balance.BALANCED])
def test_cross_entropy(weight, smoothing):
    per_class = (
        compute_class_weight("balanced", classes=np.arange(3), y=CLASSES)
        if weight is Balance.BALANCED
        else np.broadcast_to(weight, 3)
    )
    target = ONE_HOT * (1 - smoothing) + smoothing / 3
    expected = -(per_class * target * log_softmax(Z, axis=1)).sum(axis=1).mean()
    config = LossConfig(kind=LossKind.CROSS_ENTROPY, class_weight=weight, label_smoothing=smoothing)
    assert _loss(config, ONE_HOT, SOFTMAX, ONE_HOT.astype(np.float32)) == pytest.approx(expected)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_categorical(gamma):
    p = softmax(Z, axis=1)[np.arange(6), CLASSES]
    weight = np.array([1.0, 2.0, 4.0])
    expected = -(weight[CLASSES] * (1 - p) ** gamma * np.log(p)).mean()
    config = LossConfig(kind=LossKind.FOCAL_CATEGORICAL, class_weight=tuple(weight), focal_gamma=gamma)
    assert _loss(config, ONE_HOT, SOFTMAX) == pytest.approx(expected)


@pytest.mark.parametrize("kind", list(LossKind))
@pytest.mark.parametrize("size", [-200.0, 200.0])
def test_losses_and_gradients_are_finite_however_sure_the_network_is(kind, size):
    loss = build_loss(LossConfig(kind=kind), TRAIN, SOFTMAX if kind in EXCLUSIVE else SIGMOID)
    z = torch.tensor([[size, 0.0, 0.0]], requires_grad=True)
    value = loss(z, torch.tensor([[1.0, 0.0, 0.0]]))
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(z.grad).all()


def test_balanced_weights_of_a_label_that_never_occurs_are_finite():
    none = np.array([[1, 0], [0, 0]], np.float32)
    loss = build_loss(LossConfig(kind=LossKind.BCE, pos_weight=Balance.BALANCED), none, SIGMOID)
    assert torch.isfinite(loss(torch.zeros(2, 2), torch.ones(2, 2)))


@pytest.mark.parametrize("key", ["pos_weight", "class_weight"])
def test_weights_that_do_not_fit_the_outputs(key):
    kind, activation = (LossKind.BCE, SIGMOID) if key == "pos_weight" else (LossKind.CROSS_ENTROPY, SOFTMAX)
    with pytest.raises(RecipeInvalid, match=f"{key} has 2 values and the data set 3 outputs; give one number"):
        build_loss(LossConfig(kind=kind, **{key: (1.0, 2.0)}), TRAIN, activation)


@pytest.mark.parametrize("kind", list(LossKind))
def test_losses_of_the_other_kind_of_data_set_are_refused_with_those_that_fit(kind):
    wrong, fitting = (SIGMOID, "bce") if kind in EXCLUSIVE else (SOFTMAX, "cross_entropy, focal_categorical")
    with pytest.raises(RecipeInvalid, match=f"set loss.kind to one of: .*{fitting}"):
        build_loss(LossConfig(kind=kind), TRAIN, wrong)
