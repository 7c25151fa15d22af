"""One pass over a data set, narrowed to the findings that the bundle answers and the data set labels."""

from collections.abc import Sequence
from dataclasses import dataclass

from diagnosis_tool.cxr.bundle import Output
from diagnosis_tool.cxr.findings import OutputKind
from training.datasets.base import Record, labels_NK
from training.errors import DatasetInvalid
from training.evaluate.metrics import Array, Labels


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """N images and K findings. probabilities_NK: calibrated; labels_NK: 0 or 1."""

    findings: tuple[str, ...]
    records: tuple[Record, ...]
    probabilities_NK: Array
    labels_NK: Labels

    @property
    def patients(self) -> tuple[str, ...]:
        """The patient of each image."""
        return tuple(record.patient for record in self.records)


def narrowed(
    answered: Sequence[Output], labelled: Sequence[Output], records: Sequence[Record], probabilities_NK: Array
) -> Said:
    """answered: the bundle's outputs, the columns of probabilities_NK. Raises DatasetInvalid when nothing is left."""
    label_of = {output.name: k for k, output in enumerate(labelled)}
    columns = [
        (k, label_of[output.name])
        for k, output in enumerate(answered)
        if output.kind is OutputKind.FINDING and output.name in label_of
    ]
    if not columns or not records:
        raise DatasetInvalid("No image was read, or the bundle answers no finding that this data set labels.")
    return Said(
        findings=tuple(answered[k].name for k, _ in columns),
        records=tuple(records),
        probabilities_NK=probabilities_NK[:, [k for k, _ in columns]],
        labels_NK=labels_NK(tuple(records))[:, [k for _, k in columns]],
    )
