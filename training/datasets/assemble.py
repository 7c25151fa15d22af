"""The last step of every adapter: what must hold for any data set is checked here, once."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from diagnosis_tool.cxr.bundle import Output
from diagnosis_tool.cxr.calibration import Activation
from training.datasets.base import AnnotatedBox, Dataset, Issue, Record, Split, held_out, refuse_shared_patients
from training.datasets.leakage import NihLists
from training.errors import DatasetInvalid


def assembled(
    *,
    name: str,
    folder: Path,
    outputs: tuple[Output, ...],
    activation: Activation,
    records: Sequence[Record],
    issues: Sequence[Issue],
    nih: NihLists,
    boxes: Sequence[AnnotatedBox] = (),
) -> Dataset:
    """The data set with records sorted and NIH's test patients kept from training.

    Raises DatasetInvalid when there is no image, one is named twice, or a patient stands in two splits.
    """
    if not records:
        raise DatasetInvalid(
            f"{folder} holds no image of {name}: look into the folders and the file names; docs/datasets.md has the "
            "layout that is expected."
        )
    in_order = tuple(sorted(records, key=lambda record: record.image))
    for one, other in pairwise(in_order):
        if one.image == other.image:
            raise DatasetInvalid(f"{folder}: the image {one.image} is named twice.")
    sides = (Split.TRAIN_VAL, Split.VALIDATION, Split.TEST)
    refuse_shared_patients({side.value: tuple(r for r in in_order if r.split is side) for side in sides})
    kept, kept_apart = held_out(in_order, nih.test_patients or (), "is on NIH's test list")
    return Dataset(
        name=name,
        folder=folder,
        outputs=outputs,
        activation=activation,
        records=kept,
        boxes=tuple(boxes),
        issues=(*issues, *kept_apart),
        nih_test_patients=nih.test_patients,
    )
