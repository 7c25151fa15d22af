"""The loop: reads ahead, asks the model once a content, and leaves nothing behind when it is stopped."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from diagnosis_tool.cxr.types import Prediction, Radiograph
from diagnosis_tool.dicom.decode import decode_radiograph
from diagnosis_tool.domain.access import ALL_PROJECTS
from diagnosis_tool.domain.jobs import MAX_ATTEMPTS, Priority
from diagnosis_tool.domain.studies import InstanceState
from diagnosis_tool.services import browse
from diagnosis_tool.services.context import Context
from diagnosis_tool.services.submit import Upload, submit_study
from diagnosis_tool.worker import loop
from tests.fakes.classifier import FakeClassifier


def film(seed: int) -> bytes:
    """A small grey PNG, another for each seed."""
    return png(np.random.default_rng(seed).integers(0, 256, (80, 80), dtype=np.uint8))


def png(pixels_HW: NDArray[np.uint8]) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels_HW).save(buffer, "PNG")
    return buffer.getvalue()


def submit(context: Context, *files: bytes) -> str:
    uploads = []
    for number, data in enumerate(files):
        blob = context.blobs.pending()
        blob.write(data)
        uploads.append(Upload(file_name=f"{number}.png", blob=blob))
    return submit_study(context, uploads, user_id=1)


def states(context: Context, uid: str) -> list[InstanceState]:
    return [instance.state for instance in browse.get_study(context, uid).instances]


@contextmanager
def running(context: Context, classifier: FakeClassifier, until: Callable[[], bool]) -> Iterator[None]:
    """The loop in a thread, stopped when `until` is true; whatever it raises is raised here."""
    stop, errors = threading.Event(), list[OSError]()

    def body() -> None:
        try:
            loop.run(context, classifier, worker="w", stop=stop)
        except OSError as error:
            errors.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    try:
        yield
        end = time.monotonic() + 20
        while not until() and thread.is_alive() and time.monotonic() < end:
            time.sleep(0.02)
    finally:
        stop.set()
        thread.join(20)
    assert not thread.is_alive()
    if errors:
        raise errors[0]
    assert until()


def finished(context: Context, uid: str) -> Callable[[], bool]:
    return lambda: all(state.is_final for state in states(context, uid))


@pytest.mark.parametrize("batch", [1, 4])
def test_every_image_has_its_own_answer(context: Context, batch: int) -> None:
    classifier = FakeClassifier(batch=batch)
    uid = submit(context, *(film(seed) for seed in range(9)), b"no image", b"")
    with running(context, classifier, finished(context, uid)):
        pass
    assert states(context, uid) == [InstanceState.DONE] * 9 + [InstanceState.REFUSED] * 2
    assert classifier.predicted == 9
    assert max(classifier.passes) <= batch
    alone = FakeClassifier()
    for seed, instance in enumerate(browse.get_study(context, uid).instances[:9]):
        assert instance.prediction is not None
        expected = alone.predict(_radiograph(seed)).outputs
        assert [o.probability for o in instance.prediction.outputs] == [o.probability for o in expected]


def test_the_same_content_is_asked_once_even_within_one_upload(context: Context) -> None:
    classifier = FakeClassifier(batch=2)
    uid = submit(context, film(1), film(1), film(2), *[film(1)] * 7)
    with running(context, classifier, finished(context, uid)):
        pass
    again = submit(context, film(2))
    with running(context, classifier, finished(context, again)):
        pass
    assert states(context, uid) == [InstanceState.DONE] * 10
    assert states(context, again) == [InstanceState.DONE]
    assert classifier.predicted == 2


class Held(FakeClassifier):
    """Holds each forward pass until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.began, self.go = threading.Event(), threading.Event()

    def predict_prepared(self, x_BHW: NDArray[np.uint8]) -> tuple[Prediction, ...]:
        self.began.set()
        assert self.go.wait(20)
        return super().predict_prepared(x_BHW)


def test_a_stop_finishes_what_the_model_has_and_gives_the_rest_back(context: Context) -> None:
    classifier, stop = Held(), threading.Event()
    uid = submit(context, *(film(seed) for seed in range(12)))
    thread = threading.Thread(target=lambda: loop.run(context, classifier, worker="w", stop=stop))
    thread.start()
    assert classifier.began.wait(20)
    _until(lambda: states(context, uid).count(InstanceState.READING) > 1)
    stop.set()
    classifier.go.set()
    thread.join(20)
    assert states(context, uid) == [InstanceState.DONE] + [InstanceState.QUEUED] * 11
    assert {job.attempt for job in context.jobs.claim("other", 11)} == {1}


def test_what_is_read_ahead_is_bounded(context: Context) -> None:
    classifier, stop = Held(), threading.Event()
    uid = submit(context, *(film(seed) for seed in range(30)))
    thread = threading.Thread(target=lambda: loop.run(context, classifier, worker="w", stop=stop))
    thread.start()
    assert classifier.began.wait(20)
    time.sleep(0.5)
    assert states(context, uid).count(InstanceState.READING) <= 6
    stop.set()
    classifier.go.set()
    thread.join(20)


class Particular(FakeClassifier):
    """Breaks on a film that is brightest in its corner."""

    def predict_prepared(self, x_BHW: NDArray[np.uint8]) -> tuple[Prediction, ...]:
        if any(x_HW.max() == x_HW[0, 0] for x_HW in x_BHW):
            self.passes.append(len(x_BHW))
            raise RuntimeError("boom")
        return super().predict_prepared(x_BHW)


def test_an_image_that_breaks_the_model_fails_alone(context: Context, caplog: pytest.LogCaptureFixture) -> None:
    corner = np.zeros((100, 100), np.uint8)
    corner[:50] = 255
    classifier = Particular(batch=4)
    good = [film(seed) for seed in range(6)]
    uid = submit(context, *good[:2], png(corner), *good[2:])
    with running(context, classifier, finished(context, uid)):
        pass
    assert states(context, uid) == [*[InstanceState.DONE] * 2, InstanceState.FAILED, *[InstanceState.DONE] * 4]
    assert "boom" in caplog.text
    assert caplog.text.count("attempt") >= MAX_ATTEMPTS


def _gone(*_: object, **__: object) -> None:
    raise OSError("gone")


def test_a_database_that_breaks_stops_the_loop_with_its_error(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    for broken in ([(context.predictions, "complete"), (context.jobs, "fail")], [(context.jobs, "claim")]):
        with monkeypatch.context() as patch:
            for store, name in broken:
                patch.setattr(type(store), name, _gone)
            submit(context, *(film(seed) for seed in range(5)))
            with pytest.raises(OSError, match="gone"), running(context, FakeClassifier(), lambda: False):
                pass


def test_a_watched_image_overtakes_a_batch(context: Context) -> None:
    classifier, stop = Held(), threading.Event()
    submit(context, *(film(seed) for seed in range(30)))
    thread = threading.Thread(target=lambda: loop.run(context, classifier, worker="w", stop=stop))
    thread.start()
    assert classifier.began.wait(20)
    late = submit(context, film(99))
    (instance,) = browse.get_study(context, late).instances
    context.jobs.raise_priority(instance.uid, ALL_PROJECTS, Priority.LOOKED_AT)
    classifier.go.set()
    _until(lambda: states(context, late) == [InstanceState.DONE])
    passes = classifier.predicted
    stop.set()
    thread.join(20)
    assert passes <= 10


def _radiograph(seed: int) -> Radiograph:
    return decode_radiograph(film(seed))


def _until(reached: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.01)
