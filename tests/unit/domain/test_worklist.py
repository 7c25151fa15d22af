"""A study's row from its images."""

from datetime import UTC, datetime

import pytest

from diagnosis_tool.cxr.types import ViewPosition
from diagnosis_tool.domain.reviews import ReviewState
from diagnosis_tool.domain.studies import InstanceState
from diagnosis_tool.domain.worklist import ImageLine, StudyState, outline, study_state

QUEUED, READING, DONE = InstanceState.QUEUED, InstanceState.READING, InstanceState.DONE
REFUSED, FAILED = InstanceState.REFUSED, InstanceState.FAILED
NONE, DRAFT, SIGNED, AMENDED = ReviewState.NONE, ReviewState.DRAFT, ReviewState.SIGNED, ReviewState.AMENDED


def line(state: InstanceState = DONE, review: ReviewState = NONE, **of: object) -> ImageLine:
    known = {"patient_id": None, "patient_name": None, "view_position": None, "age_years": None, "sex": None}
    return ImageLine(state=state, review=review, **{**known, **of})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("images", "state"),
    [
        ([line(QUEUED), line(QUEUED)], StudyState.NEW),
        ([line(QUEUED), line(READING)], StudyState.READING),
        ([line(QUEUED), line(DONE)], StudyState.READING),
        ([line(QUEUED), line(REFUSED)], StudyState.READING),
        ([line(DONE), line(FAILED), line(REFUSED)], StudyState.READ),
        ([line(REFUSED), line(REFUSED)], StudyState.REFUSED),
        ([line(REFUSED), line(FAILED)], StudyState.FAILED),
        ([line(DONE, DRAFT), line(DONE)], StudyState.REVIEWED),
        ([line(DONE, SIGNED), line(DONE)], StudyState.REVIEWED),
        ([line(DONE, SIGNED), line(DONE, DRAFT)], StudyState.REVIEWED),
        ([line(DONE, SIGNED), line(REFUSED)], StudyState.SIGNED),
        ([line(DONE, SIGNED), line(DONE, AMENDED)], StudyState.AMENDED),
    ],
)
def test_states(images: list[ImageLine], state: StudyState) -> None:
    assert study_state(images) is state


def test_the_first_named_patient_stands_for_the_study_and_the_last_reader_too() -> None:
    early, late = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    sums = outline(
        [
            line(view_position=ViewPosition.UNKNOWN),
            line(DONE, DRAFT, patient_id="B", view_position=ViewPosition.PA, reviewed_at=late, reader_id=7),
            line(DONE, SIGNED, patient_id="A", age_years=0, sex="F", reviewed_at=early, reader_id=8),
            line(FAILED, patient_id="B", view_position=ViewPosition.LL),
        ]
    )
    assert (sums.patient_id, sums.patients, sums.view_positions) == ("B", 2, "PA, LL")
    assert (sums.age_years, sums.sex, sums.reader_id) == (0, "F", 7)
    assert (sums.total, sums.finished, sums.failed, sums.refused) == (4, 4, 1, 0)


def test_views_fit_into_their_column() -> None:
    longest = sorted((view for view in ViewPosition if view is not ViewPosition.UNKNOWN), key=len, reverse=True)
    sums = outline([line(DONE, view_position=view) for view in longest])
    assert longest[0] in sums.view_positions
    assert len(sums.view_positions) <= 40


def test_a_study_of_nobody() -> None:
    sums = outline([line(QUEUED)])
    assert (sums.patient_id, sums.patient_name, sums.patients, sums.reader_id) == (None, None, 0, None)
