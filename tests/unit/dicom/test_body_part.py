"""Which part of the body, in codes and in the words of devices and languages."""

import pytest

from diagnosis_tool.dicom.body_part import is_chest, other_part
from diagnosis_tool.dicom.reader import read_dicom
from diagnosis_tool.errors import UnsupportedImage
from tests.dicom_files import coded, with_raw_text
from tests.unit.dicom.refusals import refusal


@pytest.mark.parametrize(
    "part",
    [
        "CHEST", "CHEST PA", "CHEST_PA", "PORTABLE CHEST", "PORT CHEST", "LUNGS", "LUNG", "TORAX", "TÓRAX", "Thorax",
        "THORAX AP", "TORACE", "LUNGE", "CHESTPA", "CXR", "TSPINE CHEST", "RIBS", "RIB", "THORAX DE FACE", "POUMONS",
        "KLATKA PIERSIOWA", "PŁUCA", "GÖĞÜS", "BORSTKAS", "BRUST", "POITRINE", "PECHO", "COR PULMO",
        "NGỰC", "חזה", "胸部", "胸部正面", "ГРУДНАЯ КЛЕТКА", "흉부",
    ],
)  # fmt: skip
def test_spellings_of_the_chest_are_read(part: str) -> None:
    read_dicom(with_raw_text(part.encode(), "BodyPartExamined", SpecificCharacterSet="ISO_IR 192"))


@pytest.mark.parametrize(
    ("part", "encoding", "charset"),
    [
        ("TÓRAX", "latin-1", None),
        ("TÓRAX", "utf-8", None),
        ("TÓRAX", "latin-1", "ISO_IR 100"),
        ("ГРУДНАЯ КЛЕТКА", "iso8859-5", "ISO_IR 144"),
        ("胸部", "gb18030", "GB18030"),
    ],
)
def test_a_code_string_may_be_in_the_files_own_script(part: str, encoding: str, charset: str | None) -> None:
    stated = {"SpecificCharacterSet": charset} if charset else {}
    read_dicom(with_raw_text(part.encode(encoding), "BodyPartExamined", **stated))


@pytest.mark.parametrize(
    "part",
    [
        "HAND", "KNEE", "ABDOMEN", "CHESTABDOMEN", "CHESTABDPELVIS", "NECKCHEST", "SHOULDER", "TSPINE", "SPINE",
        "SCHULTER", "KNIE", "RODILLA", "EXTREMITY", "SKULL", "胸椎", "THORACIC SPINE", "XYZ",
    ],
)  # fmt: skip
def test_other_parts_are_refused_by_name(part: str) -> None:
    with pytest.raises(UnsupportedImage, match=f"radiograph of {part}, not of the chest"):
        read_dicom(with_raw_text(part.encode(), "BodyPartExamined", SpecificCharacterSet="ISO_IR 192"))


@pytest.mark.parametrize("part", ["CHEST", None, ""])
@pytest.mark.parametrize(
    "region", [("85562004", "Hand", "SCT"), ("T-D8700", "Hand", "SRT"), ("T-D8700", "", "SNM3"), ("H", "Hand", "99XYZ")]
)
def test_a_coded_region_that_is_a_hand_is_none_of_the_chest(part: str | None, region: tuple[str, str, str]) -> None:
    said = refusal(BodyPartExamined=part, AnatomicRegionSequence=[coded(*region)])
    assert f"radiograph of {region[1] or region[0]}, not of the chest" in said


@pytest.mark.parametrize(
    "region",
    [
        ("51185008", "Thorax", "SCT"),
        ("816094009", "Chest", "SCT"),
        ("T-D3000", "Chest", "SRT"),
        ("39607008", "Lung", "SCT"),
        ("999", "Chest", "SCT"),
        ("TH", "Thorax", "99XYZ"),
        ("17", "anything", "99XYZ"),
    ],
)
def test_a_coded_chest_is_one(region: tuple[str, str, str]) -> None:
    assert refusal(BodyPartExamined=None, AnatomicRegionSequence=[coded(*region)]) == ""


@pytest.mark.parametrize("part", [None, "", "UNKNOWN"])
@pytest.mark.parametrize(
    ("descriptions", "other"),
    [
        ({"StudyDescription": "KNEE"}, "KNEE"),
        ({"StudyDescription": "Knie links ap/seitl."}, "KNIE"),
        ({"SeriesDescription": "L hand 2 views"}, "HAND"),
        ({"SeriesDescription": "SHOULDER", "StudyDescription": "CHEST"}, "SHOULDER"),
        ({"ProtocolName": "Abdomen liegend"}, "ABDOMEN"),
        ({"PerformedProcedureStepDescription": "Schädel"}, "SCHADEL"),
    ],
)
def test_without_a_body_part_the_descriptions_count(part: str | None, descriptions: dict[str, str], other: str) -> None:
    said = refusal(SpecificCharacterSet="ISO_IR 192", BodyPartExamined=part, **descriptions)
    assert f"radiograph of {other}, not of the chest" in said


@pytest.mark.parametrize(
    "descriptions",
    [
        {},
        {"StudyDescription": "CHEST AND ABDOMEN"},
        {"SeriesDescription": "view: PA", "StudyDescription": ""},
        {"SeriesDescription": "CHEST", "StudyDescription": "KNEE AND CHEST"},
        {"StudyDescription": "Thorax im Stehen (C-Arm)"},
        {"StudyDescription": "tórax de pie"},
    ],
)
def test_what_names_the_chest_or_nothing_is_read(descriptions: dict[str, str]) -> None:
    assert refusal(BodyPartExamined=None, SpecificCharacterSet="ISO_IR 192", **descriptions) == ""


def test_what_the_image_says_outweighs_the_study() -> None:
    assert refusal(BodyPartExamined="CHEST", StudyDescription="KNEE") == ""


def test_no_word_is_the_chest_and_another_part() -> None:
    for word in ("CHEST", "PULMAO", "GOGUS", "HEMITHORAX"):
        assert is_chest(word) != bool(other_part(word))
