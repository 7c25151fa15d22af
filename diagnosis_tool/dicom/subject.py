"""Whose radiograph it is and when it was taken, as a DICOM header says it.

Source: DICOM PS3.3 C.7.1.1 (Patient), C.7.2.2 (Patient Study), C.8.1.2 and C.12.1 (dates, times, their zone).
"""

import re
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from datetime import date, datetime, timedelta, timezone
from typing import Final

from pydicom import Dataset
from pydicom.valuerep import DA, DT, TM, PersonName

from diagnosis_tool.cxr.age import age_years, is_showable
from diagnosis_tool.cxr.types import Subject

_MAX_ID, _MAX_NAME = 64, 255
_SEXES: Final = frozenset({"M", "F", "O"})
_MOMENTS: Final = (
    ("AcquisitionDate", "AcquisitionTime"),
    ("ContentDate", "ContentTime"),
    ("SeriesDate", "SeriesTime"),
    ("StudyDate", "StudyTime"),
)
_TO_THE_DAY: Final = re.compile(r"\d{8}")
_DAYS_A_YEAR: Final = 365.2425


def subject_of(dataset: Dataset) -> Subject:
    """What the header tells; each part None where it is missing or makes no sense. Never raises for a bad value."""
    acquired_at = _acquired_at(dataset)
    sex = _text(dataset, "PatientSex").upper()
    return Subject(
        patient_id=_clean(_text(dataset, "PatientID"), _MAX_ID),
        patient_name=_clean(_name(dataset), _MAX_NAME),
        age_years=_age(dataset, acquired_at),
        sex=sex if sex in _SEXES else None,
        acquired_at=acquired_at,
    )


def _text(dataset: Dataset, name: str) -> str:
    value = None
    with suppress(Exception):  # a damaged element is as if absent: the film can still be read
        value = dataset.get(name)
    return "" if value is None else str(value).strip()


def _name(dataset: Dataset) -> str:
    """'Yamada Tarou (山田 太郎)': the alphabetic form, then the one in the person's own script where there is one."""
    name = None
    with suppress(Exception):
        name = dataset.get("PatientName")
    if not isinstance(name, PersonName):
        return "" if name is None else str(name)
    latin, own = (str(part).replace("^", " ").strip() for part in (name.alphabetic, name.ideographic))
    return f"{latin} ({own})" if latin and own else latin or own


def _clean(text: str, longest: int) -> str | None:
    begin = text[: 4 * longest]  # a name of megabytes is not looked at letter by letter
    shown = " ".join("".join(c for c in begin if unicodedata.category(c) not in {"Cc", "Cf", "Cs"}).split())
    return shown[:longest] or None


def _age(dataset: Dataset, acquired_at: datetime | None) -> int | None:
    stated = age_years(_text(dataset, "PatientAge").upper())
    born = _date(_text(dataset, "PatientBirthDate"))
    if stated is not None or born is None or acquired_at is None:
        return stated
    return age_years(str(int((acquired_at.date() - born).days / _DAYS_A_YEAR)))


def _acquired_at(dataset: Dataset) -> datetime | None:
    return next((moment for moment in _moments(dataset) if moment is not None and is_showable(moment)), None)


def _moments(dataset: Dataset) -> Iterator[datetime | None]:
    with suppress(ValueError, TypeError, AttributeError, OverflowError):
        text = _text(dataset, "AcquisitionDateTime")
        stated = DT(text) if _TO_THE_DAY.match(text) else None
        if stated is not None:
            yield _in_zone(datetime.fromisoformat(stated.isoformat()), dataset)
    for day_name, time_name in _MOMENTS:
        day = _date(_text(dataset, day_name))
        if day is not None:
            moment = datetime(day.year, day.month, day.day)
            with suppress(ValueError, TypeError):
                clock = TM(_text(dataset, time_name))
                if clock is not None:
                    moment = moment.replace(hour=clock.hour, minute=clock.minute, second=clock.second)
            yield _in_zone(moment, dataset)


def _date(text: str) -> date | None:
    with suppress(ValueError, TypeError):
        day = DA(text)
        return None if day is None else date(day.year, day.month, day.day)
    return None


def _in_zone(moment: datetime, dataset: Dataset) -> datetime | None:
    """Aware: in the zone that the file states, else in this machine's; None where that has no such year."""
    if moment.tzinfo is not None:
        return moment
    zone = _text(dataset, "TimezoneOffsetFromUTC")
    with suppress(ValueError):
        if len(zone) == 5 and zone[0] in "+-":
            offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[3:5]))
            return moment.replace(tzinfo=timezone(-offset if zone[0] == "-" else offset))
    with suppress(ValueError, OverflowError):
        return moment.astimezone()
    return None
