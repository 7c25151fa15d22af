"""A Classifier without a network."""

import numpy as np
from numpy.typing import NDArray

from diagnosis_tool.cxr.findings import NIH_OUTPUTS, NO_FINDING, OutputKind
from diagnosis_tool.cxr.preprocess import Geometry, Interpolation, PreprocessSpec, preprocess
from diagnosis_tool.cxr.quality import refuse_unreadable
from diagnosis_tool.cxr.types import Heatmap, ModelIdentity, PredictedOutput, Prediction, Radiograph

_SPEC = PreprocessSpec(
    size_px=32,
    geometry=Geometry.STRETCH,
    interpolation=Interpolation.BILINEAR,
    window_low_percentile=0,
    window_high_percentile=100,
)


class FakeClassifier:
    """Probabilities follow the outputs' order and the image's mean; counts the images that it was asked for."""

    def __init__(self, error: Exception | None = None, outputs: tuple[str, ...] = NIH_OUTPUTS, batch: int = 1) -> None:
        self.error = error
        self.outputs = outputs
        self.batch = batch
        self.passes: list[int] = []
        self.identity = ModelIdentity(
            bundle_name="fake", bundle_version="1", bundle_sha256="f" * 64, engine="fake", precision="f32"
        )

    @property
    def predicted(self) -> int:
        """Images that a forward pass was made for."""
        return sum(self.passes)

    def predict(self, radiograph: Radiograph) -> Prediction:
        """The same image gives the same prediction."""
        return self.predict_prepared(self.prepare(radiograph)[None])[0]

    def prepare(self, radiograph: Radiograph) -> NDArray[np.uint8]:
        """A tiny picture."""
        refuse_unreadable(radiograph)
        return preprocess(radiograph, _SPEC)

    def predict_prepared(self, x_BHW: NDArray[np.uint8]) -> tuple[Prediction, ...]:
        """One forward pass."""
        self.passes.append(len(x_BHW))
        if self.error is not None:
            raise self.error
        return tuple(self._prediction(float(x_HW.mean()) / 255 / 100) for x_HW in x_BHW)

    def _prediction(self, shift: float) -> Prediction:
        return Prediction(
            identity=self.identity,
            outputs=tuple(
                PredictedOutput(
                    name=name,
                    kind=OutputKind.ABSENCE if name in {NO_FINDING, "normal"} else OutputKind.FINDING,
                    logit=0.0,
                    probability=shift + k / 20,
                    threshold=0.5,
                    heatmap=Heatmap(values=np.eye(5, dtype=np.uint8) * 255, scale=1.0 + k),
                )
                for k, name in enumerate(self.outputs)
            ),
        )
