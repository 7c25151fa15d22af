"""Ages and times as DICOM and data sets write them."""

import re
from datetime import UTC, datetime
from typing import Final

_OLDEST: Final = 120
_DIVISOR: Final = {"": 1, "Y": 1, "M": 12, "W": 52, "D": 365}


def age_years(text: str | None) -> int | None:
    """Whole years of '57', '060Y', '018M', '006W' or '021D'; None for anything else, and above 120.

    ChestX-ray14 holds slips such as 414 years. Source: DICOM PS3.5 section 6.2, value representation AS.
    """
    match = re.fullmatch(r"(\d{1,4})([YMWD]?)", (text or "").strip())
    if match is None:
        return None
    years = int(match[1]) // _DIVISOR[match[2]]
    return years if years <= _OLDEST else None


def is_showable(moment: datetime) -> bool:
    """Whether every time zone's clock can show this moment: Python knows the years 1 to 9999, and zones move it."""
    try:
        return 1 < moment.astimezone(UTC).year < 9999
    except (OverflowError, ValueError):
        return False
