"""A Classifier without a network."""

import numpy as np

from diagnosis_tool.cxr.findings import NIH_OUTPUTS, NO_FINDING, OutputKind
from diagnosis_tool.cxr.quality import refuse_unreadable
from diagnosis_tool.cxr.types import Heatmap, ModelIdentity, OutputReading, Radiograph, Reading


class FakeClassifier:
    """Probabilities follow the outputs' order and the image's mean; counts what it was asked to read."""

    def __init__(self, error: Exception | None = None, outputs: tuple[str, ...] = NIH_OUTPUTS) -> None:
        self.error = error
        self.outputs = outputs
        self.reads = 0
        self.identity = ModelIdentity(
            bundle_name="fake", bundle_version="1", bundle_sha256="f" * 64, engine="fake", precision="f32"
        )

    def read(self, radiograph: Radiograph) -> Reading:
        """The same image gives the same answer."""
        self.reads += 1
        if self.error is not None:
            raise self.error
        refuse_unreadable(radiograph)
        shift = float(radiograph.pixels.mean() / np.iinfo(radiograph.pixels.dtype).max) / 100
        return Reading(
            identity=self.identity,
            outputs=tuple(
                OutputReading(
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
