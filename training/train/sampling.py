"""Which training images an epoch draws, in which order and batches; from (seed, epoch) alone, so that a run that was
stopped and resumed draws the same.
"""

import numpy as np
from numpy.typing import NDArray

from training.recipes.config import SamplingConfig, SamplingKind


def epoch_order(
    labels_nK: NDArray[np.float32], config: SamplingConfig, batch_size: int, seed: int, epoch: int
) -> list[NDArray[np.int64]]:
    """The batches of an epoch as positions in the training set, the incomplete last batch left out.

    A batch of one or two images would upset batch normalisation; what is left out differs from epoch to epoch.
    """
    order = draw(labels_nK, config.kind, np.random.default_rng([seed, epoch]))
    full = max(1, len(order) // batch_size)
    return [order[n * batch_size : (n + 1) * batch_size] for n in range(full)]


def draw(labels_nK: NDArray[np.float32], kind: SamplingKind, random: np.random.Generator) -> NDArray[np.int64]:
    """An epoch's images in random order.

    weighted: as many as there are, with replacement, each with a chance in proportion to rarity(). down: as many of
    each rarest_label() as the rarest of these has, without replacement, others in each epoch.
    """
    match kind:
        case SamplingKind.NONE:
            return random.permutation(len(labels_nK))
        case SamplingKind.WEIGHTED:
            weights_n = rarity(labels_nK)
            return random.choice(len(labels_nK), size=len(labels_nK), p=weights_n / weights_n.sum())
        case SamplingKind.DOWN:
            class_n = rarest_label(labels_nK)
            members = [np.flatnonzero(class_n == value) for value in np.unique(class_n)]
            fewest = min(len(m) for m in members)
            return random.permutation(np.concatenate([random.permutation(m)[:fewest] for m in members]))


def rarity(labels_nK: NDArray[np.float32]) -> NDArray[np.float64]:
    """One over the number of images with the image's rarest label; images without a label count as one label.

    Exclusive classes are thereby drawn equally often, and so are the presence and absence of a single label.
    """
    counts = np.append((labels_nK > 0).sum(axis=0), (labels_nK <= 0).all(axis=1).sum())
    return np.asarray(1.0 / counts[rarest_label(labels_nK)])


def rarest_label(labels_nK: NDArray[np.float32]) -> NDArray[np.int64]:
    """The label of each image that the fewest images have; K for an image without any. The first of equals."""
    present_nK = labels_nK > 0
    counts_nK = np.where(present_nK, present_nK.sum(axis=0), len(labels_nK) + 1)
    return np.asarray(np.where(present_nK.any(axis=1), counts_nK.argmin(axis=1), labels_nK.shape[1]))
