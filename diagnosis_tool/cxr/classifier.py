"""The Classifier over a released bundle: checks itself on golden inputs, then reads radiographs."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file

from diagnosis_tool.cxr.bundle import Bundle, open_bundle
from diagnosis_tool.cxr.calibration import probabilities
from diagnosis_tool.cxr.engines import Engine, TorchEngine
from diagnosis_tool.cxr.gradcam import gradcam
from diagnosis_tool.cxr.network import ChestNetwork, build_network
from diagnosis_tool.cxr.preprocess import preprocess
from diagnosis_tool.cxr.quality import refuse_unreadable
from diagnosis_tool.cxr.types import Heatmap, ModelIdentity, OutputReading, Radiograph, Reading, ViewPosition
from diagnosis_tool.errors import BundleInvalid, UnsupportedImage


class BundleClassifier:
    """Reads radiographs with one bundle. One thread at a time (Grad-CAM's hooks are stateful)."""

    def __init__(self, bundle: Bundle, network: ChestNetwork, engine: Engine) -> None:
        self.bundle = bundle
        self.engine = engine
        self._head = network.head

    @property
    def identity(self) -> ModelIdentity:
        """The bundle, engine and precision behind the answers."""
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
        return int(getattr(self.engine, "batch", 1))

    def read(self, radiograph: Radiograph) -> Reading:
        """Probabilities and heatmaps of all outputs of one radiograph.

        Raises UnsupportedImage when the image is none that the model may read.
        """
        (reading,) = self.answer(self.prepare(radiograph)[None])
        return reading

    def prepare(self, radiograph: Radiograph) -> NDArray[np.uint8]:
        """The network's input, (H, W) uint8; may run in another thread than `answer`.

        Raises UnsupportedImage when the image is none that the model may read.
        """
        refuse_unreadable(radiograph)
        self._refuse_view(radiograph.view_position)
        return preprocess(radiograph, self.bundle.metadata.preprocess)

    def answer(self, x_BHW: NDArray[np.uint8]) -> tuple[Reading, ...]:
        """What the model says about prepared radiographs (B, H, W), one reading each, in their order."""
        logits_BK, features_BChw = self.engine.run(x_BHW)
        return tuple(
            Reading(
                identity=self.identity,
                outputs=self._outputs(logits_K[None], gradcam(self._head, features_Chw, len(logits_K))),
            )
            for logits_K, features_Chw in zip(logits_BK, features_BChw, strict=True)
        )

    def _refuse_view(self, view: ViewPosition) -> None:
        allowed = self.bundle.metadata.allowed_views
        if view is not ViewPosition.UNKNOWN and view not in allowed:
            names = ", ".join(allowed)
            raise UnsupportedImage(f"This is a {view} view; the model reads {names} only. Nothing was read.")

    def _outputs(self, logits_BK: NDArray[np.float32], heatmaps: tuple[Heatmap, ...]) -> tuple[OutputReading, ...]:
        metadata = self.bundle.metadata
        probabilities_K = probabilities(logits_BK, metadata.activation, metadata.calibration)[0]
        # an infinite logit would pass for a probability of 0 or 1
        if not (np.isfinite(logits_BK).all() and np.isfinite(probabilities_K).all()):
            raise BundleInvalid("The model gave a value that is not a number for this image; nothing may be shown.")
        return tuple(
            OutputReading(
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


def load_classifier(path: Path) -> BundleClassifier:
    """Opens a bundle, builds its network, and proves on the golden inputs that it answers as it did at release.

    Raises BundleInvalid when anything about the bundle is wrong; then it must not be used.
    """
    bundle = open_bundle(path)
    network = load_network(bundle)
    engine = TorchEngine(network)
    verify_golden(bundle, engine)
    return BundleClassifier(bundle, network, engine)


def load_network(bundle: Bundle) -> ChestNetwork:
    """The bundle's network with its weights, float32, in eval mode. Raises BundleInvalid when they do not fit."""
    network = build_network(bundle.metadata.network, len(bundle.metadata.outputs))
    state = {}
    try:
        for item in bundle.metadata.weights:
            state.update(load_file(bundle.path / item.file))
        network.load_state_dict({name: tensor.float() for name, tensor in state.items()}, strict=True)
    except (SafetensorError, RuntimeError) as error:
        raise BundleInvalid(
            f"The weights in {bundle.path} do not fit {bundle.metadata.network.architecture}: {error}"
        ) from error
    return network.eval()


def verify_golden(bundle: Bundle, engine: Engine) -> float:
    """Runs the golden inputs; returns the largest absolute difference from the released logits.

    Raises BundleInvalid when it exceeds the bundle's tolerance.
    """
    golden = bundle.metadata.golden
    worst = 0.0
    for item in golden.inputs:
        with Image.open(bundle.path / item.file, formats=("PNG",)) as image:
            x_HW = np.asarray(image.convert("L"))
        logits_BK, _ = engine.run(x_HW[None])
        difference = np.abs(logits_BK[0] - np.asarray(item.logits))
        worst = max(worst, float(np.where(np.isfinite(difference), difference, np.inf).max()))
    if worst > golden.tolerance:
        raise BundleInvalid(
            f"The bundle does not reproduce its golden logits with {engine.name} {engine.precision}: they differ by "
            f"{worst:.4g}, allowed is {golden.tolerance:.4g}. It must not be used on this machine."
        )
    return worst
