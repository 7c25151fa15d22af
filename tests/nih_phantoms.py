"""A small ChestX-ray14 of phantoms, in the published layout: what training tests run on without any real film."""

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.phantom import Anatomy, chest_phantom, save_phantom

REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "nih-256"
"""The real subset, where shared/ lies beside the checkout."""

HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)
_KINDS: tuple[tuple[str, Anatomy], ...] = (
    ("No Finding", Anatomy()),
    ("Cardiomegaly", Anatomy(heart_size=1.45)),
    ("Effusion", Anatomy(effusion=0.45)),
    ("Cardiomegaly|Effusion", Anatomy(heart_size=1.45, effusion=0.45)),
)


@cache
def _drawn(kind: int, side_px: int) -> NDArray[np.uint8]:
    pixels = chest_phantom(kind, height_px=side_px, width_px=side_px, anatomy=_KINDS[kind][1])
    return pixels.astype(np.uint8)


def phantom_of(kind: int, seed: int, side_px: int = 96) -> NDArray[np.uint8]:
    """A film with the labels of kind 0..3, moved a little and with noise of its own, so that no two are alike."""
    rng = np.random.default_rng(seed)
    moved = np.roll(_drawn(kind, side_px), rng.integers(-3, 4, 2), axis=(0, 1)).astype(float)
    return np.clip(moved + rng.normal(0, 4, moved.shape), 0, 255).astype(np.uint8)


def write_nih(folder: Path, *, patients: int = 12, films_each: int = 2, test_patients: int = 4) -> Path:
    """Writes the data set: the last `test_patients` patients are the test list, the others train_val. JPEG and PNG."""
    images = folder / "images"
    images.mkdir(parents=True)
    rows, train_val, test, boxes = [HEADER], [], [], ["Image Index,Finding Label,Bbox [x,y,w,h]"]
    for patient in range(1, patients + 1):
        for follow_up in range(films_each):
            kind = (patient + follow_up) % len(_KINDS)
            stem, labels = f"{patient:08}_{follow_up:03}", _KINDS[kind][0]
            save_phantom(
                images / f"{stem}.{'png' if patient % 2 else 'jpg'}", phantom_of(kind, 100 * patient + follow_up)
            )
            rows.append(
                f"{stem}.png,{labels},{follow_up},{patient},0{40 + patient}Y,{'MF'[patient % 2]},PA,2500,2048,0.14,0.14"
            )
            is_test = patient > patients - test_patients
            (test if is_test else train_val).append(f"{stem}.png")
            if is_test and "Cardiomegaly" in labels:
                boxes.append(f"{stem}.png,Cardiomegaly,350,450,350,350")
    (folder / "Data_Entry_2017.csv").write_text("\n".join(rows) + "\n")
    (folder / "train_val_list.txt").write_text("\n".join(train_val) + "\n")
    (folder / "test_list.txt").write_text("\n".join(test) + "\n")
    (folder / "BBox_List_2017.csv").write_text("\n".join(boxes) + "\n")
    return folder
