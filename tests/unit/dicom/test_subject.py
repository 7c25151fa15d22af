"""Whose film it is, from headers good and bad."""

import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from diagnosis_tool.cxr.types import Subject
from diagnosis_tool.dicom.reader import read_dicom
from tests.dicom_files import dicom, with_raw_text


def subject(**elements: Any) -> Subject:
    return read_dicom(dicom(SpecificCharacterSet="ISO_IR 192", **elements)).subject


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("Müller^Anna", "Müller Anna"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada Tarou (山田 太郎)"),
        ("=山田^太郎", "山田 太郎"),
        ("صالح^علي", "صالح علي"),
        ("A\u202eB^^^Dr", "AB Dr"),
        ("", None),
    ],
)
def test_names(stored: str, shown: str | None) -> None:
    assert subject(PatientName=stored).patient_name == shown


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("Müller^Anna".encode(), "Müller Anna"),
        ("Müller^Anna".encode("latin-1"), "Müller Anna"),
        ("Yamada^Tarou=山田^太郎".encode(), "Yamada Tarou (山田 太郎)"),
        ("Νίκος^Α".encode(), "Νίκος Α"),
    ],
)
def test_a_name_without_a_character_set(raw: bytes, shown: str) -> None:
    """Only ASCII is allowed then; UTF-8 shows itself, and else it is what most devices of the West write."""
    assert read_dicom(with_raw_text(raw, "PatientName")).subject.patient_name == shown
    assert read_dicom(with_raw_text(raw, "PatientID")).subject.patient_id


def test_a_stated_character_set_counts() -> None:
    film = with_raw_text("Müller".encode("latin-1"), "PatientName", SpecificCharacterSet="ISO_IR 100")
    assert read_dicom(film).subject.patient_name == "Müller"


def test_a_header_that_tells_all() -> None:
    found = subject(PatientID=" 4711 ", PatientSex="F", PatientAge="057Y", AcquisitionDateTime="20260102030405.5+0200")
    assert (found.patient_id, found.sex, found.age_years) == ("4711", "F", 57)
    assert found.acquired_at == datetime(2026, 1, 2, 3, 4, 5, 500_000, tzinfo=timezone(timedelta(hours=2)))


def test_a_header_that_tells_nothing() -> None:
    assert subject() == Subject()


@pytest.mark.parametrize(
    ("elements", "moment"),
    [
        ({"StudyDate": "20200131", "StudyTime": "101500"}, datetime(2020, 1, 31, 10, 15)),
        ({"StudyDate": "20200131"}, datetime(2020, 1, 31)),
        ({"StudyDate": "20200131", "AcquisitionDate": "20200201", "AcquisitionTime": "0700"}, datetime(2020, 2, 1, 7)),
    ],
)
def test_dates_without_a_zone_are_this_machines(elements: dict[str, str], moment: datetime) -> None:
    assert subject(**elements).acquired_at == moment.astimezone()


def test_the_files_own_zone_counts() -> None:
    found = subject(StudyDate="20200131", StudyTime="2300", TimezoneOffsetFromUTC="-0330")
    assert found.acquired_at is not None
    assert found.acquired_at.astimezone(UTC) == datetime(2020, 2, 1, 2, 30, tzinfo=UTC)


def test_the_age_may_follow_from_the_birth_date() -> None:
    assert subject(PatientBirthDate="19600601", StudyDate="20200531").age_years == 59
    assert subject(PatientBirthDate="19600601").age_years is None
    assert subject(PatientBirthDate="20300601", StudyDate="20200531").age_years is None


@pytest.mark.parametrize(
    ("name", "valid", "nonsense"),
    [
        ("StudyDate", "20200101", b"2020XX31"),
        ("AcquisitionDateTime", "20200101030405", b"2020XX31030405"),
        ("PatientAge", "001Y", b"old "),
    ],
)
def test_nonsense_is_as_if_absent_and_the_film_is_read(name: str, valid: str, nonsense: bytes) -> None:
    film = dicom(**{name: valid})
    assert read_dicom(film).subject != Subject()
    assert read_dicom(film.replace(valid.encode(), nonsense)).subject == Subject()


def test_a_time_that_is_none_leaves_the_day() -> None:
    film = dicom(StudyDate="20200131", StudyTime="101500").replace(b"101500", b"99XX00")
    assert read_dicom(film).subject.acquired_at == datetime(2020, 1, 31).astimezone()


def test_bits_are_the_sources() -> None:
    assert read_dicom(dicom()).bits == 8
    assert read_dicom(dicom(BitsStored=12, BitsAllocated=16, HighBit=11, PixelData=b"\1\2" * 12_000)).bits == 12


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/Los_Angeles", "UTC"])
@pytest.mark.parametrize(
    "elements",
    [
        {"AcquisitionDateTime": "00010101000000+1400"},
        {"AcquisitionDateTime": "99991231235959-1200"},
        {"AcquisitionDateTime": "00010101"},
        {"StudyDate": "00010101", "StudyTime": "000000"},
        {"StudyDate": "99991231", "StudyTime": "235959", "TimezoneOffsetFromUTC": "-1200"},
        {"StudyDate": "00010101", "StudyTime": "000000", "TimezoneOffsetFromUTC": "+9900"},
        {"StudyDate": "00000101"},
    ],
)
def test_a_moment_that_some_clock_cannot_show_is_none(
    elements: dict[str, str], zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert subject(**elements).acquired_at is None
        taken = subject(**{**elements, "ContentDate": "20200102", "ContentTime": "101112"})
        assert taken.acquired_at is not None
        assert f"{taken.acquired_at:%Y-%m-%d %H:%M:%S}" == "2020-01-02 10:11:12"
    finally:
        monkeypatch.undo()
        time.tzset()
