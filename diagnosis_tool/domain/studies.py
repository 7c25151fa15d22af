"""Study and Instance: values, and the rules of an instance's state. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from diagnosis_tool.cxr.types import NOBODY, Prediction, Radiograph, Remark, Subject, ViewPosition
from diagnosis_tool.errors import DiagnosisToolError, QuotaExceeded


class InstanceState(StrEnum):
    """Where an uploaded image is on its way.

    REFUSED: looked at, and no model may read it (the reason is in Instance.error). FAILED: something of ours broke.
    Neither is ever shown as negative.
    """

    QUEUED = "queued"
    READING = "reading"
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """True once nothing more will happen by itself."""
        return self in {InstanceState.DONE, InstanceState.REFUSED, InstanceState.FAILED}


LEAST_COUNTED_BYTES: Final = 10_000
"""What a file counts as where it has less: its rows and its block take this much. So a quota bounds the number, too."""


def counted_bytes(size_bytes: int) -> int:
    """What a file of this size counts as against a user's quota."""
    return max(size_bytes, LEAST_COUNTED_BYTES)


def require_quota(kept_bytes: int, more_bytes: int, quota_bytes: int | None) -> None:
    """Raises QuotaExceeded when so much more is more than a user may keep; None: there is no limit."""
    if quota_bytes is not None and kept_bytes + more_bytes > quota_bytes:
        raise QuotaExceeded(
            "You keep %(kept)s of the %(most)s GB that each user has here, and this upload does not fit. Nothing was "
            "stored. Delete studies that are no longer needed, or ask the administrator for more room.",
            kept=f"{kept_bytes / 1e9:.1f}",
            most=f"{quota_bytes / 1e9:.0f}",
        )


_LONGEST_VALUE: Final = 200
"""Letters of a value in a reason: it may quote a file."""


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why an image has no prediction, kept so that it is worded when it is shown (wording.outcome). str(): in English.

    message: the message's id, as in DiagnosisToolError. values: what stands for its %(name)s.
    """

    message: str
    values: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, error: DiagnosisToolError) -> "Reason":
        """What the error says."""
        return cls(message=error.message, values={name: _cut(str(value)) for name, value in error.values.items()})

    def __str__(self) -> str:
        return self.message % self.values if self.values else self.message


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """What the worker learns of a file besides its pixels.

    bits, view_position, pixel_spacing_mm and notes as in Radiograph; notes None: an earlier release read the image.
    """

    width_px: int
    height_px: int
    bits: int = 8
    view_position: ViewPosition = ViewPosition.UNKNOWN
    pixel_spacing_mm: tuple[float, float] | None = None
    subject: Subject = NOBODY
    notes: tuple[Remark, ...] | None = ()

    @classmethod
    def of(cls, radiograph: Radiograph) -> "ImageFacts":
        """The facts of this radiograph."""
        return cls(
            width_px=radiograph.width_px,
            height_px=radiograph.height_px,
            bits=radiograph.bits,
            view_position=radiograph.view_position,
            pixel_spacing_mm=radiograph.pixel_spacing_mm,
            subject=radiograph.subject,
            notes=radiograph.notes,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One uploaded file and what became of it.

    file_name: as the sender called it, cleaned for display; never used as a path.
    width_px, height_px: None until the image was decoded. error: when REFUSED or FAILED.
    prediction: set exactly when state is DONE; predicted_at: when it was made for this image, never before the image
    was received, also when the same content had been read before; predict_s: how many seconds that took then.
    patient_id: the file's, or what the sender called the patient of the upload. This and what follows: None where it is
    not known (yet). bits: of each pixel that the source uses, 8 until the image was decoded.
    received_at: when it was uploaded. notes: what who looks at it must know of how it was read; None where it was not
    read, or by a release that turned no film: its prediction is one of the film as it is stored.
    """

    uid: str
    study_uid: str
    position: int
    file_name: str
    sha256: str
    size_bytes: int
    state: InstanceState
    error: Reason | None
    width_px: int | None
    height_px: int | None
    has_thumbnail: bool
    prediction: Prediction | None
    predicted_at: datetime | None = None
    predict_s: float | None = None
    patient_id: str | None = None
    patient_name: str | None = None
    view_position: ViewPosition | None = None
    age_years: int | None = None
    sex: str | None = None
    acquired_at: datetime | None = None
    pixel_spacing_mm: tuple[float, float] | None = None
    bits: int = 8
    received_at: datetime | None = None
    notes: tuple[Remark, ...] | None = None

    @property
    def dated(self) -> datetime | None:
        """When it was taken, or else uploaded: the place in a patient's history."""
        return self.acquired_at or self.received_at


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageName:
    """An image without what is known of it: for who only needs to know that it is there. As in Instance."""

    uid: str
    study_uid: str
    file_name: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyProgress:
    """How many images of a study are done with. states: each instance's uid and state, in the order they were sent."""

    uid: str
    states: tuple[tuple[str, InstanceState], ...]

    @property
    def total(self) -> int:
        """Number of instances."""
        return len(self.states)

    @property
    def finished(self) -> int:
        """Number of instances that nothing more will happen to."""
        return sum(state.is_final for _, state in self.states)

    def count(self, state: InstanceState) -> int:
        """Number of instances in this state."""
        return sum(own is state for _, own in self.states)


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """The images of one upload, in the order they were sent."""

    uid: str
    created_at: datetime
    user_name: str
    instances: tuple[Instance, ...]

    @property
    def progress(self) -> StudyProgress:
        """How many images are done with."""
        return StudyProgress(uid=self.uid, states=tuple((i.uid, i.state) for i in self.instances))

    def count(self, state: InstanceState) -> int:
        """Number of instances in this state."""
        return self.progress.count(state)

    @property
    def finished(self) -> int:
        """Number of instances that nothing more will happen to."""
        return self.progress.finished
