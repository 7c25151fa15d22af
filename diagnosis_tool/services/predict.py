"""Reading files without the database: for scripts."""

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path

from diagnosis_tool.cxr.types import Classifier, Reading
from diagnosis_tool.dicom.decode import decode_radiograph
from diagnosis_tool.errors import UnreadableInput, UnsupportedImage


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictedFile:
    """What became of one file. reading is None exactly when refused says why; sha256 is None if there were no bytes."""

    file: str
    sha256: str | None
    reading: Reading | None
    refused: str | None
    seconds: float


def predict_file(classifier: Classifier, file: str) -> PredictedFile:
    """Reads one file; a bad one is an answer with a reason, not an error."""
    start = time.perf_counter()
    sha256 = reading = refused = None
    try:
        data = Path(file).read_bytes()
        sha256 = hashlib.sha256(data).hexdigest()
        reading = classifier.read(decode_radiograph(data))
    except (UnreadableInput, UnsupportedImage) as error:
        refused = str(error)
    except OSError as error:
        refused = f"The file cannot be opened: {error.strerror or error}."
    return PredictedFile(
        file=file, sha256=sha256, reading=reading, refused=refused, seconds=time.perf_counter() - start
    )
