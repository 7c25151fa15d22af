import pytest

from tests.dataset_phantoms import SHARED, write_kermany
from training.datasets import read_dataset
from training.datasets.base import Split
from training.datasets.kermany import patient_of
from training.errors import DatasetInvalid
from training.prepare.splits import train_validation

REAL = SHARED / "kermany-224"
FILES = {
    "train/NORMAL": [f"IM-{n:04}-0001.jpg" for n in range(1, 5)] + ["NORMAL2-IM-0001-0001.jpeg"],
    "train/PNEUMONIA": ["person1_bacteria_1.jpg", "person1_bacteria_2.jpg", "person2_virus_4.jpg", "x.png"],
    "test/NORMAL": ["IM-0009-0001.jpg"],
    "test/PNEUMONIA": ["person1_virus_9.jpg"],
}


def test_one_output_and_patients_by_name(tmp_path):
    dataset = read_dataset("kermany", write_kermany(tmp_path, FILES))
    assert [output.name for output in dataset.outputs] == ["Pneumonia"]
    by_image = {record.image: record for record in dataset.records}
    first = by_image["train/PNEUMONIA/person1_bacteria_1.jpg"]
    assert (first.labels, first.patient, first.detail) == ((1,), "kermany:person1_bacteria", "bacteria")
    assert by_image["train/NORMAL/IM-0001-0001.jpg"].labels == (0,)
    assert len(dataset.of(Split.TRAIN_VAL)) == 9
    assert len(dataset.of(Split.TEST)) == 2


@pytest.mark.parametrize(
    ("stem", "patient", "kind"),
    [
        ("person123_virus_45", "kermany:person123_virus", "virus"),
        ("person1_bacteria_2_3", "kermany:person1_bacteria", "bacteria"),
        ("IM-0553-0001-0002", "kermany:IM-0553", ""),
        ("NORMAL2-IM-0553-0001", "kermany:NORMAL2-IM-0553", ""),
        ("other", "kermany:other", ""),
    ],
)
def test_patient_of(stem, patient, kind):
    assert patient_of(stem) == (patient, kind)


def test_validation_comes_from_train_by_patient_with_and_without_a_val_folder(tmp_path):
    folder = write_kermany(tmp_path, FILES)
    split = train_validation(read_dataset("kermany", folder), folds=3, validation_fold=0, seed=0)
    assert split.validation
    assert not {r.patient for r in split.train} & {r.patient for r in split.validation}
    write_kermany(folder, {"val/NORMAL": ["IM-0020-0001.jpg"], "val/PNEUMONIA": ["person9_virus_20.jpg"]})
    assert len(read_dataset("kermany", folder).of(Split.TRAIN_VAL)) == 11


def test_what_is_wrong_is_said(tmp_path):
    with pytest.raises(DatasetInvalid, match="has no folders of images"):
        read_dataset("kermany", tmp_path)
    folder = write_kermany(tmp_path / "data", {**FILES, "test/PNEUMONIA": ["person2_virus_9.jpg"]})
    with pytest.raises(DatasetInvalid, match="kermany:person2_virus in train_val and test"):
        read_dataset("kermany", folder)
    (folder / "train" / "HEALTHY").mkdir()
    with pytest.raises(DatasetInvalid, match="HEALTHY: the folder's name is no label"):
        read_dataset("kermany", folder)


def test_empty_folders(tmp_path):
    with pytest.raises(DatasetInvalid, match="holds no image of kermany"):
        read_dataset("kermany", write_kermany(tmp_path, {"train/NORMAL": [], "train/PNEUMONIA": []}))


@pytest.mark.skipif(
    not REAL.is_dir(), reason="the real subset (../shared/data/kermany-224) is not beside this checkout"
)
def test_the_real_subset():
    dataset = read_dataset("kermany", REAL)
    assert (len(dataset.of(Split.TRAIN_VAL)), len(dataset.of(Split.TEST)), dataset.issues) == (5216, 309, ())
    assert sum(record.labels[0] for record in dataset.records) == 3875 + 192
