"""Starts a run from what an earlier one learned: a run's folder or a released bundle, of the same network or a smaller.

Progressive resolution is a chain of such runs. An EfficientNet-B grows from smaller EfficientNet-Lite and MobileNetV2,
from one or from two side by side, and gives at the first step the mean of their answers (wider_backbone).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from diagnosis_tool.cxr.backbones import build_backbone
from diagnosis_tool.cxr.bundle import BUNDLE_FILE, open_bundle
from diagnosis_tool.cxr.network import ChestNetwork, build_network
from diagnosis_tool.cxr.network_spec import NetworkSpec
from diagnosis_tool.cxr.weights import load_network
from training.errors import StartWeightsMissing
from training.prepare.data import TrainingData
from training.prepare.splits import split_sha256
from training.recipes.config import Recipe
from training.start_weights.first_layer import Normalisation, StateDict, fit_first_layer
from training.start_weights.wider_backbone import as_efficientnet, batch_norm_epsilon, wider_backbone, with_epsilon
from training.train.run_folder import RunFolder

_BACKBONE = "features."
_HEAD = "head."


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainedNetwork:
    """What an earlier training left. validation_sha256: of the images that it did not learn from."""

    spec: NetworkSpec
    state: StateDict
    dataset: str
    origin: str
    validation_sha256: str


def read_pretrained(path: Path) -> PretrainedNetwork:
    """A bundle's or a run's weights. Raises BundleInvalid or TrainingFailed when `path` is neither or damaged."""
    if (path / BUNDLE_FILE).is_file():
        bundle = open_bundle(path)
        training = bundle.metadata.training
        return PretrainedNetwork(
            spec=bundle.metadata.network,
            state=dict(load_network(bundle).state_dict()),
            dataset=training.dataset,
            origin=f"{bundle.metadata.name} {bundle.metadata.version} (which started from: {training.start_weights})",
            validation_sha256=training.validation_split_sha256,
        )
    run = RunFolder(path)
    recipe, info = run.recipe(), run.info()
    return PretrainedNetwork(
        spec=recipe.network,
        state=run.best(),
        dataset=info.dataset,
        origin=f"a run of {recipe.name} (which started from: {info.start_weights})",
        validation_sha256=split_sha256(info.validation_images),
    )


def warm_start(network: ChestNetwork, recipe: Recipe, data: TrainingData) -> str:
    """Puts the weights of recipe.start.trained into the network; returns where they come from, in words for the card.

    Raises StartWeightsMissing when they do not fit the network, or when they may have learned from this run's
    validation images.
    """
    paths = [Path(path) for path in recipe.start.trained]
    members = [read_pretrained(path) for path in paths]
    for member, path in zip(members, paths, strict=True):
        _refuse_unfit(member, recipe, data, path)
    try:
        network.load_state_dict(_fitted(members, recipe.network), strict=True)
    except (RuntimeError, ValueError, KeyError, IndexError) as error:
        names = " and ".join(str(path) for path in paths)
        raise StartWeightsMissing(f"{names} do not fit {recipe.network.architecture}: {error}") from error
    origin = ", beside ".join(member.origin for member in members)
    return origin if _is_same(members, recipe.network) else f"{origin}, grown to {recipe.network.architecture}"


def _refuse_unfit(member: PretrainedNetwork, recipe: Recipe, data: TrainingData, path: Path) -> None:
    ours = recipe.network
    if member.dataset != data.dataset:
        raise StartWeightsMissing(f"{path} was trained on {member.dataset}, and this recipe trains on {data.dataset}.")
    if member.validation_sha256 != split_sha256(record.image for record in data.validation.records):
        raise StartWeightsMissing(
            f"{path} had other validation images, so it may have learned from this run's: set data.folds, "
            "data.validation_fold and data.split_seed as it had them."
        )
    if not _is_same([member], ours):
        return  # a network that grows gets a first layer for our mean and std
    if (member.spec.mean, member.spec.std, member.spec.in_channels) != (ours.mean, ours.std, ours.in_channels):
        raise StartWeightsMissing(f"{path} expects another network.mean, std or in_channels: write {member.spec}.")


def _is_same(members: Sequence[PretrainedNetwork], ours: NetworkSpec) -> bool:
    return len(members) == 1 and members[0].spec.architecture == ours.architecture


def _fitted(members: Sequence[PretrainedNetwork], ours: NetworkSpec) -> StateDict:
    if _is_same(members, ours):
        return members[0].state
    if not ours.architecture.startswith("efficientnet_b"):
        raise ValueError("only an EfficientNet-B can grow from other networks")
    if ours.head_hidden or any(member.spec.head_hidden for member in members):
        raise ValueError("a network with hidden layers in its head cannot grow")
    fresh = build_backbone(ours.architecture, ours.input_px)
    backbone = wider_backbone([_backbone(member, ours, fresh.features) for member in members], fresh.features)
    return {_BACKBONE + name: value for name, value in backbone.items()} | _head(members, fresh.width)


def _backbone(member: PretrainedNetwork, ours: NetworkSpec, fresh: nn.Module) -> StateDict:
    """The member's backbone for our mean, std and BatchNorm, with EfficientNet's names."""
    state = {name.removeprefix(_BACKBONE): v for name, v in member.state.items() if name.startswith(_BACKBONE)}
    small = build_network(replace(member.spec, mean=ours.mean, std=ours.std), 1)
    state = fit_first_layer(small, state, Normalisation(mean=_three(member.spec.mean), std=_three(member.spec.std)))
    state = with_epsilon(state, batch_norm_epsilon(small.features), batch_norm_epsilon(fresh))
    return as_efficientnet(state) if member.spec.architecture == "mobilenet_v2" else state


def _three(values: tuple[float, ...]) -> tuple[float, float, float]:
    if len(values) != 3:
        raise ValueError("a network that reads one channel cannot grow")
    return values[0], values[1], values[2]


def _head(members: Sequence[PretrainedNetwork], width: int) -> StateDict:
    """The mean of the members' answers; the channels that are new have no say yet."""
    heads = [{name: v for name, v in member.state.items() if name.startswith(_HEAD)} for member in members]
    state: StateDict = {}
    for name, first in heads[0].items():
        values = [head[name] / len(heads) for head in heads]
        if first.dim() == 2:
            new = width - sum(value.shape[1] for value in values)
            state[name] = torch.cat([*values, first.new_zeros(len(first), new)], dim=1)
        else:
            state[name] = torch.stack(values).sum(0)
    return state
