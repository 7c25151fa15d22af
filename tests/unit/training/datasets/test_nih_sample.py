import csv
import json

import pytest

from diagnosis_tool.cxr.findings import NIH_FINDINGS
from tests.dataset_phantoms import replace_in, write_sample
from tests.nih_phantoms import REAL
from training.commands import main
from training.datasets import read_dataset
from training.datasets.base import IssueKind, Split
from training.errors import DatasetInvalid
from training.prepare.splits import train_validation


def test_reads_underscored_columns_and_ages(tmp_path):
    dataset = read_dataset("nih_sample", write_sample(tmp_path))
    first = dataset.records[0]
    assert (first.image, first.patient, first.age_years, first.sex) == ("00000001_000.png", "nih:1", 41, "F")
    assert first.path.name == "00000001_000.jpg"
    assert first.labels[NIH_FINDINGS.index("Cardiomegaly")] == 1
    assert sum(dataset.records[1].labels) == 2
    assert [r.patient for r in dataset.of(Split.TEST)] == ["nih:9", "nih:10"]


def test_split_is_80_to_20_by_patient_inside_train_val(tmp_path):
    dataset = read_dataset("nih_sample", write_sample(tmp_path, patients=12, test_patients=(11, 12)))
    split = train_validation(dataset, folds=5, validation_fold=0, seed=0)
    assert (len(split.train), len(split.validation)) == (8, 2)
    assert not {r.patient for r in split.train + split.validation} & {"nih:11", "nih:12"}


def test_where_the_archive_puts_it(tmp_path):
    published = write_sample(tmp_path)
    (published / "sample").mkdir()
    for name in ("images", "sample_labels.csv"):
        (published / name).rename(published / "sample" / name)
    assert len(read_dataset("nih_sample", published).records) == 10


def test_what_is_wrong_is_said(tmp_path):
    folder = write_sample(tmp_path)
    (folder / "images" / "00000004_000.jpg").unlink()
    assert [(i.kind, i.image) for i in read_dataset("nih_sample", folder).issues] == [
        (IssueKind.MISSING_FILE, "00000004_000.png")
    ]
    replace_in(folder / "sample_labels.csv", "Edema", "Oedema")
    with pytest.raises(DatasetInvalid, match=r"'Oedema' of 00000002_000\.png"):
        read_dataset("nih_sample", folder)


def test_export_of_encoded_labels(tmp_path, capsys):
    folder, target = write_sample(tmp_path / "data"), tmp_path / "encoded_labels.csv"
    assert main(["export-labels", "nih_sample", "--data", str(folder), "--out", str(target)]) == 0
    assert "10 images" in capsys.readouterr().out
    with target.open(newline="") as stream:
        rows = {row["index"]: json.loads(row["labels"]) for row in csv.DictReader(stream)}
    assert len(rows) == 10
    assert all(len(vector) == 14 for vector in rows.values())
    assert rows["00000001_000.png"] == [int(name == "Cardiomegaly") for name in NIH_FINDINGS]
    assert sum(rows["00000003_000.png"]) == 0


@pytest.mark.skipif(not REAL.is_dir(), reason="the real subset (../shared/data/nih-256) is not beside this checkout")
def test_the_real_subset():
    dataset = read_dataset("nih_sample", REAL)
    assert (len(dataset.of(Split.TRAIN_VAL)), len(dataset.of(Split.TEST))) == (662, 79)
    assert dataset.issues == ()
    split = train_validation(dataset, folds=5, validation_fold=0, seed=0)
    assert len(split.validation) == pytest.approx(662 / 5, abs=15)
    assert all(record.age_years for record in dataset.records)
