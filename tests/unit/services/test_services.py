"""Use cases on a real database with a fake classifier."""

import threading

import pytest

from diagnosis_tool.domain.access import ALL_PROJECTS
from diagnosis_tool.domain.jobs import MAX_ATTEMPTS, WorkerState
from diagnosis_tool.domain.studies import InstanceState, Study
from diagnosis_tool.errors import NotFound, UploadRefused
from diagnosis_tool.services import browse, pictures, predict_job
from diagnosis_tool.services.context import Context
from diagnosis_tool.services.health import readiness
from diagnosis_tool.services.submit import MAX_FILES, Upload, clean_file_name, submit_study
from diagnosis_tool.worker import loop
from tests.conftest import phantom_png
from tests.fakes.classifier import FakeClassifier
from tests.predicting import predict_all


def submit(context: Context, *files: tuple[str, bytes]) -> Study:
    uploads = []
    for name, data in files:
        blob = context.blobs.pending()
        blob.write(data)
        uploads.append(Upload(file_name=name, blob=blob))
    return context.studies.study(submit_study(context, uploads, user_id=1), ALL_PROJECTS)


def test_each_file_has_its_own_outcome_in_the_order_sent(context: Context) -> None:
    study = submit(context, ("a.png", phantom_png(1)), ("b.png", b""), ("c.txt", b"text"), ("d.png", phantom_png(2)))
    predict_all(context, FakeClassifier())
    study = browse.get_study(context, study.uid)
    assert [i.file_name for i in study.instances] == ["a.png", "b.png", "c.txt", "d.png"]
    states = [InstanceState.DONE, InstanceState.REFUSED, InstanceState.REFUSED, InstanceState.DONE]
    assert [i.state for i in study.instances] == states
    assert "0 bytes" in str(study.instances[1].error)
    assert "not a PNG" in str(study.instances[2].error)
    assert study.finished == 4


def test_the_same_image_is_answered_from_the_stored_prediction(context: Context) -> None:
    classifier = FakeClassifier()
    study = submit(context, ("a.png", phantom_png(1)), ("copy.png", phantom_png(1)))
    predict_all(context, classifier)
    first, second = browse.get_study(context, study.uid).instances
    assert classifier.predicted == 1
    assert first.prediction is not None
    assert second.prediction is not None
    assert [o.probability for o in first.prediction.outputs] == [o.probability for o in second.prediction.outputs]


def test_a_file_too_large_for_a_film_is_refused_unread(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predict_job, "MAX_FILE_BYTES", 100)
    study = submit(context, ("a.png", phantom_png(1)))
    predict_all(context, FakeClassifier())
    (instance,) = browse.get_study(context, study.uid).instances
    assert instance.state is InstanceState.REFUSED
    assert "larger than any radiograph" in str(instance.error)


def test_a_broken_reading_is_failed_never_negative(context: Context, caplog: pytest.LogCaptureFixture) -> None:
    classifier = FakeClassifier(RuntimeError("boom"))
    study = submit(context, ("a.png", phantom_png()))
    predict_all(context, classifier)
    (instance,) = browse.get_study(context, study.uid).instances
    assert instance.state is InstanceState.FAILED
    assert instance.prediction is None
    assert "Nothing is known about it" in str(instance.error)
    assert classifier.predicted == MAX_ATTEMPTS
    assert "boom" in caplog.text


def test_no_file_and_too_many_files(context: Context) -> None:
    with pytest.raises(UploadRefused, match="No file"):
        submit(context)
    with pytest.raises(UploadRefused, match="at most 200"):
        submit(context, *[("x.png", b"x")] * (MAX_FILES + 1))


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("film.png", "film.png"),
        ("../../etc/passwd", "passwd"),
        ("C:\\films\\chest.jpg", "chest.jpg"),
        ("Röntgen 胸部 صدر.png", "Röntgen 胸部 صدر.png"),
        ("a\x00b\nc\u202egnp.png", "abcgnp.png"),
        ("..", "unnamed"),
        ("", "unnamed"),
        ("x" * 300 + ".png", "x" * 254 + "…"),
    ],
)
def test_file_names_are_cleaned_for_display(sent: str, shown: str) -> None:
    assert clean_file_name(sent) == shown


def test_pictures(context: Context) -> None:
    study = submit(context, ("a.png", phantom_png()), ("bad.png", b"bad"))
    with pytest.raises(NotFound, match="not read"):
        pictures.heatmap_png(study.instances[0], "Mass")
    predict_all(context, FakeClassifier())
    good, bad = context.studies.study(study.uid, ALL_PROJECTS).instances
    assert pictures.heatmap_png(good, "Mass").startswith(b"\x89PNG")
    assert pictures.heatmap_blend_png(context, good, "No Finding").startswith(b"\x89PNG")
    assert pictures.radiograph_png(context, good).startswith(b"\x89PNG")
    assert context.studies.thumbnail(good.uid, ALL_PROJECTS).startswith(b"\xff\xd8")
    with pytest.raises(NotFound):
        pictures.radiograph_png(context, bad)
    with pytest.raises(NotFound):
        context.studies.thumbnail(bad.uid, ALL_PROJECTS)
    with pytest.raises(NotFound, match="no output"):
        pictures.heatmap_png(good, "Gout")


def test_unknown_uids(context: Context) -> None:
    with pytest.raises(NotFound, match="no such study"):
        browse.get_study(context, "nope")
    with pytest.raises(NotFound, match="no such image"):
        browse.get_instance(context, "nope")


def test_readiness_follows_the_worker(context: Context) -> None:
    assert readiness(context).reason.startswith("No worker")
    context.jobs.heartbeat("w", WorkerState.WARMING, "")
    assert "loading" in readiness(context).reason
    context.jobs.heartbeat("w", WorkerState.BROKEN, "weights were altered")
    assert "weights were altered" in readiness(context).reason
    context.jobs.heartbeat("w", WorkerState.READY, "b7-1.0")
    assert readiness(context).ready
    assert readiness(context).bundle == "b7-1.0"


def test_the_loop_reads_until_it_is_stopped(context: Context) -> None:
    study = submit(context, *[(f"{k}.png", phantom_png(k)) for k in range(3)])
    stop = threading.Event()

    def stop_when_all_are_read() -> None:
        for _ in range(3000):  # it goes on at once when they are; a loop that never reads fails below
            if stop.wait(0.02) or context.studies.progress(study.uid, ALL_PROJECTS).finished == 3:
                break
        stop.set()

    threading.Thread(target=stop_when_all_are_read, daemon=True).start()
    assert loop.run(context, FakeClassifier(), worker="w", stop=stop) == 3
    assert readiness(context).ready
