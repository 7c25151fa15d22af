"""The Classifier over a released bundle: checks itself on golden inputs, then predicts."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from diagnosis_tool.cxr.bundle import Bundle, open_bundle
from diagnosis_tool.cxr.calibration import probabilities
from diagnosis_tool.cxr.engine_choice import REFERENCE, EngineOptions
from diagnosis_tool.cxr.engines import Engine
from diagnosis_tool.cxr.engines.choose import Say, choose_engine
from diagnosis_tool.cxr.gradcam import explain
from diagnosis_tool.cxr.preprocess import preprocess
from diagnosis_tool.cxr.quality import refuse_unreadable
from diagnosis_tool.cxr.types import Heatmap, ModelIdentity, PredictedOutput, Prediction, Radiograph, ViewPosition
from diagnosis_tool.cxr.weights import load_head
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
        return tuple(
            Prediction(
                identity=self.identity,
                outputs=self._outputs(logits_K[None], explain(self._head, features_Chw, len(logits_K))),
            )
            for logits_K, features_Chw in zip(logits_BK, features_BChw, strict=True)
        )

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
    """Opens a bundle and proves on the golden inputs that it predicts as it did at release, with the engine chosen.

    say: told what is being done, for it may take a minute. Raises BundleInvalid when anything about the bundle is
    wrong; then it must not be used.
    """
    say("checking the bundle's files")
    bundle = open_bundle(path)
    engine = choose_engine(bundle, options, say)
    head = load_head(bundle)  # on the CPU and in f32, whatever the engine
    return BundleClassifier(bundle, head, engine)
