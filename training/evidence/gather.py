"""All evidence for one bundle: one pass over NIH's test list, one over Kermany's test folder, one for robustness."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from diagnosis_tool.cxr.bundle import Interval
from diagnosis_tool.cxr.classifier import BundleClassifier
from training.datasets import read_dataset
from training.datasets.base import Dataset, Record, Split
from training.errors import DatasetInvalid
from training.evaluate.evaluation import Evaluation, evaluate
from training.evaluate.metrics import SEED
from training.evidence.operating_points import PointsOnTest, points_on_test
from training.evidence.robustness import Robustness, measure
from training.evidence.subgroups import Partition, partitions_of

EXTERNAL_FINDING: Final = "Pneumonia"


@dataclass(frozen=True, slots=True, kw_only=True)
class External:
    """Another hospital's films. auc: of the bundle's pneumonia output, None where it has none or labels lack a kind."""

    dataset: str
    images: int
    patients: int
    positives: int
    refused: int
    auc: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The JSON of `evidence`. limit: how many images of each set were read at most, None for all (a trial if not).

    test: what `evaluate` gives for the same images, but for pointing, which is not measured here.
    """

    bundle: str
    bundle_sha256: str
    git_commit: str
    limit: int | None
    test: Evaluation
    subgroups: tuple[Partition, ...]
    robustness: Robustness
    external: External | None
    answers: PointsOnTest


def folder_with(data: Path, *names: str) -> Path | None:
    """`data`, or the first folder in it, that has all of these; None when there is none. Raises DatasetInvalid."""
    if not data.is_dir():
        raise DatasetInvalid(f"{data} is no folder: say where the data lies with --data.")
    folders = (data, *sorted(folder for folder in data.iterdir() if folder.is_dir()))
    return next((folder for folder in folders if all((folder / name).exists() for name in names)), None)


def gather(
    classifier: BundleClassifier, data: Path, *, robustness_images: int, limit: int | None, git_commit: str
) -> Evidence:
    """Reads and judges everything. robustness_images: how many of the test list, drawn by a fixed seed."""
    metadata = classifier.bundle.metadata
    folder = folder_with(data, "Data_Entry_2017.csv", "test_list.txt")
    if folder is None:
        raise DatasetInvalid(f"Neither {data} nor a folder in it has Data_Entry_2017.csv and test_list.txt.")
    nih = read_dataset("nih", folder)
    test, predictions = evaluate(classifier, metadata, nih, some(nih.of(Split.TEST), limit), Split.TEST.value)
    by_image = {record.image: record for record in nih.records}
    read = [by_image[image] for image in predictions.images]
    other = folder_with(data, "test/NORMAL", "test/PNEUMONIA")
    return Evidence(
        bundle=test.bundle,
        bundle_sha256=test.bundle_sha256,
        git_commit=git_commit,
        limit=limit,
        test=test,
        subgroups=partitions_of(predictions, read),
        robustness=measure(
            classifier, metadata.outputs, nih.outputs, some(read, robustness_images), metadata.preprocess.size_px
        ),
        external=external_of(classifier, read_dataset("kermany", other, (folder,)), limit) if other else None,
        answers=points_on_test(predictions, metadata.operating_points),
    )


def some(records: Sequence[Record], count: int | None) -> tuple[Record, ...]:
    """At most `count` of the records, drawn by a fixed seed, in their order; all for None."""
    if count is None or count >= len(records):
        return tuple(records)
    chosen = np.random.default_rng(SEED).choice(len(records), count, replace=False)
    return tuple(records[n] for n in np.sort(chosen))


def external_of(classifier: BundleClassifier, dataset: Dataset, limit: int | None) -> External | None:
    """The pneumonia output on the test split; None when the split is empty or the bundle has no such output."""
    metadata = classifier.bundle.metadata
    records = some(dataset.of(Split.TEST), limit)
    if not records or EXTERNAL_FINDING not in {output.name for output in metadata.outputs}:
        return None
    evaluation, _ = evaluate(classifier, metadata, dataset, records, Split.TEST.value)
    return External(
        dataset=dataset.name,
        images=evaluation.images or 0,
        patients=evaluation.patients or 0,
        positives=evaluation.positives[EXTERNAL_FINDING],
        refused=len(evaluation.refused),
        auc=evaluation.auc[EXTERNAL_FINDING],
    )
