"""A full disk: it is said, nothing half is left, and all goes on when there is room."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from diagnosis_tool.domain.studies import InstanceState
from diagnosis_tool.errors import StorageFull
from diagnosis_tool.services import browse
from diagnosis_tool.services.check import check_store
from diagnosis_tool.services.context import Context
from diagnosis_tool.worker import loop
from testing.stores import open_store
from tests.fakes.classifier import FakeClassifier
from tests.full_disk import fill, free, small_disk
from tests.stores import film, send


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk") as folder:
        yield folder


def states(context: Context, uid: str) -> set[InstanceState]:
    return {instance.state for instance in browse.get_study(context, uid).instances}


def test_an_upload_is_refused_with_words_and_leaves_nothing(disk: Path) -> None:
    context = open_store(disk)
    kept = send(context, film(1))
    fill(disk)
    for side_px in (80, 400):
        with pytest.raises(StorageFull, match=r"disk is full\. Nothing was stored"):
            send(context, film(2, side_px), film(3, side_px))
    for room in range(1, 40, 4):  # a little room: it ends at another step each time
        fill(disk)
        with (disk / "ballast").open("r+b") as ballast:
            ballast.truncate((disk / "ballast").stat().st_size - room * 4096)
        try:
            send(context, film(room, 100), film(room + 1, 100))
        except StorageFull:
            continue
    free(disk)
    report = check_store(context, in_flight_s=0)
    assert (report.faults, report.in_flight) == ((), 0)
    send(context, film(2), film(3))
    assert kept in context.inventory.study_uids()


def test_the_worker_waits_for_room_and_blames_no_image(
    disk: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(loop, "_FULL_S", 0.05)
    context, stop, full = open_store(disk), threading.Event(), threading.Event()

    class Filling(FakeClassifier):
        def predict_prepared(self, x_BHW):  # type: ignore[no-untyped-def]
            if self.predicted == 1 and not full.is_set():
                fill(disk)
                full.set()
            return super().predict_prepared(x_BHW)

    uid = send(context, *(film(seed) for seed in range(6)))
    thread = threading.Thread(target=lambda: loop.run(context, Filling(), worker="w", stop=stop))
    thread.start()
    assert full.wait(60)
    _until(lambda: "The disk is full" in caplog.text)
    time.sleep(0.5)  # it would have used up three attempts by now
    assert states(context, uid) <= {InstanceState.DONE, InstanceState.READING, InstanceState.QUEUED}
    free(disk)
    _until(lambda: states(context, uid) == {InstanceState.DONE})
    stop.set()
    thread.join(20)
    assert not thread.is_alive()
    assert check_store(context, in_flight_s=0).is_sound


def _until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)
