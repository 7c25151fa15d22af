"""From which side a film was taken, and which way up and round it is stored.

Source: DICOM PS3.3 C.8.1.1 and C.8.11.5 (View Position, View Code Sequence), C.7.6.1.1.1 (Patient Orientation); PS3.16
CID 4010 (DX view).
"""

import re
from collections.abc import Iterator
from typing import Final

from pydicom import Dataset

from diagnosis_tool.cxr.turn import UPRIGHT, Turn
from diagnosis_tool.cxr.types import Remark, ViewPosition
from diagnosis_tool.dicom.elements import codes, term, text, texts, words

VIEW_TAGS: Final = (
    "ViewPosition", "ViewCodeSequence", "PatientOrientation", "AnatomicalOrientationType", "BodyPartExamined",
    "SeriesDescription",
)  # fmt: skip
"""What `view_position` and `turn_of` look at."""

# SNOMED CT, and what SNOMED RT called it
_VIEW_CODES: Final = {
    code: view
    for view, known in {
        ViewPosition.AP: "399348003 R-10206",
        ViewPosition.PA: "272479007 R-40888 R-10214",
        ViewPosition.UNKNOWN: "399033003 R-10202",  # frontal
        ViewPosition.LL: "399067008 R-102CD 399173006 R-10236 30730003 G-A145 399352003 R-10228 399260004 R-10224",
        ViewPosition.RL: "399198007 R-10232",
        ViewPosition.LAO: "399135007 R-10220",
        ViewPosition.RAO: "399356000 R-40985 R-10222",
        ViewPosition.LPO: "399006002 R-10212",
        ViewPosition.RPO: "399038007 R-10210",
        ViewPosition.LLO: "399184004 R-10238",
        ViewPosition.RLO: "399236003 R-10234",
        ViewPosition.OBLIQUE: "399312000 R-10208 399160007 R-10204 399132005 R-10252 260427002 R-40783 399099002 "
        "R-10230 260426006 R-40782 399368009 R-10226 399004004 R-10246 399182000 R-102C1 399225005 R-10250 "
        "399288005 R-10248 399059000 R-10216 399325008 R-10254",
        ViewPosition.AXIAL: "399061009 399196006 399162004 399110001",
    }.items()
    for code in known.split()
}
_TERMS: Final = {
    **{str(view): view for view in ViewPosition if view is not ViewPosition.UNKNOWN},
    "L": ViewPosition.LL,
    "R": ViewPosition.RL,
    "LLAT": ViewPosition.LL,
    "LEFTLATERAL": ViewPosition.LL,
    "RLAT": ViewPosition.RL,
    "RIGHTLATERAL": ViewPosition.RL,
    "POSTEROANTERIOR": ViewPosition.PA,
    "ANTEROPOSTERIOR": ViewPosition.AP,
}
_LATERAL: Final = frozenset({"LAT", "LATERAL", "LATERALE", "LATERALES", "SEITLICH", "PROFIL", "PERFIL", "LL", "RL"})
_OBLIQUE: Final = frozenset({"OBL", "OBLIQUE", "OBLICUA", "OBLIQUA", "SCHRAG", "SCHRAEG"})
# The body axes; a quadruped has others.
_AXES: Final = {"L": 0, "R": 0, "F": 1, "H": 1, "A": 2, "P": 2}
_DIRECTION: Final = re.compile(r"[LRFHAP]{1,3}")


def view_position(dataset: Dataset) -> ViewPosition:
    """What View Position, View Code Sequence and Patient Orientation say together.

    What is no frontal view by any of them is none. Only where they say nothing, words of the body part ('CHEST PA') and
    of the series' description count.
    """
    said = list(_stated(dataset))
    if all(view is ViewPosition.UNKNOWN for view in said):
        said += [_view_of_words(text(dataset, name)) for name in ("BodyPartExamined", "SeriesDescription")]
    other = (view for view in said if not view.is_frontal_or_unknown)
    frontal = (view for view in said if view is not ViewPosition.UNKNOWN)
    return next(other, next(frontal, ViewPosition.UNKNOWN))


def _stated(dataset: Dataset) -> Iterator[ViewPosition]:
    yield _view_of_words(term(dataset, "ViewPosition"), is_term=True)
    for code, meaning in codes(dataset, "ViewCodeSequence"):
        yield _VIEW_CODES[code] if code in _VIEW_CODES else _view_of_words(meaning, is_term=True)
    axes = {_AXES[direction[0]] for direction in _orientation(dataset)}
    if axes == {1, 2}:
        yield ViewPosition.LL
    elif axes == {0, 2}:
        yield ViewPosition.AXIAL


def _view_of_words(said: str, *, is_term: bool = False) -> ViewPosition:
    """is_term: the words stand where a view is to be told, so that 'L' is none of something else."""
    found = words(said)
    if is_term and (view := _TERMS.get("".join(found))):
        return view
    if _LATERAL.intersection(found):
        # 'PA and lateral' names what was planned, not this film
        return ViewPosition.UNKNOWN if {"PA", "AP"}.intersection(found) and not is_term else ViewPosition.LL
    if _OBLIQUE.intersection(found):
        return ViewPosition.OBLIQUE
    frontal = {"PA", "AP"}.intersection(found)
    return ViewPosition(frontal.pop()) if len(frontal) == 1 else ViewPosition.UNKNOWN


def turn_of(dataset: Dataset) -> Turn:
    """What Patient Orientation asks for; nothing where it is missing, makes no sense, or is of no frontal view."""
    directions = _orientation(dataset)
    if len(directions) != 2 or {_AXES[one[0]] for one in directions} != {0, 1}:
        return UPRIGHT
    along_row, along_column = (direction[0] for direction in directions)
    transposed = along_row in "HF"
    if transposed:
        along_row, along_column = along_column, along_row
    return Turn(transposed=transposed, upside_down=along_column == "H", left_right=along_row == "R")


def turn_note(dataset: Dataset) -> Remark | None:
    """What `turn_of` does, for who looks at the film; None where it does nothing."""
    turn, orientation = turn_of(dataset), "\\".join(_orientation(dataset))
    if turn.is_none:
        return None
    if not turn.is_mirrored:
        degrees = 180 if not turn.transposed else 90 if turn.left_right else 270
        return Remark(
            "The film is stored turned (Patient Orientation %(orientation)s) and was turned by %(degrees)s degrees "
            "clockwise.",
            {"orientation": orientation, "degrees": str(degrees)},
        )
    if turn.transposed:
        return Remark(
            "The film is stored mirrored and turned (Patient Orientation %(orientation)s); both were undone.",
            {"orientation": orientation},
        )
    if turn.left_right:
        return Remark(
            "The film is stored mirrored (Patient Orientation %(orientation)s) and was mirrored left to right.",
            {"orientation": orientation},
        )
    return Remark(
        "The film is stored mirrored (Patient Orientation %(orientation)s) and was mirrored top to bottom.",
        {"orientation": orientation},
    )


def _orientation(dataset: Dataset) -> tuple[str, ...]:
    """Where rows and columns lead to, the main direction first; () where it is not told in a person's axes."""
    directions = tuple(one.upper() for one in texts(dataset, "PatientOrientation"))
    is_told = len(directions) == 2 and all(_DIRECTION.fullmatch(one) for one in directions)
    return directions if is_told and term(dataset, "AnatomicalOrientationType") != "QUADRUPED" else ()
