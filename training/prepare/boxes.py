"""Readers' boxes around opacities supervise where a network looks: a small loss on its maps beside that of the labels.

The boxes are RSNA's, on NIH films that may train. Those of half of the patients supervise; the other half's judge
the heatmaps (training.release.pointing), so that what was learned is not what is measured.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from diagnosis_tool.cxr.bundle import Output
from training.datasets import tables
from training.datasets.base import AnnotatedBox, Dataset, Record
from training.datasets.leakage import RSNA_SOURCE, find_nih_lists, trainable
from training.datasets.rsna import LABELS
from training.errors import DatasetInvalid

OPACITIES: Final = ("Infiltration", "Pneumonia", "Consolidation")
"""The outputs whose maps are held against RSNA's boxes around opacities."""
BOX_TABLES: Final = (LABELS, RSNA_SOURCE)
"""Files of RSNA's folder: boxes by RSNA's names, and NIH's name of each film."""
_RSNA_SIDE_PX: Final = 1024.0  # of the DICOM files that the boxes were drawn on


def opacity_boxes(rsna: Path, nih: Dataset) -> dict[Record, tuple[AnnotatedBox, ...]]:
    """RSNA's boxes by the NIH film that they were drawn on: films that may train, and no other.

    rsna: a folder with stage_2_train_labels.csv and nih_source.csv. Raises DatasetInvalid when none is left.
    """
    film_of = find_nih_lists(rsna).film_of
    usable = {record.image: record for record in trainable(nih)}
    boxes: dict[Record, tuple[AnnotatedBox, ...]] = {}
    labels = rsna / LABELS
    for row in tables.rows(labels, ("patientId", "x", "y", "width", "height", "Target")):
        record = usable.get(film_of.get(row["patientId"], ""))
        if record is None or row["Target"] != "1":
            continue
        try:
            left, top, width, height = (float(row[side]) / _RSNA_SIDE_PX for side in ("x", "y", "width", "height"))
        except ValueError as error:
            raise DatasetInvalid(f"{labels}: the box of {row['patientId']} is not four numbers.") from error
        box = AnnotatedBox(image=record.image, finding="opacity", left=left, top=top, width=width, height=height)
        boxes[record] = (*boxes.get(record, ()), box)
    if not boxes:
        raise DatasetInvalid(f"{rsna} has no boxes on films of {nih.folder} that may train.")
    return boxes


def supervises(patient: str) -> bool:
    """Whether this patient's boxes may supervise; those of the others judge."""
    return zlib.crc32(patient.encode()) % 2 == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxedFilms:
    """Training films with boxes, by their place among the training images.

    masks: (side, side) uint8 of the cached image, 255 inside of a box. columns: the supervised outputs.
    """

    masks: dict[int, torch.Tensor]
    side_px: int
    columns: tuple[int, ...]

    def among(self, batches: Sequence[NDArray[np.int64]], images: int, seed: int) -> list[NDArray[np.int64]]:
        """The batches with their last `images` images replaced by films with boxes, drawn at random from the seed."""
        random, known = np.random.default_rng(seed), np.fromiter(self.masks, np.int64)
        count = min(images, len(known))
        return [
            np.concatenate([batch[: len(batch) - count], random.choice(known, min(count, len(batch)), replace=False)])
            for batch in batches
        ]

    def masks_of(self, chosen_B: NDArray[np.int64]) -> torch.Tensor:
        """(B, side, side) uint8, all 0 for a film without boxes."""
        empty = torch.zeros(self.side_px, self.side_px, dtype=torch.uint8)
        return torch.stack([self.masks.get(int(n), empty) for n in chosen_B])


def boxed_films(
    folder: Path, nih: Dataset, train: Sequence[Record], outputs: Sequence[Output], side_px: int
) -> BoxedFilms:
    """The boxes that may supervise, of the films that train. Raises DatasetInvalid when there are none."""
    place = {record.image: n for n, record in enumerate(train)}
    masks = {
        place[record.image]: _mask(boxes, side_px)
        for record, boxes in opacity_boxes(folder, nih).items()
        if record.image in place and supervises(record.patient)
    }
    if not masks:
        raise DatasetInvalid(f"{folder} has no boxes that may supervise on the training films of {nih.folder}.")
    columns = tuple(k for k, output in enumerate(outputs) if output.name in OPACITIES)
    return BoxedFilms(masks=masks, side_px=side_px, columns=columns)


def _mask(boxes: Sequence[AnnotatedBox], side_px: int) -> torch.Tensor:
    mask = torch.zeros(side_px, side_px, dtype=torch.uint8)
    for box in boxes:
        rows = slice(int(box.top * side_px), int((box.top + box.height) * side_px) + 1)
        columns = slice(int(box.left * side_px), int((box.left + box.width) * side_px) + 1)
        mask[rows, columns] = 255
    return mask
