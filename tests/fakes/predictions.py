"""Predictions by their numbers, with empty heatmaps."""

import numpy as np

from diagnosis_tool.cxr.findings import NO_FINDING, OutputKind
from diagnosis_tool.cxr.types import Heatmap, ModelIdentity, PredictedOutput, Prediction


def output(name: str, probability: float, threshold: float | None = 0.5) -> PredictedOutput:
    kind = OutputKind.ABSENCE if name in {NO_FINDING, "normal"} else OutputKind.FINDING
    empty = Heatmap(values=np.zeros((2, 2), np.uint8), scale=0.0)
    return PredictedOutput(name=name, kind=kind, logit=0.0, probability=probability, threshold=threshold, heatmap=empty)


def prediction(*outputs: PredictedOutput) -> Prediction:
    identity = ModelIdentity(bundle_name="b", bundle_version="1", bundle_sha256="0" * 64, engine="e", precision="f32")
    return Prediction(identity=identity, outputs=outputs)
