"""One network out of two runs, the second of which went on from the first: the mean of their weights.

What a short training on something new costs elsewhere, the mean mostly takes back, and keeps most of what was learned.
A network that was trained on crops may read whole films better at a larger size than its crops had, so the new run may
have another size (Touvron et al. 2019, 'Fixing the train-test resolution discrepancy').
Source: Wortsman et al. 2022, 'Robust fine-tuning of zero-shot models'.
"""

from dataclasses import replace
from pathlib import Path

import torch

from diagnosis_tool.cxr.network import build_network
from training.errors import RecipeInvalid, TrainingFailed
from training.prepare.data import TrainingData
from training.recipes.config import Recipe
from training.recipes.load import checked
from training.train.loop import predict_logits
from training.train.run_folder import RunFolder


def interpolate_weights(
    before: RunFolder, after: RunFolder, share: float, data: TrainingData, out: RunFolder, recipe: Recipe
) -> float | None:
    """Writes a run whose weights are (1 - share) of before's and share of after's; returns its validation mean AUC.

    recipe: after's, or at_size of it; data: of that recipe. The rest (split, learning curve) is after's: `calibrate`,
    `release` and start.trained take it as they take that one. Raises TrainingFailed when `out` is a run already, when
    the networks differ, when after did not start from before, or when runs and data do not share one split.
    """
    info, before_info = after.info(), before.info()
    if out.info_file.exists():
        raise TrainingFailed(f"{out.path} is a run already. Give a new --out.")
    if before.recipe().network != recipe.network:
        raise TrainingFailed(f"{before.path} and {after.path} are not of the same network.")
    validation = tuple(record.image for record in data.validation.records)
    if not before_info.validation_images == info.validation_images == validation:
        raise TrainingFailed("The runs and the data must share one split: what validates here may have trained them.")
    if before.path.resolve() not in {Path(start).resolve() for start in after.recipe().start.trained}:
        raise TrainingFailed(f"{after.path} did not start from {before.path}: nothing lies between them.")
    # counters, which are whole numbers, are after's; runs that came from a lent GPU have float16 weights
    first = before.best()
    state = {
        name: first[name].float().lerp(value.float(), share) if value.is_floating_point() else value
        for name, value in after.best().items()
    }
    network = build_network(recipe.network, len(data.outputs))
    network.load_state_dict(state)
    logits_nK = predict_logits(network, data.validation, recipe.loop.batch_size, torch.device("cpu"))
    predictions = data.validation_predictions(logits_nK, recipe.name)
    origin = f"{info.start_weights}; its weights are {share:g} of what came of it and {1 - share:g} of that start"
    if (trained_px := after.recipe().preprocess.size_px) != recipe.preprocess.size_px:
        origin += f"; trained at {trained_px} px"
    out.path.mkdir(parents=True, exist_ok=True)
    out.write_recipe(recipe)
    out.write_best(state)
    out.write_history(after.history())
    out.write_validation(predictions)
    out.write_info(replace(info, start_weights=origin))
    return predictions.mean_auc


def at_size(recipe: Recipe, size_px: int) -> Recipe:
    """The recipe with another input size. Raises RecipeInvalid for one that the network cannot have."""
    if recipe.network.input_px not in {0, size_px}:
        raise RecipeInvalid(f"--size {size_px}: this network reads {recipe.network.input_px} px only.")
    return checked(replace(recipe, preprocess=replace(recipe.preprocess, size_px=size_px)), f"--size {size_px}")
