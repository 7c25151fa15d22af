"""The worker's loop: three threads, so that the model never waits for a decoder or a disk.

The feeder claims jobs and has them decoded ahead, in other processes; the loop's own thread asks the model; the
recorder stores predictions. What waits between them is bounded, so memory stays flat however long the queue is.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, Queue
from typing import Final

from diagnosis_tool.cxr.types import Classifier, Prediction
from diagnosis_tool.domain.jobs import Job, Priority, WorkerState
from diagnosis_tool.errors import DecodersMissing, StorageFull
from diagnosis_tool.services.context import Context
from diagnosis_tool.services.health import HEARTBEAT_S
from diagnosis_tool.services.predict_job import Decoded, Prepared, decode, give_back, is_known, predict, prepare, record
from diagnosis_tool.worker.watchdog import Guard, unguarded

_log: Final = logging.getLogger(__name__)
_IDLE_S: Final = 0.1
"""How long an idle worker waits before it asks again: the most that a lone upload waits for nothing."""
_FULL_S: Final = 2.0
"""How long a worker waits on a full disk before it looks again."""
_MISSING_S: Final = 0.5
"""How long a worker waits before it asks again for a decoder when none can be started."""
_AHEAD: Final = 2
"""Images claimed beyond those that one call of the model takes. More would only make a watched image wait longer."""
_HANDS: Final = 8
"""Threads that wait for decoders: one for the next image, the others for slow ones, of which decoders allow fewer."""


def run(
    context: Context, classifier: Classifier, *, worker: str, stop: threading.Event, guard: Guard = unguarded
) -> int:
    """Reads queued images until `stop` is set; what the model has in hand is finished and stored, the rest of what
    was claimed is put back. Returns how many images the model predicted.

    On a full disk all that was in hand is put back, which counts as no attempt; it goes on when there is room.
    """
    context.jobs.release_all(worker)
    count = 0
    while not stop.is_set():
        try:
            count += _predict(context, classifier, worker, stop, guard)
        except StorageFull:
            _log.error("The disk is full: images wait until there is room in DATA_DIR")
            _wait_for_room(context, classifier, worker, stop)
    return count


def _wait_for_room(context: Context, classifier: Classifier, worker: str, stop: threading.Event) -> None:
    while not stop.wait(_FULL_S):
        with suppress(StorageFull):
            context.jobs.heartbeat(worker, WorkerState.READY, classifier.identity.bundle)
            context.jobs.release_all(worker, counted=False)
            return


def _predict(context: Context, classifier: Classifier, worker: str, stop: threading.Event, guard: Guard) -> int:
    feeder = Feeder(context, classifier, worker, stop, guard)
    count = 0
    with ThreadPoolExecutor(2, thread_name_prefix="worker") as threads:
        feeding = threads.submit(feeder.run)
        recorder = Recorder(context, feeder, threads, guard)
        last_beat = float("-inf")
        try:
            while not stop.is_set() and not feeding.done():
                if time.monotonic() - last_beat >= HEARTBEAT_S:
                    context.jobs.heartbeat(worker, WorkerState.READY, classifier.identity.bundle)
                    last_beat = time.monotonic()
                if images := feeder.next(classifier.batch, wait_s=_IDLE_S):
                    try:
                        with guard("asking the model"):
                            predicted = predict(context, classifier, images)
                        recorder.record(predicted, of=len(images))
                    except BaseException:
                        feeder.over(len(images))  # else the feeder might wait for them for ever
                        raise
                    count += len(predicted)
        finally:
            feeder.end()  # also when something of ours broke: the feeder must not go on alone
            try:
                recorder.finish()
            finally:
                feeder.give_back(feeding)
        feeding.result()
    return count


@dataclass(frozen=True, slots=True, kw_only=True)
class _Slow:
    """A content that takes long to decode, and all jobs that ask for it."""

    decoding: "Future[Decoded]"
    jobs: list[Job]


class Feeder:
    """Claims jobs, has them decoded one after another, and holds a few ready.

    An image that takes long is decoded beside the ones that come after it; they do not wait for it.
    """

    def __init__(
        self, context: Context, classifier: Classifier, worker: str, stop: threading.Event, guard: Guard
    ) -> None:
        self._context = context
        self._classifier = classifier
        self._worker = worker
        self._stop = stop
        self._guard = guard
        self._ended = threading.Event()
        self._ready: Queue[Prepared] = Queue(maxsize=classifier.batch)
        self._lately: deque[str] = deque(maxlen=3 * classifier.batch + _AHEAD)  # surely all that is in hand
        self._slow: dict[str, _Slow] = {}
        self._hands = ThreadPoolExecutor(_HANDS, thread_name_prefix="decoding")

    def run(self) -> None:
        """The feeder's thread: until told to stop, or to end."""
        with self._hands:
            try:
                while not self._is_over:
                    self._claim()
            finally:
                self._break_off_slow()

    def _claim(self) -> None:
        # what was found slow before is taken up when nothing is slow and nothing else waits
        least = Priority.NORMAL if self._slow else Priority.SLOW
        jobs = self._context.jobs.claim(self._worker, self._classifier.batch + _AHEAD, least)
        for job in jobs:
            if self._is_over:
                give_back(self._context, job)
            else:
                self._feed(job)
            self._collect_slow()
        if not jobs:
            self._collect_slow()
            self._stop.wait(_IDLE_S)

    def end(self) -> None:
        """Nothing more is claimed."""
        self._ended.set()

    @property
    def _is_over(self) -> bool:
        return self._stop.is_set() or self._ended.is_set()

    def _feed(self, job: Job) -> None:
        if slow := self._slow.get(job.image_sha256):
            slow.jobs.append(job)
            return
        if job.image_sha256 in self._lately:  # in hand: it will be known in a moment
            self._ready.join()
        if is_known(self._context, self._classifier, job):
            return
        go_on = threading.Event()
        decoding = self._hands.submit(self._decode, job, go_on.set)
        decoding.add_done_callback(lambda _: go_on.set())
        while not go_on.wait(_IDLE_S):
            if self._is_over:
                self._context.decoder.break_off()
        if decoding.done():
            self._prepare([job], decoding)
            if isinstance(decoding.exception(), DecodersMissing):
                self._stop.wait(_MISSING_S)
        else:
            self._slow[job.image_sha256] = _Slow(decoding=decoding, jobs=[job])

    def _decode(self, job: Job, became_slow: Callable[[], None]) -> Decoded:
        with self._guard(f"decoding for job {job.id}"):
            return decode(self._context, job, became_slow)

    def _prepare(self, jobs: list[Job], decoding: "Future[Decoded]") -> None:
        """All jobs of one content, which is decoded now."""
        self._lately.append(jobs[0].image_sha256)
        for job in jobs:
            if job is not jobs[0]:
                self._ready.join()
                if is_known(self._context, self._classifier, job):
                    continue
            if job.is_suspect:  # an image that broke a worker must break no other's prediction
                self._break_off_slow()
                self._ready.join()
            with self._guard(f"preparing job {job.id}"):
                image = prepare(self._context, self._classifier, job, decoding.result)
            if image is not None:
                self._ready.put(image)
                if job.is_suspect:
                    self._ready.join()

    def _collect_slow(self) -> None:
        for sha256, slow in list(self._slow.items()):
            if slow.decoding.done() and sha256 in self._slow:
                del self._slow[sha256]
                self._prepare(slow.jobs, slow.decoding)

    def _break_off_slow(self) -> None:
        """What is slow goes back into the queue, uncounted, or on to the model if it is decoded at this moment."""
        if self._slow:
            self._context.decoder.break_off()
            broken_off, self._slow = self._slow, {}
            for slow in broken_off.values():
                self._prepare(slow.jobs, slow.decoding)

    def next(self, count: int, wait_s: float) -> list[Prepared]:
        """At most `count` images: the first is waited for, the others must be ready. Each is to be told as `over`."""
        images: list[Prepared] = []
        try:
            images.append(self._ready.get(timeout=wait_s))
            while len(images) < count:
                images.append(self._ready.get_nowait())
        except Empty:
            pass
        return images

    def over(self, count: int) -> None:
        """So many images that `next` gave need nothing more."""
        for _ in range(count):
            self._ready.task_done()

    def give_back(self, feeding: "Future[None]") -> None:
        """After the stop: puts back what is ready, until the feeder's thread has ended."""
        while not (feeding.done() and self._ready.empty()):
            for image in self.next(1, wait_s=_IDLE_S / 10):
                with suppress(StorageFull):  # then it is put back when there is room, or at the next start
                    give_back(self._context, image.job)
                self.over(1)


class Recorder:
    """Stores predictions while the model goes on; one batch at a time, so they never pile up."""

    def __init__(self, context: Context, feeder: Feeder, threads: ThreadPoolExecutor, guard: Guard) -> None:
        self._context = context
        self._feeder = feeder
        self._threads = threads
        self._guard = guard
        self._recording: Future[None] | None = None

    def record(self, predicted: tuple[tuple[Prepared, Prediction], ...], of: int) -> None:
        """Stores what came of `of` images once the ones before are stored. Raises what storing those raised."""
        self.finish()
        self._recording = self._threads.submit(self._store, predicted, of)

    def finish(self) -> None:
        """Waits until all is stored. Raises what storing raised."""
        if self._recording is not None:
            recording, self._recording = self._recording, None
            recording.result()

    def _store(self, predicted: tuple[tuple[Prepared, Prediction], ...], of: int) -> None:
        try:
            for image, prediction in predicted:
                with self._guard(f"storing job {image.job.id}"):
                    record(self._context, image, prediction)
        finally:
            self._feeder.over(of)
