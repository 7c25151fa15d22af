"""Whether a film is one of the chest, as its header says in codes and in the words of many devices and languages.

Source: DICOM PS3.16 annex L (body part terms), CID 4031 (anatomic regions).
"""

import re
from typing import Final

from pydicom import Dataset

from diagnosis_tool.dicom.elements import codes, term, text, words
from diagnosis_tool.errors import UnsupportedImage

# SNOMED CT, and what SNOMED RT called it: chest, lung, lungs, apex of lung, rib
_CHEST_CODES: Final = frozenset({
    "816094009", "51185008", "T-D3000", "43799004", "T-D3200", "302551006", "39607008", "T-28000", "181216001",
    "74101002", "3341006", "44029006", "86598002", "T-280A0", "113197003", "T-11300",
})  # fmt: skip
# As words() makes them. English and Latin, German, French, Spanish, Portuguese, Italian, Dutch, Nordic, Polish, Czech,
# Turkish, Hungarian, Vietnamese, Indonesian, Greek, Russian.
_CHEST: Final = frozenset(
    word
    for said in (
        "CHEST CHST CXR THORAX THORACIC LUNG LUNGS PULMO PULMONARY RIB RIBS",
        "LUNGE LUNGEN BRUST BRUSTKORB THORAKAL RIPPE RIPPEN RIPPENTHORAX",
        "THORACIQUE POUMON POUMONS PULMONAIRE POITRINE TORAX TORACICO PULMON PULMONES PULMONAR PECHO COSTILLAS",
        "PULMÃO PULMÕES PEITO TORACE POLMONE POLMONI PETTO BORST BORSTKAS LONGEN",
        "BRYST BRYSTKASSE BRÖSTKORG LUNGER LUNGOR RINTA RINTAKEHÄ KEUHKOT PIERSIOWA PŁUCA PŁUC HRUDNÍK PLÍCE",
        "GÖĞÜS AKCİĞER AKCIĞER TORAKS MELLKAS NGỰC PHỔI PARU ΘΩΡΑΚΑΣ ΘΩΡΑΚΑ ΘΩΡΑΚΟΣ ГРУДНАЯ ГРУДНОЙ ОГК ЛЁГКИЕ",
    )
    for word in words(said)
)
# In scripts without blanks: chest, lung; but not 胸椎 (thoracic spine).
_CHEST_SIGNS: Final = re.compile("胸(?!椎)|肺|흉부|폐|صدر|חזה|ทรวงอก|ปอด|छाती")
# Without 'arm' (C-arm), French 'face' (de face: frontal) and Spanish 'pie' (de pie: standing).
_OTHER: Final = frozenset(word for said in (
    "HIP HIPS KNEE KNEES HAND HANDS FOOT FEET ANKLE ANKLES WRIST WRISTS ELBOW TOE TOES THUMB FINGER FINGERS LEG LEGS "
    "HEAD NECK SKULL JAW NOSE FACIAL ORBIT ORBITS EYE EYES TEETH SINUS SINUSES HEEL KUB BREAST BREASTS HEART "
    "PATELLA SPINE TSPINE CSPINE LSPINE FEMUR TIBIA FIBULA HUMERUS FOREARM RADIUS ULNA STERNUM EXTREMITY SKELETON "
    "KNIE FUSS FUß BECKEN HALS KOPF HWS BWS LWS DAUMEN ZEHE ZEHEN FERSE MAMMA MAGEN OBERARM UNTERARM "
    "GENOU PIED HANCHE BASSIN CRANE COU COUDE DOIGT EPAULE RACHIS RODILLA MANO CADERA CABEZA CUELLO HOMBRO CODO DEDO "
    "COLUMNA JOELHO OMBRO GINOCCHIO PIEDE BACINO SPALLA TESTA COLLO",
) for word in words(said))  # fmt: skip
_OTHER_STEMS: Final = (
    "ABD", "PELV", "SHOULDER", "SCHULTER", "CLAVIC", "SCAPUL", "LUMB", "CERVIC", "SACR", "MANDIB", "ESOPH", "OESOPH",
    "SCHADEL", "SCHAEDEL", "WIRBEL", "HUFT", "HUEFT", "HANDGELENK", "SPRUNGGELENK", "ELLBOGEN", "ELLENBOGEN",
    "SCHLUSSELBEIN", "SCHLUESSELBEIN", "CHEVILLE", "POIGNET", "TOBILLO", "MUNECA", "MAMMO", "DENTAL", "CALCAN",
    "WHOLEBODY",
)  # fmt: skip
# One word of two: CHESTPA, PORTCHEST, CHESTABDPELVIS
_GLUED: Final = re.compile(r"(.*)(CHEST|THORAX|TORAX)(.*)")
_UNSAID: Final = frozenset({"", "UNKNOWN", "UNSPECIFIED", "NONE", "NA"})
# What annex L or devices say that the rule for words would take for another part, and that was always read.
_ALSO_CHEST: Final = frozenset({"TSPINE CHEST"})
# From the image's own to the whole study's: of 'chest and knee' a series knows which.
_DESCRIPTIONS: Final = (
    "SeriesDescription", "ProtocolName", "PerformedProcedureStepDescription", "StudyDescription",
    "RequestedProcedureDescription",
)  # fmt: skip


def refuse_other_parts(dataset: Dataset) -> None:
    """Raises UnsupportedImage where any of what the header says is another part of the body than the chest.

    Anatomic Region Sequence and Body Part Examined count both. Only where neither is there the descriptions are asked,
    the most particular that names a part. A header that names none is no reason to refuse.
    """
    has_code = False
    for code, meaning in codes(dataset, "AnatomicRegionSequence"):
        if code and code not in _CHEST_CODES and not is_chest(meaning):
            raise _other(meaning or code)
        if not code and other_part(meaning):
            raise _other(meaning)
        has_code = has_code or bool(code) or is_chest(meaning)
    part = term(dataset, "BodyPartExamined")
    if part not in _UNSAID:
        if not is_chest(part):
            raise _other(part)
    elif not has_code:
        _refuse_by_description(dataset)


def states_chest(dataset: Dataset) -> bool:
    """Whether Body Part Examined or a coded region says that it is the chest."""
    coded = any(code in _CHEST_CODES or is_chest(meaning) for code, meaning in codes(dataset, "AnatomicRegionSequence"))
    return coded or is_chest(term(dataset, "BodyPartExamined"))


def is_chest(said: str) -> bool:
    """Whether these words name the chest and no other part."""
    if said in _ALSO_CHEST:
        return True
    return not other_part(said) and _names_chest(said)


def other_part(said: str) -> str:
    """The first word that names another part of the body, '' where none does."""
    return next((word for word in _parts(said) if word in _OTHER or word.startswith(_OTHER_STEMS)), "")


def _refuse_by_description(dataset: Dataset) -> None:
    for name in _DESCRIPTIONS:
        said = text(dataset, name)
        other = other_part(said)
        if other and not _names_chest(said):
            raise _other(other)
        if other or _names_chest(said):
            return


def _names_chest(said: str) -> bool:
    return bool(_CHEST_SIGNS.search(said)) or any(word in _CHEST for word in _parts(said))


def _parts(said: str) -> tuple[str, ...]:
    found: list[str] = []
    for word in words(said):
        glued = _GLUED.fullmatch(word)
        found.extend(part for part in glued.groups() if part) if glued else found.append(word)
    return tuple(found)


def _other(part: str) -> UnsupportedImage:
    return UnsupportedImage("This is a radiograph of %(part)s, not of the chest. Nothing was read.", part=part)
