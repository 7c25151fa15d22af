"""The vocabulary of NIH ChestX-ray14 and how findings are ordered for the eye.

Source: Wang et al. 2017, ChestX-ray8, and the data set's later 14-finding labels. Names are NIH's own.
A bundle brings its own outputs; nothing here limits what a bundle may predict.
"""

from enum import StrEnum
from typing import Final

NO_FINDING: Final = "No Finding"

NIH_FINDINGS: Final[tuple[str, ...]] = (
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Effusion",
    "Emphysema",
    "Fibrosis",
    "Hernia",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pleural_Thickening",
    "Pneumonia",
    "Pneumothorax",
)
"""The 14 findings in NIH's alphabetical order, without No Finding."""

NIH_OUTPUTS: Final[tuple[str, ...]] = (*NIH_FINDINGS, NO_FINDING)
"""What a model for NIH ChestX-ray14 predicts: 14 findings and No Finding."""

OTHER_FINDINGS: Final[tuple[str, ...]] = (
    "Aortic_Enlargement",
    "Calcification",
    "Enlarged_Mediastinum",
    "Fracture",
    "Lung_Opacity",
    "Scoliosis",
    "Subcutaneous_Emphysema",
    "Support_Device",
)
"""What a reader may add beyond NIH's findings: radiographic observations that other public data sets label, too."""

# From the heart outwards: mediastinum, air spaces, interstitium, focal, pleura. A reader's eye learns the place.
_ANATOMICAL: Final[tuple[str, ...]] = (
    "Cardiomegaly",
    "Hernia",
    "Edema",
    "Consolidation",
    "Infiltration",
    "Pneumonia",
    "Atelectasis",
    "Emphysema",
    "Fibrosis",
    "Mass",
    "Nodule",
    "Effusion",
    "Pleural_Thickening",
    "Pneumothorax",
)


class OutputKind(StrEnum):
    """Whether an output names a finding or says that there is none."""

    FINDING = "finding"
    ABSENCE = "absence"


def anatomical_rank(name: str) -> tuple[int, str]:
    """Sort key that puts findings in a fixed anatomical order; names it does not know come last, by alphabet."""
    try:
        return _ANATOMICAL.index(name), name
    except ValueError:
        return len(_ANATOMICAL), name


def display_name(name: str) -> str:
    """The name as it is shown to a reader: 'Pleural_Thickening' becomes 'Pleural thickening'."""
    first, *others = name.split("_")
    return " ".join((first, *(word.lower() for word in others)))
