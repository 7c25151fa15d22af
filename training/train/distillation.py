"""What finished runs say about the images they learned from: soft labels for the training of another network.

Source: Hinton et al. 2015, 'Distilling the knowledge in a neural network'.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from diagnosis_tool.cxr.calibration import sigmoid
from diagnosis_tool.cxr.network import build_network
from training.datasets import read_dataset
from training.errors import TrainingFailed
from training.evaluate.predictions import Predictions, predictions_of
from training.prepare.data import open_caches, samples_of
from training.train.loop import predict_logits
from training.train.run_folder import RunFolder

_BATCH = 32


def soft_labels(runs: Sequence[RunFolder], folder: Path | None, cache: Path, device: torch.device) -> Predictions:
    """The runs' mean probability (after the sigmoid, uncalibrated) for each image that all of them learned from.

    Each image is read as it is and mirrored, and the logits of both are averaged.
    Raises TrainingFailed when the runs did not share one split.
    """
    infos = [run.info() for run in runs]
    if any((info.train_images, info.dataset) != (infos[0].train_images, infos[0].dataset) for info in infos):
        raise TrainingFailed("The runs learned from different images: teachers must share one split.")
    probabilities, learned = [], frozenset(infos[0].train_images)
    for run in runs:
        recipe = run.recipe()
        dataset = read_dataset(recipe.data.dataset, folder or Path(recipe.data.folder), recipe.data.references)
        served = open_caches(recipe, dataset, cache)[1]
        samples = samples_of(served, tuple(record for record in dataset.records if record.image in learned))
        network = build_network(recipe.network, len(dataset.outputs)).to(device)
        network.load_state_dict(run.best())
        logits_NK = predict_logits(network, samples, _BATCH, device, mirrored=True)
        probabilities.append(sigmoid(logits_NK.astype(np.float64)))
    return predictions_of(
        samples.records,
        np.mean(probabilities, axis=0),
        dataset.outputs,
        dataset.activation,
        dataset=dataset.name,
        split="train",
        recipe=", ".join(run.recipe().name for run in runs),
        calibrated=True,
    )
