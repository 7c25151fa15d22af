"""Optimizers, learning rates and averaged weights. Rates are functions of the step and the history alone: a resumed
run needs no scheduler state.
"""

import math
from collections.abc import Sequence

import torch
from torch import nn

from diagnosis_tool.cxr.network import ChestNetwork
from training.recipes.config import OptimizerConfig, OptimizerKind, ScheduleConfig, ScheduleKind


def build_optimizer(network: ChestNetwork, config: OptimizerConfig) -> torch.optim.Optimizer:
    """The recipe's optimizer over all parameters; each group keeps its own 'base_lr'.

    Frozen parameters are in it too: they have no gradient and so do not change, and a schedule may unfreeze them.
    """
    groups = parameter_groups(network, config)
    if config.kind is OptimizerKind.SGD:
        return torch.optim.SGD(groups, lr=config.learning_rate, momentum=config.momentum, nesterov=config.nesterov)
    kind = torch.optim.AdamW if config.kind is OptimizerKind.ADAMW else torch.optim.Adam
    return kind(groups, lr=config.learning_rate)


def parameter_groups(network: ChestNetwork, config: OptimizerConfig) -> list[dict[str, object]]:
    """Backbone and head, each with and without weight decay (none on biases and norms, which are 1-D)."""
    groups: list[dict[str, object]] = []
    for part, rate in (
        (network.features, config.learning_rate),
        (network.head, config.learning_rate * config.head_multiplier),
    ):
        wanted = list(part.parameters())
        for chosen, decay in (
            ([p for p in wanted if p.ndim > 1], config.weight_decay),
            ([p for p in wanted if p.ndim <= 1], 0.0),
        ):
            if chosen:
                groups.append({"params": chosen, "lr": rate, "base_lr": rate, "weight_decay": decay})
    return groups


def rate_factor(
    config: ScheduleConfig, step: int, steps_per_epoch: int, total_steps: int, validation_losses: Sequence[float]
) -> float:
    """What the base learning rate is multiplied by at optimizer step `step` (from 0).

    Warm-up rises linearly over its part of all steps; cosine then falls to 0 at the end. One-cycle is warm-up and
    cosine with a start at a 25th (Smith and Topin 2018). Step and exponential fall by gamma at epoch ends; plateau
    falls whenever the validation loss has not been beaten for `patience` epochs.
    """
    warmup_steps = round(config.warmup * total_steps)
    if step < warmup_steps:
        rise = (step + 1) / warmup_steps
        return 1 / 25 + (1 - 1 / 25) * rise if config.kind is ScheduleKind.ONE_CYCLE else rise
    epoch = step // max(1, steps_per_epoch)
    match config.kind:
        case ScheduleKind.COSINE | ScheduleKind.ONE_CYCLE:
            done = (step - warmup_steps) / max(1, total_steps - warmup_steps)
            return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
        case ScheduleKind.STEP:
            return config.gamma ** (epoch // config.step_epochs)
        case ScheduleKind.EXPONENTIAL:
            return config.gamma**epoch
        case ScheduleKind.PLATEAU:
            return config.gamma ** _plateaus(validation_losses, config.patience)
        case ScheduleKind.CONSTANT:
            return 1.0


def _plateaus(losses: Sequence[float], patience: int) -> int:
    best, waited, falls = math.inf, 0, 0
    for loss in losses:
        waited = 0 if loss < best else waited + 1
        best = min(best, loss)
        if waited > patience:
            falls, waited = falls + 1, 0
    return falls


def set_rate(optimizer: torch.optim.Optimizer, factor: float) -> float:
    """Sets every group to its base rate times `factor`; returns the first group's rate."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor
    return float(optimizer.param_groups[0]["lr"])


class AveragedWeights:
    """Exponential moving average of a network's parameters and running statistics.

    The decay rises as (1 + t) / (10 + t) up to `decay`, so that the first steps are not averaged with the start.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = {name: value.detach().clone() for name, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Moves the average towards the network after optimizer step `step` (from 0)."""
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        current = network.state_dict()
        floating = [name for name, value in self.state.items() if value.is_floating_point()]
        torch._foreach_lerp_([self.state[n] for n in floating], [current[n] for n in floating], share)
        for name in self.state.keys() - set(floating):  # counters
            self.state[name].copy_(current[name])
