"""Ages as DICOM and data sets write them."""

import re
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
