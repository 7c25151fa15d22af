"""The worker's loop: three threads, so that the model never waits for a decoder or a disk.

The feeder claims jobs and decodes ahead; the loop's own thread asks the model; the recorder stores answers. What
waits between them is bounded, so memory stays flat however long the queue is.
"""

import threading
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, Queue
from typing import Final

from diagnosis_tool.cxr.types import Classifier
from diagnosis_tool.domain.jobs import Job, WorkerState
from diagnosis_tool.services.context import Context
from diagnosis_tool.services.diagnose import Answered, Prepared, answer, give_back, prepare, record
from diagnosis_tool.services.health import HEARTBEAT_S

_IDLE_S: Final = 0.1
"""How long an idle worker waits before it asks again: the most that a lone upload waits for nothing."""
_AHEAD: Final = 2
"""Images claimed beyond those that one call of the model takes. More would only make a watched image wait longer."""


def run(context: Context, classifier: Classifier, *, worker: str, stop: threading.Event) -> int:
    """Reads queued images until `stop` is set; what the model has in hand is finished and stored, the rest of what
    was claimed is put back. Returns how many images the model answered."""
    context.jobs.release_all(worker)
    feeder = Feeder(context, classifier, worker, stop)
    answered = 0
    with ThreadPoolExecutor(2, thread_name_prefix="worker") as threads:
        feeding = threads.submit(feeder.run)
        recorder = Recorder(context, feeder, threads)
        last_beat = float("-inf")
        try:
            while not stop.is_set() and not feeding.done():
                if time.monotonic() - last_beat >= HEARTBEAT_S:
                    context.jobs.heartbeat(worker, WorkerState.READY, classifier.identity.bundle)
                    last_beat = time.monotonic()
                if images := feeder.next(classifier.batch, wait_s=_IDLE_S):
                    readings = answer(context, classifier, images)
                    recorder.record(readings, of=len(images))
                    answered += len(readings)
        finally:
            stop.set()  # also when something of ours broke: the feeder must not go on alone
            try:
                recorder.finish()
            finally:
                feeder.give_back(feeding)
        feeding.result()
    return answered


class Feeder:
    """Claims jobs, decodes them, and holds a few ready."""

    def __init__(self, context: Context, classifier: Classifier, worker: str, stop: threading.Event) -> None:
        self._context = context
        self._classifier = classifier
        self._worker = worker
        self._stop = stop
        self._ready: Queue[Prepared] = Queue(maxsize=classifier.batch)
        self._lately: deque[str] = deque(maxlen=3 * classifier.batch + _AHEAD)  # surely all that is in hand

    def run(self) -> None:
        """The feeder's thread: until told to stop."""
        while not self._stop.is_set():
            jobs = self._context.jobs.claim(self._worker, self._classifier.batch + _AHEAD)
            for job in jobs:
                if self._stop.is_set():
                    give_back(self._context, job)
                else:
                    self._feed(job)
            if not jobs:
                self._stop.wait(_IDLE_S)

    def _feed(self, job: Job) -> None:
        # an image that broke a worker must break no other's reading; one that is in hand will be known in a moment
        if job.is_suspect or job.image_sha256 in self._lately:
            self._ready.join()
        self._lately.append(job.image_sha256)
        image = prepare(self._context, self._classifier, job)
        if image is not None:
            self._ready.put(image)
            if job.is_suspect:
                self._ready.join()

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
                give_back(self._context, image.job)
                self.over(1)


class Recorder:
    """Stores answers while the model reads on; one batch of answers at a time, so they never pile up."""

    def __init__(self, context: Context, feeder: Feeder, threads: ThreadPoolExecutor) -> None:
        self._context = context
        self._feeder = feeder
        self._threads = threads
        self._recording: Future[None] | None = None

    def record(self, answers: tuple[Answered, ...], of: int) -> None:
        """Stores these answers to `of` images once the ones before are stored. Raises what storing those raised."""
        self.finish()
        self._recording = self._threads.submit(self._store, answers, of)

    def finish(self) -> None:
        """Waits until all is stored. Raises what storing raised."""
        if self._recording is not None:
            recording, self._recording = self._recording, None
            recording.result()

    def _store(self, answers: tuple[Answered, ...], of: int) -> None:
        try:
            for answered in answers:
                record(self._context, answered)
        finally:
            self._feeder.over(of)
