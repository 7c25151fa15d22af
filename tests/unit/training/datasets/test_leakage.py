"""No film of a patient on NIH's test list trains, validates, selects or calibrates, by whatever name it came."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from tests.dataset_phantoms import SHARED, write_covidx, write_films, write_rsna, write_sample, write_test_list
from training.datasets import READERS, read_dataset
from training.datasets.base import IssueKind, Split
from training.datasets.leakage import find_nih_lists, nih_patient, nih_patient_of_film, trainable
from training.errors import DatasetInvalid
from training.prepare.splits import train_validation

REAL_FOLDERS = {"nih": "nih-256", "nih_sample": "nih-256", "covidx": "covidx-3class", "kermany": "kermany-224"}


def _split(dataset, **options):
    return train_validation(dataset, folds=2, validation_fold=0, seed=0, **options)


def test_names_of_patients():
    assert nih_patient("00017") == nih_patient("17") == nih_patient_of_film("x/00000017_003.png") == "nih:17"
    assert nih_patient_of_film("person17_virus_003.png") is None


@pytest.mark.parametrize("name", ["covidx", "own", "own-by-column"])
def test_a_test_patient_is_kept_from_training_and_listed(tmp_path, name):
    lists = write_test_list(tmp_path / "nih", ["00000005_000.png"])
    folder = tmp_path / "data"
    if name == "covidx":
        write_covidx(folder, [f"{n:08} {n:08}_001.png normal nih" for n in (4, 5, 6)], [])
    else:
        stem = "{:08}_001.png" if name == "own" else "{}.png"
        write_films(folder, [stem.format(n) for n in (4, 5, 6)])
        rows = [f"{stem.format(n)},nih:{n:08},1" for n in (4, 5, 6)]
        (folder / "labels.csv").write_text("\n".join(["image,patient,Nodule", *rows]) + "\n")
    dataset = read_dataset(name.split("-")[0], folder, (lists,))
    assert [record.patient for record in dataset.of(Split.HELD_OUT)] == ["nih:5"]
    assert [i.kind for i in dataset.issues] == [IssueKind.HELD_OUT]
    split = _split(dataset)
    assert {r.patient for r in split.train + split.validation} == {"nih:4", "nih:6"}


def test_the_split_itself_refuses_a_test_patient(tmp_path):
    dataset = read_dataset("nih_sample", write_sample(tmp_path))
    slipped = replace(dataset, records=tuple(replace(r, split=Split.TRAIN_VAL) for r in dataset.records))
    with pytest.raises(DatasetInvalid, match="2 images to train or validate are of patients on NIH's test list"):
        _split(slipped, without_nih_lists=True)


@pytest.mark.parametrize("missing", ["test_list.txt", "nih_source.csv"])
def test_nih_films_do_not_train_while_nobody_knows_who_is_on_the_list(tmp_path, missing):
    folder = write_rsna(tmp_path)
    (folder / missing).unlink()
    dataset = read_dataset("rsna", folder)
    with pytest.raises(DatasetInvalid, match=f"8 of 8 images to train are NIH films, and without {missing}"):
        _split(dataset)
    split = _split(dataset, without_nih_lists=True)
    assert len(split.train + split.validation) == 8


def test_films_of_others_need_no_list(tmp_path):
    write_films(tmp_path, ["a.png", "b.png"])
    (tmp_path / "labels.csv").write_text("image,patient,Nodule\na.png,1,1\nb.png,2,0\n")
    assert len(trainable(read_dataset("own", tmp_path))) == 2


def test_the_folders_own_list_counts_before_references(tmp_path):
    own = write_test_list(tmp_path / "own", ["00000001_000.png"])
    other = write_test_list(tmp_path / "other", ["00000002_000.png"])
    assert find_nih_lists(own, (other,)).test_patients == {"nih:1"}
    assert find_nih_lists(tmp_path, (tmp_path / "nowhere", other)).test_patients == {"nih:2"}
    assert find_nih_lists(tmp_path).test_patients is None


def _real_test_patients() -> set[int]:
    """Read apart from the code under test."""
    return {int(line[:8]) for line in (SHARED / "nih-256" / "test_list.txt").read_text().split()}


def _real_patient(name: str, image: str, sources: dict[str, str]) -> int | None:
    stem = Path(sources.get(image, image) if name == "rsna" else image).stem
    return int(stem[:8]) if stem[:8].isdecimal() and stem[8:9] == "_" else None


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real subsets (../shared/data) are not beside this checkout")
def test_by_patient_across_all_real_data_sets(tmp_path):
    tested, references = _real_test_patients(), (SHARED / "nih-256", SHARED / "rsna")
    with (SHARED / "rsna" / "nih_source.csv").open(newline="") as stream:
        sources = {row["patientId"]: row["nih_image_index"] for row in csv.DictReader(stream)}
    folders = {name: SHARED / folder for name, folder in REAL_FOLDERS.items()} | {"rsna": tmp_path / "rsna"}
    assert folders.keys() | {"own"} == READERS.keys()  # a new adapter must be added here
    _fake_rsna(folders["rsna"])
    used, tests = {}, {}
    for name, folder in folders.items():
        dataset = read_dataset(name, folder, references)
        split = train_validation(dataset, folds=5, validation_fold=0, seed=0)
        films = [_real_patient(name, record.image, sources) for record in split.train + split.validation]
        used[name] = {patient for patient in films if patient is not None}
        tests[name] = {_real_patient(name, record.image, sources) for record in dataset.of(Split.TEST)}
        assert not used[name] & tested, name
    assert all(len(used[name]) > 500 for name in ("nih", "nih_sample", "covidx", "rsna"))
    assert not used["kermany"]
    for name in ("nih", "nih_sample", "rsna"):
        assert tests[name] & tested


def _fake_rsna(folder: Path) -> None:
    """RSNA's real labels with empty files for films: who may train is decided before a pixel is read."""
    images = folder / "stage_2_train_images"
    images.mkdir(parents=True)
    for name in ("stage_2_train_labels.csv", "stage_2_detailed_class_info.csv"):
        (folder / name).write_bytes((SHARED / "rsna" / name).read_bytes())
    with (folder / "stage_2_detailed_class_info.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            (images / f"{row['patientId']}.dcm").touch()
