"""The one place where the worker process is wired: settings, storage, bundle, signals."""

import logging
import signal
import threading
from types import FrameType
from typing import Final

import torch

from diagnosis_tool.cxr.bundle import resolve_bundle
from diagnosis_tool.cxr.classifier import BundleClassifier, load_classifier
from diagnosis_tool.cxr.engines.choose import Say
from diagnosis_tool.domain.jobs import WorkerState
from diagnosis_tool.errors import BundleInvalid
from diagnosis_tool.services.context import Context
from diagnosis_tool.services.wiring import make_context
from diagnosis_tool.settings import Settings
from diagnosis_tool.worker import loop

_log = logging.getLogger(__name__)
_BROKEN_BEAT_S: Final = 5.0


def load(settings: Settings, say: Say = _log.info) -> BundleClassifier:
    """The classifier that the settings name, proved on its golden inputs with the engine that they ask for.

    say: told in a few words what is being done, for the first start on a machine may take a minute.
    Raises BundleInvalid.
    """
    if settings.torch_threads:
        torch.set_num_threads(settings.torch_threads)
    return load_classifier(resolve_bundle(settings.models_dir, settings.bundle), settings.engine_options, say)


def run_worker(settings: Settings, *, name: str) -> int:
    """Runs a worker until SIGTERM or SIGINT; returns its exit code.

    With a bundle that must not be used it reads nothing, keeps saying why, and exits 1 when stopped.
    """
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    context = make_context(data_dir=settings.data_dir, database_file=settings.database_file)
    context.jobs.heartbeat(name, WorkerState.WARMING, "")
    try:
        classifier = load(settings)
    except BundleInvalid as error:
        _log.error("%s", error)
        _stay_broken(context, name, str(error), stop)
        return 1
    identity = classifier.identity
    _log.info("worker %s reads with %s, %s %s", name, identity.bundle, identity.engine, identity.precision)
    read = loop.run(context, classifier, worker=name, stop=stop)
    _log.info("worker %s stopped after %d images", name, read)
    return 0


def _stay_broken(context: Context, name: str, reason: str, stop: threading.Event) -> None:
    while not stop.is_set():
        context.jobs.heartbeat(name, WorkerState.BROKEN, reason)
        stop.wait(_BROKEN_BEAT_S)
