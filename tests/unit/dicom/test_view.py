"""From which side a film was taken, and that it is shown the right way up and round."""

from typing import Any

import numpy as np
import pytest

from diagnosis_tool.cxr.turn import Turn
from diagnosis_tool.cxr.types import Radiograph, ViewPosition
from diagnosis_tool.dicom.reader import read_dicom
from tests.dicom_files import FILM, coded, dicom


def film(**elements: Any) -> Radiograph:
    return read_dicom(dicom(**elements))


def view(**elements: Any) -> str:
    return film(**elements).view_position


@pytest.mark.parametrize(
    ("said", "view_position"),
    [
        ("PA", "PA"), ("AP", "AP"), ("P.A.", "PA"), ("AP SUPINE", "AP"), ("POSTERO-ANTERIOR", "PA"), ("LL", "LL"),
        ("RL", "RL"), ("L", "LL"), ("LATERAL", "LL"), ("LAT", "LL"), ("LLD", "LLD"), ("RLD", "RLD"), ("LLO", "LLO"),
        ("RLO", "RLO"), ("RAO", "RAO"), ("LAO", "LAO"), ("LPO", "LPO"), ("RPO", "RPO"), ("OBLIQUE", "OBLIQUE"),
        ("", "unknown"), ("STANDING", "unknown"),
    ],
)  # fmt: skip
def test_view_position(said: str, view_position: str) -> None:
    assert view(ViewPosition=said) == view_position


@pytest.mark.parametrize(
    ("code", "scheme", "meaning", "view_position"),
    [
        ("399173006", "SCT", "left lateral", "LL"), ("399198007", "SCT", "", "RL"), ("R-10236", "SRT", "", "LL"),
        ("399067008", "SCT", "lateral", "LL"), ("R-102CD", "SNM3", "", "LL"), ("399136008", "SCT", "lateral", "LL"),
        ("399135007", "SCT", "left anterior oblique", "LAO"), ("399182000", "SCT", "oblique", "OBLIQUE"),
        ("X", "99ABC", "Lateral", "LL"), ("X", "99ABC", "whatever", "PA"), ("272479007", "SCT", "", "PA"),
    ],
)  # fmt: skip
def test_a_coded_view_counts_beside_a_stated_one(code: str, scheme: str, meaning: str, view_position: str) -> None:
    assert view(ViewPosition="PA", ViewCodeSequence=[coded(code, meaning, scheme)]) == view_position


@pytest.mark.parametrize(
    ("code", "scheme", "view_position"),
    [("399348003", "SCT", "AP"), ("R-10206", "SRT", "AP"), ("272479007", "SCT", "PA"), ("399033003", "SCT", "unknown")],
)
def test_a_coded_frontal_view(code: str, scheme: str, view_position: str) -> None:
    assert view(ViewPosition=None, ViewCodeSequence=[coded(code, "", scheme)]) == view_position


@pytest.mark.parametrize(
    ("elements", "view_position"),
    [
        ({"BodyPartExamined": "CHEST_PA"}, "PA"),
        ({"BodyPartExamined": "CHEST LAT"}, "LL"),
        ({"SeriesDescription": "Thorax seitlich"}, "LL"),
        ({"SeriesDescription": "Chest PA and lateral"}, "unknown"),
        ({"SeriesDescription": "L"}, "unknown"),
    ],
)
def test_words_count_where_nothing_states_the_view(elements: dict[str, str], view_position: str) -> None:
    assert view(**{"ViewPosition": None, **elements}) == view_position


def test_a_stated_view_outweighs_words() -> None:
    assert view(ViewPosition="AP", SeriesDescription="PA") == "AP"


@pytest.mark.parametrize("orientation", [["A", "F"], ["P", "F"], ["A", "H"], ["AL", "FP"], ["F", "A"]])
@pytest.mark.parametrize("stated", ["PA", None])
def test_an_orientation_to_front_or_back_is_a_lateral(orientation: list[str], stated: str | None) -> None:
    found = film(ViewPosition=stated, PatientOrientation=orientation)
    assert found.view_position is ViewPosition.LL
    np.testing.assert_array_equal(found.pixels, FILM)


# where rows and columns of the stored film lead to: what is done to it, and with which words
TURNS = [
    (["L", "F"], lambda film: film, None),
    (["R", "F"], np.fliplr, "mirrored left to right"),
    (["L", "H"], np.flipud, "mirrored top to bottom"),
    (["R", "H"], lambda film: np.rot90(film, 2), "turned by 180 degrees"),
    (["F", "R"], lambda film: np.rot90(film, -1), "turned by 90 degrees"),
    (["H", "L"], lambda film: np.rot90(film, 1), "turned by 270 degrees"),
    (["F", "L"], lambda film: film.T, "both were undone"),
    (["H", "R"], lambda film: np.rot90(film.T, 2), "both were undone"),
]


@pytest.mark.parametrize(
    ("orientation", "turned", "words"), TURNS, ids=lambda one: "".join(one or "") if isinstance(one, list) else ""
)
def test_the_film_is_turned_by_its_tag_and_says_so(orientation: list[str], turned: Any, words: str | None) -> None:
    found = film(PatientOrientation=orientation, PixelSpacing=[0.1, 0.2])
    np.testing.assert_array_equal(found.pixels, turned(FILM))
    assert [str(note) for note in found.notes] == [note for note in map(str, found.notes) if words and words in note]
    assert bool(found.notes) == (words is not None)
    is_on_its_side = orientation[0] in "FH"
    assert found.pixel_spacing_mm == ((0.2, 0.1) if is_on_its_side else (0.1, 0.2))
    stored = found.as_stored()
    np.testing.assert_array_equal(stored.pixels, FILM)
    assert stored.pixel_spacing_mm == (0.1, 0.2)


@pytest.mark.parametrize("orientation", [["L"], ["L", "R"], ["X", "F"], ["", ""], ["LE", "V"]])
def test_an_orientation_that_makes_no_sense_is_as_if_absent(orientation: list[str]) -> None:
    found = film(PatientOrientation=orientation)
    np.testing.assert_array_equal(found.pixels, FILM)
    assert found.notes == ()


def test_an_animal_has_other_axes() -> None:
    assert film(PatientOrientation=["R", "F"], AnatomicalOrientationType="QUADRUPED").notes == ()


def test_a_slight_tilt_is_no_turn() -> None:
    np.testing.assert_array_equal(film(PatientOrientation=["RF", "FL"]).pixels, np.fliplr(FILM))


def test_burned_in_text_is_noted() -> None:
    (note,) = film(BurnedInAnnotation="YES").notes
    assert "burned into" in str(note)
    assert film(BurnedInAnnotation="NO").notes == ()


@pytest.mark.parametrize("which", range(8))
def test_a_box_goes_where_its_pixels_go(which: int) -> None:
    turn = Turn(transposed=bool(which & 1), upside_down=bool(which & 2), left_right=bool(which & 4))
    marked = np.zeros((40, 20), np.uint8)
    marked[4:10, 5:15] = 1
    rows, columns = np.nonzero(turn.apply(marked))
    height, width = turn.apply(marked).shape
    left, top, box_width, box_height = turn.box(5 / 20, 4 / 40, 10 / 20, 6 / 40)
    assert (left * width, top * height) == pytest.approx((columns.min(), rows.min()))
    assert (box_width * width, box_height * height) == pytest.approx((np.ptp(columns) + 1, np.ptp(rows) + 1))
