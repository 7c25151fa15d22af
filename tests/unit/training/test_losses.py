import pytest
import torch

from training.config import LossConfig, LossKind
from training.errors import RecipeInvalid
from training.losses import build_loss

LOGITS = torch.tensor([[1.5, -2.0, 0.3], [-0.7, 0.1, 4.0]], dtype=torch.float64, requires_grad=True)
LABELS = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
EXCLUSIVE = torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]], dtype=torch.float64)


def test_bce_with_and_without_weights():
    p = torch.sigmoid(LOGITS)
    for weight in ((), (3.0,), (1.0, 2.0, 4.0)):
        w = torch.tensor(weight or (1.0,), dtype=torch.float64)
        expected = -(w * LABELS * p.log() + (1 - LABELS) * (1 - p).log()).mean()
        loss = build_loss(LossConfig(kind=LossKind.BCE, pos_weight=weight), 3)
        torch.testing.assert_close(loss(LOGITS, LABELS), expected)
        assert torch.autograd.gradcheck(lambda z, loss=loss: loss(z, LABELS), (LOGITS,))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy(smoothing):
    target = EXCLUSIVE * (1 - smoothing) + smoothing / 3
    expected = -(target * LOGITS.log_softmax(dim=1)).sum(dim=1).mean()
    loss = build_loss(LossConfig(kind=LossKind.CROSS_ENTROPY, label_smoothing=smoothing), 3)
    torch.testing.assert_close(loss(LOGITS, EXCLUSIVE), expected)
    assert torch.autograd.gradcheck(lambda z: loss(z, EXCLUSIVE), (LOGITS,))


def test_weights_that_do_not_fit_the_outputs():
    with pytest.raises(RecipeInvalid, match="pos_weight has 2 values"):
        build_loss(LossConfig(kind=LossKind.BCE, pos_weight=(1.0, 2.0)), 3)
