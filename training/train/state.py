"""All that changes while training, and its checkpoint: what a run that was stopped goes on from."""

import json
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from diagnosis_tool.cxr.network import ChestNetwork
from training.errors import TrainingFailed
from training.recipes.config import Recipe
from training.recipes.load import recipe_to_json, stored_recipe, training_part
from training.train.optim import AveragedWeights
from training.train.run_folder import EpochRecord, RunFolder


@dataclass
class TrainingState:
    """All that changes while training. step counts optimizer steps since the start; step_in_epoch within this one.

    forward: the network, or what computes it for several processes; learns: what `forward` was made for.
    """

    network: ChestNetwork
    optimizer: torch.optim.Optimizer
    average: AveragedWeights | None
    forward: nn.Module
    learns: frozenset[str] = frozenset()
    epoch: int = 0
    step: int = 0
    step_in_epoch: int = 0
    loss_sum: float = 0.0
    history: list[EpochRecord] = field(default_factory=list)

    def kept_weights(self) -> dict[str, torch.Tensor]:
        """What is validated, selected and released: the averaged weights where there are any."""
        return self.average.state if self.average else self.network.state_dict()


def save_checkpoint(state: TrainingState, recipe: Recipe, run: RunFolder) -> None:
    """Replaces the run's checkpoint, or leaves the one before whole. Raises TrainingFailed when the disk is full."""
    run.write_last(
        {
            "recipe": recipe_to_json(training_part(recipe)),
            "network": state.network.state_dict(),
            "average": state.average.state if state.average else None,
            "optimizer": state.optimizer.state_dict(),
            "epoch": state.epoch,
            "step": state.step,
            "step_in_epoch": state.step_in_epoch,
            "loss_sum": state.loss_sum,
        }
    )


def resume(state: TrainingState, checkpoint: dict[str, Any], recipe: Recipe, run: RunFolder) -> None:
    """Puts the checkpoint into the state. Raises TrainingFailed when it is of another recipe or another network."""
    # read as a recipe: keys that the code did not know when it was saved have their defaults
    began = stored_recipe(json.loads(checkpoint["recipe"]), str(run.last_file))
    if began.network.architecture != recipe.network.architecture:
        raise TrainingFailed(
            f"{run.last_file} is a checkpoint of {began.network.architecture}, and the recipe trains "
            f"{recipe.network.architecture}. Give a new --out."
        )
    if began != training_part(recipe):
        changed = ", ".join(_differences(began, training_part(recipe)))
        raise TrainingFailed(
            f"{run.last_file} belongs to another recipe ({changed}). Give a new --out, or the recipe it began with."
        )
    try:
        state.network.load_state_dict(checkpoint["network"])
    except RuntimeError as error:
        raise TrainingFailed(f"{run.last_file} holds the weights of another network: {error}") from error
    if state.average:
        state.average.state = {n: v.to(state.average.state[n].device) for n, v in checkpoint["average"].items()}
    state.optimizer.load_state_dict(checkpoint["optimizer"])
    for name in ("epoch", "step", "step_in_epoch", "loss_sum"):
        setattr(state, name, checkpoint[name])
    state.history = run.history()[: state.epoch]


def _differences(one: Recipe, other: Recipe) -> list[str]:
    """The recipe's keys whose values differ, with both."""
    left, right = (_flat(json.loads(recipe_to_json(recipe))) for recipe in (one, other))
    return [f"{key} was {left[key]}, is {right[key]}" for key in left if left[key] != right[key]]


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found
