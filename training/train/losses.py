"""Losses by name. All take logits (B, K) and labels (B, K) in 0..1 and give one number: the mean over the batch.

Weights never depend on the batch, so that the mean over several batches is the loss of their union: gradients may be
accumulated, and images may be spread over processes.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from diagnosis_tool.cxr.calibration import Activation
from training.errors import RecipeInvalid
from training.recipes.config import Balance, LossConfig, LossKind, Weight

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
EXCLUSIVE: Final = frozenset({LossKind.CROSS_ENTROPY, LossKind.FOCAL_CATEGORICAL})
"""Losses of classes of which each image has exactly one."""


def build_loss(config: LossConfig, labels_nK: NDArray[np.float32], activation: Activation) -> Loss:
    """The recipe's loss; labels_nK are those of the training set, from which balanced weights are counted.

    Raises RecipeInvalid when the loss does not go with the data set's activation, or its weights with its outputs.
    """
    _refuse_unfit(config.kind, activation)
    counts_K = labels_nK.sum(axis=0, dtype=np.float64)
    match config.kind:
        case LossKind.BCE:
            balanced_K = (len(labels_nK) - counts_K) / np.maximum(counts_K, 1)
            return partial(bce, pos_weight_K=_weights("pos_weight", config.pos_weight, balanced_K))
        case LossKind.WEIGHTED_BCE:
            return partial(weighted_bce, share_K=torch.from_numpy(counts_K / max(1, len(labels_nK))))
        case LossKind.FOCAL:
            return partial(focal, gamma=config.focal_gamma, alpha=config.focal_alpha)
        case LossKind.HAMMING:
            return hamming
        case LossKind.BP_MLL:
            return bp_mll
    balanced_K = len(labels_nK) / (len(counts_K) * np.maximum(counts_K, 1))
    weight_K = _weights("class_weight", config.class_weight, balanced_K)
    if config.kind is LossKind.CROSS_ENTROPY:
        return partial(cross_entropy, weight_K=weight_K, smoothing=config.label_smoothing)
    return partial(focal_categorical, weight_K=weight_K, gamma=config.focal_gamma)


def _refuse_unfit(kind: LossKind, activation: Activation) -> None:
    if (activation is Activation.SOFTMAX) == (kind in EXCLUSIVE):
        return
    fitting = sorted(k.value for k in LossKind if (k in EXCLUSIVE) == (activation is Activation.SOFTMAX))
    what = "excludes each other's classes" if activation is Activation.SOFTMAX else "has independent labels"
    raise RecipeInvalid(
        f"loss.kind {kind.value} does not go with this data set, which {what} ({activation.value}); "
        f"set loss.kind to one of: {', '.join(fitting)}."
    )


def _weights(key: str, weight: Weight, balanced_K: NDArray[np.float64]) -> torch.Tensor:
    outputs = len(balanced_K)
    if isinstance(weight, Balance):
        return torch.from_numpy(balanced_K)
    if isinstance(weight, tuple) and len(weight) != outputs:
        raise RecipeInvalid(
            f"loss.{key} has {len(weight)} values and the data set {outputs} outputs; give one number for all, "
            f"{outputs} numbers, or 'balanced'."
        )
    return torch.tensor(weight if isinstance(weight, tuple) else (weight,) * outputs, dtype=torch.float64)


def bce(logits_BK: torch.Tensor, labels_BK: torch.Tensor, pos_weight_K: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy, -[w y log p + (1 - y) log(1 - p)], averaged over images and labels."""
    return functional.binary_cross_entropy_with_logits(logits_BK, labels_BK, pos_weight=pos_weight_K.to(logits_BK))


def weighted_bce(logits_BK: torch.Tensor, labels_BK: torch.Tensor, share_K: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy in which a label's presence weighs by the share of its absence, and the other way round.

    -[(1 - s) y log p + s (1 - y) log(1 - p)] with s the label's share of the training set, averaged.
    Source: Rajpurkar et al. 2017, 'CheXNet', section 2.1; Wang et al. 2017, 'ChestX-ray8' (W-CEL) weigh likewise, by
    the counts of each batch.
    """
    share_K = share_K.to(logits_BK)
    present = (1 - share_K) * labels_BK * functional.softplus(-logits_BK)
    absent = share_K * (1 - labels_BK) * functional.softplus(logits_BK)
    return (present + absent).mean()


def focal(logits_BK: torch.Tensor, labels_BK: torch.Tensor, gamma: float, alpha: float) -> torch.Tensor:
    """-a (1 - p_t)^gamma log p_t, averaged over images and labels; p_t is the probability of the truth.

    alpha: weight of presence, 1 - alpha that of absence; 0 weighs neither.
    Source: Lin et al. 2017, 'Focal loss for dense object detection', equation 5.
    """
    present, absent = (alpha, 1 - alpha) if alpha else (1.0, 1.0)
    # powers of sigmoids as exponentials of log-sigmoids: finite gradients however sure the network is
    log_p, log_q = functional.logsigmoid(logits_BK), functional.logsigmoid(-logits_BK)
    loss_BK = -present * labels_BK * (gamma * log_q).exp() * log_p
    loss_BK = loss_BK - absent * (1 - labels_BK) * (gamma * log_p).exp() * log_q
    return loss_BK.mean()


def hamming(logits_BK: torch.Tensor, labels_BK: torch.Tensor) -> torch.Tensor:
    """Mean of p (1 - y) + (1 - p) y: the Hamming loss that answers drawn from p would have on average.

    Source: Dembczynski et al. 2012, 'On label dependence and loss minimization in multi-label classification',
    section 3, for the loss; the expectation makes it differentiable.
    """
    p_BK = logits_BK.sigmoid()
    return (p_BK * (1 - labels_BK) + (1 - p_BK) * labels_BK).mean()


def bp_mll(logits_BK: torch.Tensor, labels_BK: torch.Tensor) -> torch.Tensor:
    """Mean over (present, absent) pairs of exp(-(c_present - c_absent)) with c = tanh(logit / 2), then over images.

    tanh(logit / 2) = 2 sigmoid(logit) - 1, so scores are read as with every other loss. Where an image has no label, or
    all, the missing side is one virtual label of c = 0, the border between presence and absence.
    Source: Zhang and Zhou 2006, 'Multilabel neural networks with applications to functional genomics and text
    categorization', equation 5; Fürnkranz et al. 2008, 'Multilabel classification via calibrated label ranking', for
    the virtual label.
    """
    c_BK = (logits_BK / 2).tanh()
    # the mean over pairs of a product is the product of the means
    return (_side_mean(c_BK.neg().exp(), labels_BK) * _side_mean(c_BK.exp(), 1 - labels_BK)).mean()


def _side_mean(values_BK: torch.Tensor, member_BK: torch.Tensor) -> torch.Tensor:
    """(B,) mean of the values of each image's members; 1, which is exp(0), where there is none."""
    members_B = member_BK.sum(dim=1)
    none_B = members_B == 0
    total_B = (values_BK * member_BK).sum(dim=1)
    return torch.where(none_B, torch.ones_like(total_B), total_B / members_B.masked_fill(none_B, 1))


def cross_entropy(
    logits_BK: torch.Tensor, labels_BK: torch.Tensor, weight_K: torch.Tensor, smoothing: float
) -> torch.Tensor:
    """-sum over classes of w q log p with q = (1 - smoothing) y + smoothing / K, averaged over images.

    The mean is over images, not over their weights as in torch for class indices.
    Source: Szegedy et al. 2016, 'Rethinking the Inception architecture', section 7, for smoothing.
    """
    return functional.cross_entropy(logits_BK, labels_BK, weight=weight_K.to(logits_BK), label_smoothing=smoothing)


def focal_categorical(
    logits_BK: torch.Tensor, labels_BK: torch.Tensor, weight_K: torch.Tensor, gamma: float
) -> torch.Tensor:
    """-sum over classes of w y (1 - p)^gamma log p with p by softmax, averaged over images.

    Source: Lin et al. 2017, 'Focal loss for dense object detection', with softmax in place of the sigmoid.
    """
    log_p_BK = functional.log_softmax(logits_BK, dim=1)
    own_KK = torch.eye(logits_BK.shape[1], dtype=torch.bool, device=logits_BK.device)
    # log(1 - p) as the log of the other classes' sum: exact also where p rounds to 1
    log_rest_BK = log_p_BK[:, None].masked_fill(own_KK, -torch.inf).logsumexp(dim=2)
    loss_BK = -weight_K.to(logits_BK) * labels_BK * (gamma * log_rest_BK).exp() * log_p_BK
    return loss_BK.sum(dim=1).mean()
