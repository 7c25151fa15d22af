"""The one place where the worker process is wired: settings, storage, bundle, signals."""

import logging
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import FrameType
from typing import Final

import numpy as np
import torch

from diagnosis_tool import resources
from diagnosis_tool.cxr.bundle import resolve_bundle
from diagnosis_tool.cxr.classifier import BundleClassifier, load_classifier
from diagnosis_tool.cxr.engines.choose import Say
from diagnosis_tool.cxr.types import Radiograph
from diagnosis_tool.decoding.pool import Pool
from diagnosis_tool.domain.access import ALL_PROJECTS
from diagnosis_tool.domain.jobs import WorkerState
from diagnosis_tool.errors import BundleInvalid
from diagnosis_tool.services.context import Context
from diagnosis_tool.services.health import HEARTBEAT_S
from diagnosis_tool.services.wiring import make_context
from diagnosis_tool.settings import Settings
from diagnosis_tool.worker import loop, memory
from diagnosis_tool.worker.watchdog import Watchdog

_log = logging.getLogger(__name__)
_WARM_PREDICTIONS: Final = 2
"""The first allocates, the second finds everything in place."""


def load(settings: Settings, say: Say = _log.info) -> BundleClassifier:
    """The classifier that the settings name, proved on its golden inputs with the engine that they ask for.

    say: told in a few words what is being done, for the first start on a machine may take a minute.
    Raises BundleInvalid.
    """
    cores = usable_cores()
    torch.set_num_threads(settings.threads_of_a_worker(cores))
    return load_classifier(resolve_bundle(settings.models_dir, settings.bundle), settings.engine_options(cores), say)


def usable_cores() -> int:
    """The cores that this process may run on, which a container or taskset may have narrowed."""
    return len(os.sched_getaffinity(0))


def warm(classifier: BundleClassifier) -> None:
    """Predicts a made picture, so that the first image is as fast as the others. Raises BundleInvalid."""
    pixels = np.tile(np.arange(256, dtype=np.uint8), (256, 1))
    for _ in range(_WARM_PREDICTIONS):
        classifier.predict(Radiograph(pixels=pixels, source_format="PNG"))


def run_worker(settings: Settings, *, name: str) -> int:
    """Runs a worker until SIGTERM or SIGINT; returns its exit code.

    With a bundle that must not be used it reads nothing, keeps saying why, and exits 1 when stopped.
    """
    memory.keep_flat()
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    with Pool() as decoder:  # its processes start while the model is loaded
        return _run(settings, name, stop, decoder)


def _run(settings: Settings, name: str, stop: threading.Event, decoder: Pool) -> int:
    context = make_context(
        data_dir=settings.data_dir,
        database_file=settings.database_file,
        projects=ALL_PROJECTS,
        audit_key=settings.audit_key,
        decoder=decoder,
    )
    context.inventory.require_newest(resources.migrations_dir())
    try:
        with _warming(context, name) as say:
            classifier = load(settings, say)
            warm(classifier)
    except BundleInvalid as error:
        _log.error("%s", error)
        _stay_broken(context, name, str(error), stop)
        return 1
    identity = classifier.identity
    memory.give_back_free()  # of loading
    _log.info("worker %s reads with %s, %s %s", name, identity.bundle, identity.engine, identity.precision)
    watchdog = Watchdog()
    with watchdog.watching():
        read = loop.run(context, classifier, worker=name, stop=stop, guard=watchdog.step)
    _log.info("worker %s stopped after %d images", name, read)
    return 0


@contextmanager
def _warming(context: Context, name: str) -> Iterator[Say]:
    """Says again and again that the worker lives and what it does: converting a network takes minutes."""
    doing, over = [""], threading.Event()

    def beat() -> None:
        while not over.is_set():
            context.jobs.heartbeat(name, WorkerState.WARMING, doing[0])
            over.wait(HEARTBEAT_S)

    def say(words: str) -> None:
        _log.info("%s", words)
        doing[0] = words

    with ThreadPoolExecutor(1, thread_name_prefix="heartbeat") as threads:
        beating = threads.submit(beat)
        try:
            yield say
        finally:
            over.set()
    beating.result()


def _stay_broken(context: Context, name: str, reason: str, stop: threading.Event) -> None:
    while not stop.is_set():
        context.jobs.heartbeat(name, WorkerState.BROKEN, reason)
        stop.wait(HEARTBEAT_S)
