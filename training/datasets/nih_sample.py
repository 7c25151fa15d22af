"""The 5,606-image sample of NIH ChestX-ray14: sample_labels.csv, with column names and ages of its own.

It was published without a split. NIH's test patients test; the others are train_val, of which a patient-grouped,
seeded fifth validates (data.folds = 5): 80/20 by patient.
"""

import csv
import io
import json
from pathlib import Path
from typing import Final

from diagnosis_tool.cxr.calibration import Activation
from diagnosis_tool.cxr.findings import OutputKind
from training.datasets.assemble import assembled
from training.datasets.base import Dataset
from training.datasets.leakage import find_nih_lists
from training.datasets.nih import OUTPUTS, nih_files, nih_records
from training.files import write_whole

_INDEX: Final = "sample_labels.csv"


def read_nih_sample(folder: Path, references: tuple[Path, ...] = ()) -> Dataset:
    """Reads images/ and sample_labels.csv, also where they lie in sample/ (as published).

    references: folders where NIH's test_list.txt is looked for when it is not in `folder`.
    Raises DatasetInvalid as read_nih does.
    """
    nih = find_nih_lists(folder, references)
    published = folder / "sample" / _INDEX
    index = published if published.is_file() else folder / _INDEX
    records, issues = nih_records(
        index, nih_files(folder), lambda _, patient: nih.split_of(patient), names="Image_Index", labels="Finding_Labels"
    )
    return assembled(
        name="nih_sample",
        folder=folder,
        outputs=OUTPUTS,
        activation=Activation.SIGMOID,
        records=records,
        issues=issues,
        nih=nih,
    )


def write_encoded_labels(dataset: Dataset, target: Path) -> int:
    """Writes CSV columns index (image name) and labels ('[0, 1, …]', findings without No Finding); gives the rows.

    The file is written whole or not at all. Raises TrainingFailed when the disk is full.
    """
    findings = [k for k, output in enumerate(dataset.outputs) if output.kind is OutputKind.FINDING]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("index", "labels"))
    for record in dataset.records:
        writer.writerow((record.image, json.dumps([record.labels[k] for k in findings])))
    write_whole(target, text.getvalue().encode())
    return len(dataset.records)
