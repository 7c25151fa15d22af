"""Small data sets of phantoms in the layouts of the other adapters; tests.nih_phantoms has ChestX-ray14's."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from tests.dicom_files import dicom
from tests.nih_phantoms import REAL, phantom_of
from training.phantom import save_phantom

SHARED = REAL.parent
"""The real subsets, where shared/ lies beside the checkout."""

SAMPLE_HEADER = (
    "Image_Index,Finding_Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImageWidth,OriginalImageHeight,OriginalImagePixelSpacing_x,OriginalImagePixelSpacing_y"
)


def write_films(folder: Path, names: Iterable[str], kind: int = 0) -> None:
    """A film under each name, no two alike."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        seed = sum(ord(letter) * 31**n for n, letter in enumerate(name)) % 2**31
        save_phantom(folder / name, phantom_of(kind, seed))


def write_sample(folder: Path, *, patients: int = 10, test_patients: tuple[int, ...] = (9, 10)) -> Path:
    """sample_labels.csv and images/, with NIH's test list beside them."""
    rows, test = [SAMPLE_HEADER], []
    for patient in range(1, patients + 1):
        image = f"{patient:08}_000"
        label = ("No Finding", "Cardiomegaly", "Edema|Effusion")[patient % 3]
        write_films(folder / "images", [f"{image}.jpg"], patient % 3)
        rows.append(f"{image}.png,{label},0,{patient},{patient + 40:03}Y,F,AP,2500,2048,0.168,0.168")
        if patient in test_patients:
            test.append(f"{image}.png")
    (folder / "sample_labels.csv").write_text("\n".join(rows) + "\n")
    write_test_list(folder, test)
    return folder


def write_test_list(folder: Path, images: Iterable[str]) -> Path:
    """NIH's test_list.txt with these images."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "test_list.txt").write_text("".join(f"{image}\n" for image in images))
    return folder


def write_covidx(folder: Path, train: Iterable[str], test: Iterable[str]) -> Path:
    """Lists of these lines, 'patientid filename class source', and the films that they name."""
    for side, lines in (("train", tuple(train)), ("test", tuple(test))):
        (folder / side).mkdir(parents=True)
        (folder / f"{side}.txt").write_text("".join(f"{line}\n" for line in lines))
        write_films(folder / side, (" ".join(line.split()[1:-2]) for line in lines))
    return folder


def write_kermany(folder: Path, files: Mapping[str, Iterable[str]]) -> Path:
    """Films under 'train/NORMAL' and so on."""
    for place, names in files.items():
        write_films(folder / place, names, kind=2 if place.endswith("PNEUMONIA") else 0)
    return folder


def write_rsna(folder: Path, *, count: int = 8, sourced: bool = True, test_patients: tuple[int, ...] = (8,)) -> Path:
    """DICOM films p1…, every second with a box, of NIH patients 1…; lists beside them unless not `sourced`."""
    images = folder / "stage_2_train_images"
    images.mkdir(parents=True)
    labels, classes, source = ["patientId,x,y,width,height,Target"], ["patientId,class"], ["patientId,nih_image_index"]
    for n in range(1, count + 1):
        film = np.ascontiguousarray(phantom_of(2 if n % 2 else 0, n)[:, :80])
        (images / f"p{n}.dcm").write_bytes(dicom(film, PatientSex="M", PatientAge=f"{30 + n:03}Y"))
        labels.append(f"p{n},20.0,48.0,40.0,24.0,1" if n % 2 else f"p{n},,,,,0")
        classes.append(f"p{n},{'Lung Opacity' if n % 2 else 'Normal'}")
        source.append(f"p{n},{n:08}_001.png")
    labels.append("p1,60.0,0,8.0,96.0,1")
    (folder / "stage_2_train_labels.csv").write_text("\n".join(labels) + "\n")
    (folder / "stage_2_detailed_class_info.csv").write_text("\n".join(classes) + "\n")
    if sourced:
        (folder / "nih_source.csv").write_text("\n".join(source) + "\n")
        write_test_list(folder, (f"{n:08}_000.png" for n in test_patients))
    return folder


def replace_in(file: Path, old: str, new: str) -> None:
    """Changes a text file; what is to be replaced must be there."""
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
