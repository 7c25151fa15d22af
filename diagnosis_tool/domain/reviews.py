"""What a reader makes of a prediction: verdicts, added findings, boxes, a note, a signature. Pure.

A review belongs to one image and one bundle. Each change is a new revision; none is ever altered or removed.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from diagnosis_tool.cxr.findings import NIH_FINDINGS, OTHER_FINDINGS, OutputKind
from diagnosis_tool.cxr.types import Prediction
from diagnosis_tool.domain.studies import Instance
from diagnosis_tool.errors import Conflict, RequestRefused

MAX_NOTE: Final = 10_000
MAX_BOXES: Final = 100


class Verdict(StrEnum):
    """Of what the model says about one output: the right side of its operating point, the wrong one, or unsure."""

    AGREE = "agree"
    DISAGREE = "disagree"
    UNSURE = "unsure"


class ReviewState(StrEnum):
    """NONE: nobody reviewed it yet. AMENDED: changed after a sign-off and not signed again."""

    NONE = "none"
    DRAFT = "draft"
    SIGNED = "signed"
    AMENDED = "amended"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewBox:
    """Where the reader sees a finding: left top corner and size, in pixels of the stored radiograph."""

    finding: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """What the reader says. verdicts: of outputs by name. added: findings seen besides what the model predicts."""

    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    added: tuple[str, ...] = ()
    note: str = ""
    boxes: tuple[ReviewBox, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One step of a review's history."""

    number: int
    by: str
    at: datetime
    state: ReviewState


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """The newest revision of an image's review, with its history, oldest first.

    revision: 0 while there is none. bundle: whose prediction it is about, None while the image is not read.
    signed_by, signed_at: the latest sign-off, also when it was amended since.
    """

    bundle: str | None
    revision: int = 0
    opinion: Opinion = Opinion()
    state: ReviewState = ReviewState.NONE
    signed_by: str | None = None
    signed_at: datetime | None = None
    history: tuple[Revision, ...] = ()


class ReviewConflict(Conflict):
    """Another revision is newer than the one that the reader saw; `current` is it."""

    def __init__(self, message: str, current: Review, **values: object) -> None:
        super().__init__(message, **values)
        self.current = current


def after_change(state: ReviewState) -> ReviewState:
    """The state of a revision that changes a review in this state."""
    return ReviewState.AMENDED if state in {ReviewState.SIGNED, ReviewState.AMENDED} else ReviewState.DRAFT


def vocabulary(prediction: Prediction | None) -> tuple[str, ...]:
    """The findings that a reader may name: those of the model, then the others that this tool knows."""
    own = [o.name for o in prediction.outputs if o.kind is OutputKind.FINDING] if prediction else []
    return (*own, *(name for name in (*NIH_FINDINGS, *OTHER_FINDINGS) if name not in own))


def clean_note(text: str) -> str:
    """The text without control characters but line breaks and tabs: none is seen, and not every store takes NUL."""
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) != "Cc")


def check(opinion: Opinion, instance: Instance) -> None:
    """Raises RequestRefused for an opinion about anything that is not in this image's prediction."""
    prediction = instance.prediction
    outputs = {output.name for output in prediction.outputs} if prediction else set()
    known = {*vocabulary(prediction), *outputs}
    if strange := sorted(set(opinion.verdicts) - outputs):
        raise RequestRefused("The model has no output %(name)s to have a verdict on. Reload the page.", name=strange[0])
    if strange := sorted({*opinion.added, *(box.finding for box in opinion.boxes)} - known):
        raise RequestRefused("%(name)s is no finding of the vocabulary. Choose one from the list.", name=strange[0])
    if len(opinion.note) > MAX_NOTE:
        raise RequestRefused(
            "The note has %(n)s letters; at most %(most)s fit. Shorten it.", n=len(opinion.note), most=MAX_NOTE
        )
    if len(opinion.boxes) > MAX_BOXES:
        raise RequestRefused(
            "%(n)s boxes were drawn; at most %(most)s fit on an image.", n=len(opinion.boxes), most=MAX_BOXES
        )
    for box in opinion.boxes:
        _check_box(box, instance.width_px or 0, instance.height_px or 0)


def _check_box(box: ReviewBox, width_px: int, height_px: int) -> None:
    inside = box.x >= 0 and box.y >= 0 and box.x + box.width <= width_px and box.y + box.height <= height_px
    if not (inside and box.width > 0 and box.height > 0):  # NaN is not inside either
        raise RequestRefused(
            "The box of %(finding)s does not lie within the image. Draw it again.", finding=box.finding
        )
