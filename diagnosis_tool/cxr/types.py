"""The values that pass between decoding, models and the rest of the tool. Torch-free."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from diagnosis_tool.cxr.findings import OutputKind
from diagnosis_tool.cxr.turn import UPRIGHT, Grey, Turn
from diagnosis_tool.errors import NotFound


class ViewPosition(StrEnum):
    """DICOM View Position (0018,5101), as far as chest radiographs use it, and what coded views add to it.

    LL also stands for a lateral whose side is not told. At most 10 letters: a column of the database holds it.
    """

    PA = "PA"
    AP = "AP"
    LL = "LL"
    RL = "RL"
    LLD = "LLD"
    RLD = "RLD"
    LLO = "LLO"
    RLO = "RLO"
    LAO = "LAO"
    RAO = "RAO"
    LPO = "LPO"
    RPO = "RPO"
    OBLIQUE = "OBLIQUE"
    DECUBITUS = "DECUBITUS"
    AXIAL = "AXIAL"
    UNKNOWN = "unknown"

    @property
    def is_frontal_or_unknown(self) -> bool:
        """False for what is surely no frontal view."""
        return self in {ViewPosition.PA, ViewPosition.AP, ViewPosition.UNKNOWN}


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Whose film it is and when it was taken, as the file says; None where it does not.

    sex: 'M', 'F' or 'O'. acquired_at: aware.
    """

    patient_id: str | None = None
    patient_name: str | None = None
    age_years: int | None = None
    sex: str | None = None
    acquired_at: datetime | None = None


NOBODY: Final = Subject()
"""Of a file that tells nothing."""


@dataclass(frozen=True, slots=True)
class Remark:
    """What who looks at a film must know of how it was read, such as that it was turned. str(): in English.

    message: English, a plain string literal where it is made, as in DiagnosisToolError. values: what stands for its
    %(name)s.
    """

    message: str
    values: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.message % self.values if self.values else self.message


@dataclass(frozen=True, slots=True, kw_only=True)
class Radiograph:
    """One image in canonical form: grey, bright = dense (MONOCHROME2), as a person who faces the reader.

    pixels: (H, W), uint8 or uint16, full range of the source.
    source_format: 'PNG', 'JPEG' or 'DICOM'.
    pixel_spacing_mm: (row, column) distance of pixel centres, where the source states it.
    bits: how many of each pixel's bits the source uses, 1 to 16.
    padded_px: how many pixels are padding around the film. They have the darkest of its grey values, and no
        statistic of the film counts them.
    turn: how it was brought to face the reader. notes: what who looks at it must know.
    """

    pixels: Grey
    source_format: str
    view_position: ViewPosition = ViewPosition.UNKNOWN
    pixel_spacing_mm: tuple[float, float] | None = None
    bits: int = 8
    subject: Subject = NOBODY
    padded_px: int = 0
    turn: Turn = UPRIGHT
    notes: tuple[Remark, ...] = ()

    @property
    def height_px(self) -> int:
        """Number of rows."""
        return int(self.pixels.shape[0])

    @property
    def width_px(self) -> int:
        """Number of columns."""
        return int(self.pixels.shape[1])

    def as_stored(self) -> "Radiograph":
        """As the file holds it, before it was turned."""
        spacing = self.pixel_spacing_mm
        return replace(
            self,
            pixels=self.turn.undo(self.pixels),
            pixel_spacing_mm=spacing[::-1] if spacing and self.turn.transposed else spacing,
            turn=UPRIGHT,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Heatmap:
    """Relative saliency of one output in one image, at the size of the network's feature map.

    values: (h, w) uint8; value / 255 * scale is the raw map, so the largest value is 255 unless the map is empty.
    scale: the raw map's maximum, >= 0, in units of the logit's gradient times activation; 0 says the map is empty.
    """

    values: NDArray[np.uint8]
    scale: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictedOutput:
    """What a model says about one output: logit, calibrated probability in [0, 1], and where it looked.

    threshold is the bundle's operating point on the probability, None where the bundle has none for this output.
    """

    name: str
    kind: OutputKind
    logit: float
    probability: float
    threshold: float | None
    heatmap: Heatmap

    @property
    def is_above_threshold(self) -> bool:
        """True at or above the operating point; without an operating point nothing is called positive."""
        return self.threshold is not None and self.probability >= self.threshold


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelIdentity:
    """Which model, run how: the key of a prediction beside the image's sha256."""

    bundle_name: str
    bundle_version: str
    bundle_sha256: str
    engine: str
    precision: str

    @property
    def bundle(self) -> str:
        """Name and version as released, for example 'efficientnet_b7-nih14-1.2'."""
        return f"{self.bundle_name}-{self.bundle_version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """All that a model says about one radiograph, outputs in the bundle's order; stored as it is, never changed."""

    identity: ModelIdentity
    outputs: tuple[PredictedOutput, ...]

    @property
    def top(self) -> tuple[str, ...]:
        """Names of the (at most four) most probable findings, most probable first."""
        return top_findings(self.outputs)

    def output(self, name: str) -> PredictedOutput:
        """The output of this name. Raises NotFound."""
        for output in self.outputs:
            if output.name == name:
                return output
        raise NotFound("The model has no output '%(name)s'.", name=name)

    def heatmap(self, name: str) -> Heatmap:
        """The heatmap of the output of this name. Raises NotFound."""
        return self.output(name).heatmap


TOP_COUNT = 4


class _Ranked(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> OutputKind: ...
    @property
    def probability(self) -> float: ...


def top_findings(outputs: "tuple[_Ranked, ...]", count: int = TOP_COUNT) -> tuple[str, ...]:
    """Names of the `count` most probable outputs that are findings ('No Finding' is none), most probable first.

    Equal probabilities keep the bundle's order, so the order never depends on chance.
    """
    findings = [output for output in outputs if output.kind is OutputKind.FINDING]
    return tuple(o.name for o in sorted(findings, key=lambda o: -o.probability)[:count])


class Classifier(Protocol):
    """Predicts from radiographs. Services know this and no network."""

    @property
    def identity(self) -> ModelIdentity:
        """The bundle, engine and precision behind the predictions."""
        ...

    @property
    def batch(self) -> int:
        """How many radiographs to give to `predict_prepared` at once; 1 where more would be no faster."""
        ...

    def predict(self, radiograph: Radiograph) -> Prediction:
        """Probabilities and heatmaps of all outputs of one radiograph: `prepare`, then `predict_prepared`.

        Raises UnsupportedImage when the image is none that the model may read.
        """
        ...

    def prepare(self, radiograph: Radiograph) -> NDArray[np.uint8]:
        """The network's input, (H, W) uint8; may run in another thread than `predict_prepared`.

        Raises UnsupportedImage when the image is none that the model may read.
        """
        ...

    def predict_prepared(self, x_BHW: NDArray[np.uint8]) -> tuple[Prediction, ...]:
        """What the model says about prepared radiographs (B, H, W), one prediction each, in their order."""
        ...


class Decoder(Protocol):
    """Makes radiographs of files. Services know this; whether it is done in this process or another is the wiring's."""

    def decode(self, data: bytes, became_slow: Callable[[], None] = ...) -> Radiograph:
        """A PNG, JPEG or DICOM file's bytes to a canonical radiograph.

        became_slow: told, perhaps, when it takes long, so that others need not wait for it.

        Raises:
            UnreadableInput, UnsupportedImage: with a message for the user.
            DecodersBusy: it takes long, and others that do are being decoded.
            DecodersMissing: nothing can be decoded now.
            BrokenOff: by `break_off`.
        """
        ...

    def break_off(self) -> None:
        """Ends what is being decoded for others; they get BrokenOff. What comes later is decoded again."""
        ...
