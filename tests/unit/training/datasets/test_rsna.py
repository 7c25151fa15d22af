import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from diagnosis_tool.cxr.image_file import read_image_file
from diagnosis_tool.cxr.types import ViewPosition
from tests.dataset_phantoms import SHARED, replace_in, write_rsna
from training.commands import main
from training.datasets import read_dataset
from training.datasets.base import IssueKind, Split, read_radiograph
from training.datasets.leakage import nih_patient_of_film
from training.errors import DatasetInvalid

REAL = SHARED / "rsna"
MAKER = SHARED.parent / "tools" / "make_rsna_dicoms.py"


def test_labels_boxes_and_header(tmp_path):
    dataset = read_dataset("rsna", write_rsna(tmp_path))
    first, second = dataset.records[:2]
    assert (first.image, first.labels, first.patient, first.detail) == ("p1", (1,), "nih:1", "Lung Opacity")
    assert (first.view_position, first.sex, first.age_years) == (ViewPosition.PA, "M", 31)
    assert second.labels == (0,)
    boxes = [box for box in dataset.boxes if box.image == "p1"]
    assert [(b.left, b.top, b.width, b.height) for b in boxes] == [(0.25, 0.5, 0.5, 0.25), (0.75, 0, 0.1, 1.0)]
    assert {box.finding for box in dataset.boxes} == {"Pneumonia"}
    assert dataset.issues == ()


def test_boxes_go_with_a_film_that_is_turned(tmp_path):
    folder = write_rsna(tmp_path)
    film = folder / "stage_2_train_images" / "p1.dcm"
    header = dcmread(film)
    header.PatientOrientation = ["R", "F"]
    header.save_as(film)
    boxes = [box for box in read_dataset("rsna", folder).boxes if box.image == "p1"]
    first, second = ((b.left, b.top, b.width, b.height) for b in boxes)
    assert first == pytest.approx((0.25, 0.5, 0.5, 0.25))
    assert second == pytest.approx((0.15, 0, 0.1, 1.0))


def test_nih_test_patients_are_the_test_split(tmp_path):
    dataset = read_dataset("rsna", write_rsna(tmp_path, test_patients=(3, 8)))
    assert [record.image for record in dataset.of(Split.TEST)] == ["p3", "p8"]
    assert len(dataset.of(Split.TRAIN_VAL)) == 6


def test_pixels_are_read_as_dicom(tmp_path):
    dataset = read_dataset("rsna", write_rsna(tmp_path, count=1))
    radiograph = read_radiograph(dataset.records[0].path)
    assert radiograph.source_format == "DICOM"
    assert radiograph.pixels.shape == (96, 80)


def test_without_source_every_patient_is_listed_as_unknown(tmp_path):
    dataset = read_dataset("rsna", write_rsna(tmp_path, count=3, sourced=False))
    assert [r.patient for r in dataset.records] == ["nih?:p1", "nih?:p2", "nih?:p3"]
    assert [i.kind for i in dataset.issues] == [IssueKind.NO_PATIENT] * 3


def test_what_does_not_fit_is_listed(tmp_path):
    folder = write_rsna(tmp_path)
    (folder / "stage_2_train_images" / "p2.dcm").unlink()
    (folder / "stage_2_train_images" / "p3.dcm").rename(folder / "stage_2_train_images" / "q.dcm")
    (folder / "stage_2_train_images" / "p4.dcm").write_bytes(b"no DICOM")
    replace_in(folder / "stage_2_detailed_class_info.csv", "p5,Lung Opacity", "p5,Normal")
    dataset = read_dataset("rsna", folder)
    assert {(i.kind, i.image) for i in dataset.issues} == {
        (IssueKind.MISSING_FILE, "p2"),
        (IssueKind.MISSING_FILE, "p3"),
        (IssueKind.NOT_IN_INDEX, "q"),
        (IssueKind.CONTRADICTION, "p5"),
    }
    assert "p4" in {record.image for record in dataset.records}  # the cache says that it cannot be read


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("stage_2_train_labels.csv", "Target", "target", "has no column 'Target'"),
        ("stage_2_train_labels.csv", "p2,,,,,0", "p2,,,,,2", "line 3: Target '2' is not 0 or 1"),
        ("stage_2_train_labels.csv", "p2,,,,,0", "p2,,,,,1", "line 3: Target 1 without a box"),
        ("stage_2_train_labels.csv", "p1,60.0,0,8.0,96.0,1", "p1,,,,,0", "p1 has Target 0 and Target 1"),
        ("stage_2_detailed_class_info.csv", "p2,Normal", "p2,Fine", "'Fine' of p2"),
        ("nih_source.csv", "nih_image_index", "image", "has no column 'nih_image_index'"),
    ],
)
def test_contradictions_stop_with_what_and_where(tmp_path, file, old, new, message):
    folder = write_rsna(tmp_path)
    replace_in(folder / file, old, new)
    with pytest.raises(DatasetInvalid, match=message):
        read_dataset("rsna", folder)


def test_no_image_folder(tmp_path):
    with pytest.raises(DatasetInvalid, match="no folder stage_2_train_images"):
        read_dataset("rsna", tmp_path)


@pytest.fixture(scope="module")
def real_dicoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first 40 films, written by the shared tool."""
    if not REAL.is_dir() or not MAKER.is_file():
        pytest.skip("the real subset (../shared/data/rsna, ../shared/tools) is not beside this checkout")
    out = tmp_path_factory.mktemp("rsna")
    subprocess.run(
        [sys.executable, str(MAKER), str(SHARED), str(out), "--limit", "40"], check=True, capture_output=True,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )  # fmt: skip
    return out


def test_the_real_subset(real_dicoms, tmp_path, capsys):
    dataset = read_dataset("rsna", real_dicoms, (SHARED / "nih-256", REAL))
    assert len(dataset.records) == 40
    assert dataset.issues == ()
    assert all(r.patient.startswith("nih:") and r.age_years is not None for r in dataset.records)
    assert all(box.left + box.width <= 1.01 and box.top + box.height <= 1.01 for box in dataset.boxes)
    boxed = {box.image for box in dataset.boxes}
    assert boxed == {record.image for record in dataset.records if record.labels == (1,)}
    arguments = ["prepare", "rsna", "--data", str(real_dicoms), "--cache", str(tmp_path), "--size-px", "32"]
    assert main([*arguments, "--nih-reference", str(REAL), "--nih-reference", str(SHARED / "nih-256")]) == 0
    assert "cached 40 images" in capsys.readouterr().out


def test_real_dicoms_show_the_films_they_were_made_of(real_dicoms):
    dataset = read_dataset("rsna", real_dicoms, (SHARED / "nih-256", REAL))
    source = dict(line.split(",") for line in (REAL / "nih_source.csv").read_text().split()[1:])
    record = dataset.records[0]
    film = SHARED / "nih-256" / "images" / source[record.image].replace(".png", ".jpg")
    assert nih_patient_of_film(film.name) == record.patient
    ours, theirs = (read_radiograph(record.path).pixels, read_image_file(film.read_bytes()).pixels)
    assert np.abs(ours.astype(int) - theirs.astype(int)).mean() < 2  # JPEG once more
