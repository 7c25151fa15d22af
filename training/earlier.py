"""Starts a run from what an earlier one learned: a run's folder or a released bundle, of the same network or a smaller.

Progressive resolution is a chain of such runs. A larger network grows from a smaller one: EfficientNet-B from
EfficientNet-Lite trained with SiLU, with the same answers at the first step (imagenet.efficientnet_lite).
"""

from dataclasses import dataclass
from pathlib import Path

from diagnosis_tool.cxr.bundle import BUNDLE_FILE, open_bundle
from diagnosis_tool.cxr.network import ChestNetwork
from diagnosis_tool.cxr.network_spec import NetworkSpec
from diagnosis_tool.cxr.trunks import build_trunk
from training.config import Recipe
from training.data import TrainingData
from training.errors import StartWeightsMissing
from training.imagenet.efficientnet_lite import leading, widened_trunk
from training.imagenet.first_layer import State
from training.run_folder import RunFolder
from training.splits import split_sha256

_TRUNK = "features."
_HEAD = "head."


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """What an earlier training left. validation_sha256: of the images that it did not learn from."""

    spec: NetworkSpec
    state: State
    dataset: str
    origin: str
    validation_sha256: str


def read_earlier(path: Path) -> Earlier:
    """A bundle's or a run's weights. Raises BundleInvalid or TrainingFailed when `path` is neither or damaged."""
    if (path / BUNDLE_FILE).is_file():
        from diagnosis_tool.cxr.classifier import load_network  # with it comes Grad-CAM, which training has no use for

        bundle = open_bundle(path)
        training = bundle.metadata.training
        return Earlier(
            spec=bundle.metadata.network,
            state=dict(load_network(bundle).state_dict()),
            dataset=training.dataset,
            origin=f"{bundle.metadata.name} {bundle.metadata.version} (which started from: {training.start_weights})",
            validation_sha256=training.validation_split_sha256,
        )
    run = RunFolder(path)
    recipe, info = run.recipe(), run.info()
    return Earlier(
        spec=recipe.network,
        state=run.best(),
        dataset=info.dataset,
        origin=f"a run of {recipe.name} (which started from: {info.start_weights})",
        validation_sha256=split_sha256(info.validation_images),
    )


def start_from_earlier(network: ChestNetwork, recipe: Recipe, data: TrainingData) -> str:
    """Puts the weights of recipe.start.trained into the network; returns where they come from, in words for the card.

    Raises StartWeightsMissing when they do not fit the network, or when they may have learned from this run's
    validation images.
    """
    path = Path(recipe.start.trained)
    earlier = read_earlier(path)
    _refuse_unfit(earlier, recipe, data, path)
    try:
        network.load_state_dict(_fitted(earlier, recipe.network), strict=True)
    except (RuntimeError, ValueError) as error:
        raise StartWeightsMissing(f"{path} does not fit {recipe.network.architecture}: {error}") from error
    grown = earlier.spec.architecture != recipe.network.architecture
    return f"{earlier.origin}, grown to {recipe.network.architecture}" if grown else earlier.origin


def _refuse_unfit(earlier: Earlier, recipe: Recipe, data: TrainingData, path: Path) -> None:
    ours = recipe.network
    if earlier.dataset != data.dataset:
        raise StartWeightsMissing(f"{path} was trained on {earlier.dataset}, and this recipe trains on {data.dataset}.")
    if earlier.validation_sha256 != split_sha256(record.image for record in data.validation.records):
        raise StartWeightsMissing(
            f"{path} had other validation images, so it may have learned from this run's: set data.folds, "
            "data.validation_fold and data.split_seed as it had them."
        )
    if (earlier.spec.mean, earlier.spec.std, earlier.spec.in_channels) != (ours.mean, ours.std, ours.in_channels):
        raise StartWeightsMissing(f"{path} expects another network.mean, std or in_channels: write {earlier.spec}.")


def _fitted(earlier: Earlier, ours: NetworkSpec) -> State:
    if earlier.spec.architecture == ours.architecture:
        return earlier.state
    if ours.head_hidden or earlier.spec.head_hidden:
        raise ValueError("a network with hidden layers in its head cannot grow")
    fresh = build_trunk(ours.architecture, ours.input_px).features
    trunk = widened_trunk(
        {name.removeprefix(_TRUNK): v for name, v in earlier.state.items() if name.startswith(_TRUNK)}, fresh
    )
    width = _width(trunk)
    head = {name: v for name, v in earlier.state.items() if name.startswith(_HEAD)}
    # the channels that are new have no say yet
    wide = {name: leading(v, v.new_zeros(len(v), width), name) if v.dim() == 2 else v for name, v in head.items()}
    return {_TRUNK + name: value for name, value in trunk.items()} | wide


def _width(trunk: State) -> int:
    """Channels of the feature map: those of the last convolution."""
    return len([value for value in trunk.values() if value.dim() == 4][-1])
