"""Whatever an image makes go wrong, it is that image that fails."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from diagnosis_tool.cxr.types import Subject
from diagnosis_tool.domain.jobs import MAX_ATTEMPTS
from diagnosis_tool.domain.studies import InstanceState, Reason
from diagnosis_tool.errors import Busy, StorageFull, UnsupportedImage
from diagnosis_tool.services import browse
from diagnosis_tool.services.context import Context
from diagnosis_tool.services.predict_job import predict, prepare, record
from tests.fakes.classifier import FakeClassifier
from tests.stores import film, send

NEVER = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))
"""A moment that UTC has no year for: no column can hold it."""


def attempt(context: Context) -> None:
    (job,) = context.jobs.claim("w", 1)
    image = prepare(context, FakeClassifier(), job)
    assert image is not None
    broken = replace(image, facts=replace(image.facts, subject=Subject(acquired_at=NEVER)))
    for predicted in predict(context, FakeClassifier(), [broken]):
        record(context, *predicted)


def test_what_cannot_be_stored_is_a_failed_image(context: Context, caplog: pytest.LogCaptureFixture) -> None:
    uid = send(context, film(1))
    for _ in range(MAX_ATTEMPTS):
        attempt(context)
    (instance,) = browse.get_study(context, uid).instances
    assert instance.state is InstanceState.FAILED
    assert caplog.text.count("broke down") == MAX_ATTEMPTS
    assert context.jobs.claim("w", 1) == ()


@pytest.mark.parametrize("error", [StorageFull("full"), Busy("busy")])
def test_what_is_not_the_images_fault_costs_it_nothing(
    context: Context, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    uid = send(context, film(1))
    (job,) = context.jobs.claim("w", 1)
    image = prepare(context, FakeClassifier(), job)
    assert image is not None
    ((prepared, prediction),) = predict(context, FakeClassifier(), [image])

    def complete(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(type(context.predictions), "complete", complete)
        with pytest.raises(type(error)):
            record(context, prepared, prediction)
    assert [i.state for i in browse.get_study(context, uid).instances] == [InstanceState.READING]
    record(context, prepared, prediction)
    assert [i.state for i in browse.get_study(context, uid).instances] == [InstanceState.DONE]


def test_a_reason_keeps_no_more_of_a_file_than_a_line() -> None:
    error = UnsupportedImage("This is a radiograph of %(part)s.", part="X" * 10_000_000)
    assert len(str(Reason.of(error))) < 300
