"""What scripts get: an answer for every file, whatever breaks."""

from pathlib import Path

import pytest

from diagnosis_tool.dicom.decode import HereDecoder
from diagnosis_tool.errors import BundleInvalid
from diagnosis_tool.services import predict_file as predict_module
from diagnosis_tool.services.predict_file import predict_file
from tests.conftest import phantom_png
from tests.dicom_files import dicom
from tests.fakes.classifier import FakeClassifier


@pytest.mark.parametrize("error", [RuntimeError("boom"), BundleInvalid("not a number"), MemoryError()])
def test_a_reading_that_breaks_down_is_an_answer(
    tmp_path: Path, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.png").write_bytes(phantom_png())
    answer = predict_file(FakeClassifier(error), HereDecoder(), str(tmp_path / "a.png"))
    assert answer.prediction is None
    assert "Nothing is known about it" in str(answer.refused)
    assert caplog.records[0].exc_info is not None


def test_what_is_to_be_known_of_the_reading_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(dicom(PatientOrientation=["R", "H"]))
    answer = predict_file(FakeClassifier(), HereDecoder(), str(tmp_path / "a.dcm"))
    assert answer.prediction is not None
    assert ["turned by 180 degrees" in note for note in answer.notes] == [True]


def test_a_file_larger_than_any_film_is_not_read_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predict_module, "MAX_FILE_BYTES", 100)
    (tmp_path / "a.png").write_bytes(phantom_png())
    answer = predict_file(FakeClassifier(), HereDecoder(), str(tmp_path / "a.png"))
    assert answer.prediction is None
    assert answer.sha256 is None
    assert "larger than any radiograph" in str(answer.refused)
