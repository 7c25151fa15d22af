"""Which fold validates each image, as a file: so that all folds, in whatever process, are parts of one division.

training/folds/ holds the committed manifests. Data without one are divided anew; the division is saved with the run.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from diagnosis_tool.cxr.bundle import CONVERTER
from training.datasets.base import Record, labels_NK
from training.errors import TrainingFailed
from training.files import write_whole
from training.prepare.splits import assign_folds

COMMITTED: Final = Path(__file__).resolve().parents[1] / "folds"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldManifest:
    """images[k]: the names, sorted, of the images that fold k validates. records_sha256: of records_hash()."""

    dataset: str
    split_seed: int
    records_sha256: str
    images: tuple[tuple[str, ...], ...]

    @property
    def fold_of(self) -> Mapping[str, int]:
        """The fold of each image."""
        return {image: fold for fold, images in enumerate(self.images) for image in images}

    @property
    def file_name(self) -> str:
        """What the manifest is called in training/folds/."""
        return _file_name(self.dataset, len(self.images), self.split_seed, self.records_sha256)


def _file_name(dataset: str, folds: int, seed: int, records_sha256: str) -> str:
    return f"{dataset}-{folds}-folds-seed-{seed}-{records_sha256[:12]}.json"


def records_hash(records: tuple[Record, ...]) -> str:
    """Hash of which images there are and whose they are. Labels may be revised without moving anybody."""
    lines = sorted(f"{record.image}\t{record.patient}\n" for record in records)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def labels_hash(records: tuple[Record, ...]) -> str:
    """Hash of the images' labels."""
    lines = sorted(f"{record.image}\t{''.join(map(str, record.labels))}\n" for record in records)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def folds_for(
    records: tuple[Record, ...], *, dataset: str, folds: int, seed: int, committed: Path = COMMITTED
) -> FoldManifest:
    """The committed division of exactly these images and patients, or else a new one.

    Raises DatasetInvalid for fewer than two folds; TrainingFailed when the committed file is damaged.
    """
    found = records_hash(records)
    file = committed / _file_name(dataset, folds, seed, found)
    if file.is_file():
        manifest = read_manifest(file)
        check_manifest(manifest, records, file)
        return manifest
    fold_N = assign_folds(records, folds=folds, seed=seed)
    return FoldManifest(
        dataset=dataset,
        split_seed=seed,
        records_sha256=found,
        images=tuple(
            tuple(sorted(record.image for record, fold in zip(records, fold_N, strict=True) if fold == k))
            for k in range(folds)
        ),
    )


def write_manifest(file: Path, manifest: FoldManifest) -> None:
    """Writes a manifest, one image a line. Raises TrainingFailed when the disk is full."""
    write_whole(file, (json.dumps(CONVERTER.unstructure(manifest), indent=0) + "\n").encode())


def read_manifest(file: Path) -> FoldManifest:
    """Reads what write_manifest wrote. Raises TrainingFailed when it is missing or damaged."""
    try:
        return CONVERTER.structure(json.loads(file.read_text(encoding="utf-8")), FoldManifest)
    except Exception as error:  # cattrs raises groups of nearly anything
        raise TrainingFailed(f"{file} cannot be read as a manifest of folds: {error!r}.") from error


def check_manifest(manifest: FoldManifest, records: tuple[Record, ...], file: Path) -> None:
    """Raises TrainingFailed unless the manifest divides exactly these images, none twice, no patient between folds."""
    listed = [image for images in manifest.images for image in images]
    known = {record.image: record.patient for record in records}
    if manifest.records_sha256 != records_hash(records) or sorted(listed) != sorted(known):
        raise TrainingFailed(
            f"{file} divides other images than the {len(records)} at hand: use the data it was made from, or remove it."
        )
    torn = torn_patients(manifest, records)
    if torn:
        raise TrainingFailed(f"{file} has patients in two folds ({', '.join(torn[:5])}): remove it.")


def torn_patients(manifest: FoldManifest, records: tuple[Record, ...]) -> list[str]:
    """Patients whose images stand in more than one fold; there must be none."""
    fold_of, homes = manifest.fold_of, dict[str, set[int]]()
    for record in records:
        homes.setdefault(record.patient, set()).add(fold_of[record.image])
    return sorted(patient for patient, folds in homes.items() if len(folds) > 1)


def label_counts(manifest: FoldManifest, records: tuple[Record, ...]) -> list[list[int]]:
    """Images with each label, by fold."""
    fold_of, labels = manifest.fold_of, labels_NK(records)
    fold_N = np.array([fold_of[record.image] for record in records])
    return [[int(count) for count in labels[fold_N == fold].sum(axis=0)] for fold in range(len(manifest.images))]
