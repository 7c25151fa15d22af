"""The Classifier over a released bundle: checks itself on golden inputs, then predicts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import nn
from torch.overrides import TorchFunctionMode

from diagnosis_tool.cxr.bundle import Bundle, GoldenInput, open_bundle
from diagnosis_tool.cxr.calibration import probabilities
from diagnosis_tool.cxr.engine_choice import REFERENCE, EngineOptions
from diagnosis_tool.cxr.engines import Engine
from diagnosis_tool.cxr.engines.choose import Say, choose_engine
from diagnosis_tool.cxr.gradcam import explain
from diagnosis_tool.cxr.network import ChestNetwork, build_network
from diagnosis_tool.cxr.preprocess import preprocess
from diagnosis_tool.cxr.quality import refuse_unreadable
from diagnosis_tool.cxr.types import Heatmap, ModelIdentity, PredictedOutput, Prediction, Radiograph, ViewPosition
from diagnosis_tool.errors import BundleInvalid, UnsupportedImage


class BundleClassifier:
    """Predicts with one bundle. One thread at a time (Grad-CAM's hooks are stateful).

    head: the network's, on the CPU: what heatmaps are made with, whatever the engine.
    """

    def __init__(self, bundle: Bundle, head: nn.Module, engine: Engine) -> None:
        self.bundle = bundle
        self.engine = engine
        self._head = head

    @property
    def identity(self) -> ModelIdentity:
        """The bundle, engine and precision behind the predictions."""
        metadata = self.bundle.metadata
        return ModelIdentity(
            bundle_name=metadata.name,
            bundle_version=metadata.version,
            bundle_sha256=self.bundle.sha256,
            engine=self.engine.name,
            precision=self.engine.precision,
        )

    @property
    def batch(self) -> int:
        """How many radiographs the engine takes at once; 1 where more would be no faster."""
        return self.engine.batch

    def predict(self, radiograph: Radiograph) -> Prediction:
        """Probabilities and heatmaps of all outputs of one radiograph.

        Raises UnsupportedImage when the image is none that the model may read.
        """
        (prediction,) = self.predict_prepared(self.prepare(radiograph)[None])
        return prediction

    def prepare(self, radiograph: Radiograph) -> NDArray[np.uint8]:
        """The network's input, (H, W) uint8; may run in another thread than `predict_prepared`.

        Raises UnsupportedImage when the image is none that the model may read.
        """
        refuse_unreadable(radiograph)
        self._refuse_view(radiograph.view_position)
        return preprocess(radiograph, self.bundle.metadata.preprocess)

    def predict_prepared(self, x_BHW: NDArray[np.uint8]) -> tuple[Prediction, ...]:
        """What the model says about prepared radiographs (B, H, W), one prediction each, in their order."""
        logits_BK, features_BChw = self.engine.run(x_BHW)
        explanation = self.bundle.metadata.explanation
        return tuple(
            Prediction(
                identity=self.identity,
                outputs=self._outputs(logits_K[None], explain(self._head, features_Chw, len(logits_K), explanation)),
            )
            for logits_K, features_Chw in zip(logits_BK, features_BChw, strict=True)
        )

    def verify_explanation(self) -> None:
        """Explains an empty image. Raises BundleInvalid when the bundle's explanation does not fit its network."""
        metadata = self.bundle.metadata
        size_px = metadata.preprocess.size_px
        _, features_BChw = self.engine.run(np.zeros((1, size_px, size_px), np.uint8))
        explain(self._head, features_BChw[0], len(metadata.outputs), metadata.explanation)

    def _refuse_view(self, view: ViewPosition) -> None:
        allowed = self.bundle.metadata.allowed_views
        if view is not ViewPosition.UNKNOWN and view not in allowed:
            names = ", ".join(allowed)
            raise UnsupportedImage(
                "This is a %(view)s view; the model reads %(views)s only. Nothing was read.", view=view, views=names
            )

    def _outputs(self, logits_BK: NDArray[np.float32], heatmaps: tuple[Heatmap, ...]) -> tuple[PredictedOutput, ...]:
        metadata = self.bundle.metadata
        probabilities_K = probabilities(logits_BK, metadata.activation, metadata.calibration)[0]
        # an infinite logit would pass for a probability of 0 or 1
        if not (np.isfinite(logits_BK).all() and np.isfinite(probabilities_K).all()):
            raise BundleInvalid("The model gave a value that is not a number for this image; nothing may be shown.")
        return tuple(
            PredictedOutput(
                name=output.name,
                kind=output.kind,
                logit=float(logit),
                probability=float(probability),
                threshold=metadata.threshold(output.name),
                heatmap=heatmap,
            )
            for output, logit, probability, heatmap in zip(
                metadata.outputs, logits_BK[0], probabilities_K, heatmaps, strict=True
            )
        )


def _say_nothing(_: str) -> None:
    pass


def load_classifier(path: Path, options: EngineOptions = REFERENCE, say: Say = _say_nothing) -> BundleClassifier:
    """Opens a bundle and proves on the golden inputs that it answers as it did at release, with the engine chosen.

    say: told what is being done, for it may take a minute. Raises BundleInvalid when anything about the bundle is
    wrong; then it must not be used.
    """
    say("checking the bundle's files")
    bundle = open_bundle(path)
    engine = choose_engine(
        bundle,
        options,
        load=lambda: load_network(bundle),
        verify=lambda engine: verify_golden(bundle, engine),
        say=say,
    )
    head = load_head(bundle)  # on the CPU and in f32, whatever the engine
    classifier = BundleClassifier(bundle, head, engine)
    classifier.verify_explanation()
    return classifier


def load_network(bundle: Bundle) -> ChestNetwork:
    """The bundle's network with its weights, float32, in eval mode. Raises BundleInvalid when they do not fit."""
    with _NoRandomStart():
        network = build_network(bundle.metadata.network, len(bundle.metadata.outputs))
    state = {}
    try:
        for item in bundle.metadata.weights:
            state.update(load_file(bundle.path / item.file))
        network.load_state_dict({name: tensor.float() for name, tensor in state.items()}, strict=True)
    except (SafetensorError, RuntimeError) as error:
        raise _do_not_fit(bundle, error) from error
    return network.eval()


class _NoRandomStart(TorchFunctionMode):
    """Within it nothing is drawn for weights that will be loaded; for a VGG-16 that takes as long as the loading.

    Source: PyTorch, torch.overrides.TorchFunctionMode; torch.nn.init's functions ask for it.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", "") == nn.init.__name__:
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)


def load_head(bundle: Bundle) -> nn.Module:
    """The head alone of load_network's network: the backbone's weights are neither read nor given room."""
    with torch.device("meta"):
        head = build_network(bundle.metadata.network, len(bundle.metadata.outputs)).head
    head = head.to_empty(device="cpu")
    state = {}
    try:
        for item in bundle.metadata.weights:
            with safe_open(bundle.path / item.file, framework="pt") as tensors:
                own = [name for name in tensors.keys() if name.startswith("head.")]  # noqa: SIM118  no mapping
                state.update({name.removeprefix("head."): tensors.get_tensor(name).float() for name in own})
        head.load_state_dict(state, strict=True)
    except (SafetensorError, RuntimeError) as error:
        raise _do_not_fit(bundle, error) from error
    return head.eval().requires_grad_(False)


def _do_not_fit(bundle: Bundle, error: Exception) -> BundleInvalid:
    architecture = bundle.metadata.network.architecture
    return BundleInvalid(f"The weights in {bundle.path} do not fit {architecture}: {error}")


def golden_radiographs(bundle: Bundle) -> Iterator[tuple[GoldenInput, NDArray[np.uint8]]]:
    """Each golden input with its pixels (H, W), already at the network's input size."""
    for item in bundle.metadata.golden.inputs:
        with Image.open(bundle.path / item.file, formats=("PNG",)) as image:
            yield item, np.asarray(image.convert("L"))


def verify_golden(bundle: Bundle, engine: Engine) -> float:
    """Runs the golden inputs; returns the largest absolute difference from the released logits.

    Raises BundleInvalid when it exceeds what the bundle allows this engine and precision.
    """
    allowed = bundle.metadata.golden_tolerance(engine.name, engine.precision)
    worst = 0.0
    for item, x_HW in golden_radiographs(bundle):
        logits_BK, _ = engine.run(x_HW[None])
        difference = np.abs(logits_BK[0] - np.asarray(item.logits))
        worst = max(worst, float(np.where(np.isfinite(difference), difference, np.inf).max()))
    if worst > allowed:
        raise BundleInvalid(
            f"The bundle does not reproduce its golden logits with {engine.name} {engine.precision}: they differ by "
            f"{worst:.4g}, allowed is {allowed:.4g}. It must not be used on this machine."
        )
    return worst
