"""Predictions for files, without the database: for scripts."""

import hashlib
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from diagnosis_tool.cxr.types import Classifier, Decoder, Prediction
from diagnosis_tool.errors import UnreadableInput, UnsupportedImage
from diagnosis_tool.services.predict_job import MAX_FILE_BYTES, too_large

_log: Final = logging.getLogger(__name__)
_BROKE: Final = "Reading this file broke down. Nothing is known about it; the log says more."


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictedFile:
    """What became of one file. prediction is None exactly when refused says why; sha256 is None if there were no
    bytes, or more than any radiograph has. notes: what who looks at it must know of how it was read."""

    file: str
    sha256: str | None
    prediction: Prediction | None
    refused: str | None
    seconds: float
    notes: tuple[str, ...] = ()


def predict_file(classifier: Classifier, decoder: Decoder, file: str) -> PredictedFile:
    """The model's prediction for one file; a bad file gives a reason instead, never an error."""
    start = time.perf_counter()
    sha256 = prediction = refused = None
    notes: tuple[str, ...] = ()
    try:
        with Path(file).open("rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise too_large()
        sha256 = hashlib.sha256(data).hexdigest()
        radiograph = decoder.decode(data)
        notes = tuple(map(str, radiograph.notes))
        prediction = classifier.predict(radiograph)
    except (UnreadableInput, UnsupportedImage) as error:
        refused = str(error)
    except OSError as error:
        refused = f"The file cannot be opened: {error.strerror or error}."
    except Exception:  # noqa: BLE001  whatever broke, the other files go on; the trace is logged
        _log.exception("reading a file broke down")
        refused = _BROKE
    return PredictedFile(
        file=file,
        sha256=sha256,
        prediction=prediction,
        refused=refused,
        seconds=time.perf_counter() - start,
        notes=notes,
    )
