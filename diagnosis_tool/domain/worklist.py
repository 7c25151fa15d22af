"""What the worklist shows of a study, and how it is derived. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Final

from diagnosis_tool.cxr.types import ViewPosition
from diagnosis_tool.domain.reviews import ReviewState
from diagnosis_tool.domain.studies import InstanceState

_MOST_VIEWS: Final = 5
"""So many of the longest names fit into the column `view_positions`."""


class StudyState(StrEnum):
    """How far a study is on its way to a signed reading.

    REVIEWED: somebody said something, but not all images that were read are signed. REFUSED, FAILED: not one image was
    read; FAILED when something of ours broke.
    """

    NEW = "new"
    READING = "reading"
    READ = "read"
    REVIEWED = "reviewed"
    SIGNED = "signed"
    AMENDED = "amended"
    REFUSED = "refused"
    FAILED = "failed"


class Sort(StrEnum):
    """The worklist's orders. URGENT: the largest probability over its operating point first."""

    NEWEST = "newest"
    OLDEST = "oldest"
    URGENT = "urgent"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLine:
    """What the worklist needs to know of an image; review: of its current prediction, with its reader.

    count: of how many images this is true.
    """

    state: InstanceState
    patient_id: str | None
    patient_name: str | None
    view_position: ViewPosition | None
    age_years: int | None
    sex: str | None
    review: ReviewState = ReviewState.NONE
    reviewed_at: datetime | None = None
    reader_id: int | None = None
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """A study's images in one line. patients: how many different ones are named; those given are of the first.

    reader_id: who reviewed it last, None while nobody has.
    """

    state: StudyState
    total: int
    finished: int
    refused: int
    failed: int
    patient_id: str | None
    patient_name: str | None
    patients: int
    view_positions: str
    age_years: int | None
    sex: str | None
    reader_id: int | None


def outline(images: Sequence[ImageLine]) -> Outline:
    """The images of one study, in their order, summed up."""
    named = [image for image in images if image.patient_id or image.patient_name]
    first = named[0] if named else None
    views = [i.view_position for i in images if i.view_position not in {None, ViewPosition.UNKNOWN}]
    reviewed = [image for image in images if image.reviewed_at is not None]
    last = max(reviewed, key=lambda image: image.reviewed_at or datetime.min) if reviewed else None
    return Outline(
        state=study_state(images),
        total=sum(image.count for image in images),
        finished=sum(image.count for image in images if image.state.is_final),
        refused=sum(image.count for image in images if image.state is InstanceState.REFUSED),
        failed=sum(image.count for image in images if image.state is InstanceState.FAILED),
        patient_id=first.patient_id if first else None,
        patient_name=first.patient_name if first else None,
        patients=len({image.patient_id or image.patient_name for image in named}),
        view_positions=", ".join(list(dict.fromkeys(str(view) for view in views))[:_MOST_VIEWS]),
        age_years=next((i.age_years for i in images if i.age_years is not None), None),
        sex=next((i.sex for i in images if i.sex), None),
        reader_id=last.reader_id if last else None,
    )


def study_state(images: Sequence[ImageLine]) -> StudyState:
    """The state of a study of these images."""
    read = [image for image in images if image.state is InstanceState.DONE]
    reviews = {image.review for image in read}
    if not all(image.state.is_final for image in images):
        begun = any(image.state is not InstanceState.QUEUED for image in images)
        return StudyState.READING if begun else StudyState.NEW
    if not read:
        broken = any(image.state is InstanceState.FAILED for image in images)
        return StudyState.FAILED if broken else StudyState.REFUSED
    if ReviewState.AMENDED in reviews:
        return StudyState.AMENDED
    if reviews == {ReviewState.SIGNED}:
        return StudyState.SIGNED
    return StudyState.READ if reviews == {ReviewState.NONE} else StudyState.REVIEWED


@dataclass(frozen=True, slots=True, kw_only=True)
class Strongest:
    """A finding above its operating point."""

    finding: str
    probability: float
    threshold: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WorklistRow:
    """One study as the worklist shows it.

    version: grows with every change, so that a page knows which of its rows are old. reader: who reviewed it last, or
    else sent it. strongest: the strongest finding above its operating point, or the one that was filtered for; None
    when there is none, which says nothing while images are unread, refused or failed.
    first_instance_uids: at most four, for the thumbnail strip: those of the first four that have a thumbnail.
    """

    uid: str
    created_at: datetime
    version: int
    state: StudyState
    total: int
    finished: int
    refused: int
    failed: int
    reader: str
    patient_id: str | None
    patient_name: str | None
    patients: int
    view_positions: str
    age_years: int | None
    sex: str | None
    strongest: Strongest | None
    first_instance_uids: tuple[str, ...]
    cursor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorklistQuery:
    """Which studies, in which order. None or empty: no such filter.

    finding: above its operating point. state: REFUSED and FAILED find studies with any such image. first_day, last_day:
    of the upload, both included, in this machine's time zone. text: words, each the beginning of a patient's id or name
    or of a file's name. after, before: a row's cursor; the page goes on behind it, or ends in front of it.
    """

    sort: Sort = Sort.NEWEST
    finding: str | None = None
    state: StudyState | None = None
    first_day: date | None = None
    last_day: date | None = None
    reader_id: int | None = None
    text: str = ""
    after: str | None = None
    before: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorklistPage:
    """Rows in the query's order, and whether there are others on either side."""

    rows: tuple[WorklistRow, ...]
    has_before: bool
    has_after: bool
