import pytest

from diagnosis_tool.cxr.calibration import Activation
from diagnosis_tool.cxr.findings import OutputKind
from diagnosis_tool.cxr.types import ViewPosition
from tests.dataset_phantoms import replace_in, write_films
from training.datasets import read_dataset
from training.datasets.base import IssueKind, Split
from training.errors import DatasetInvalid
from training.prepare.splits import train_validation

CSV = """image,patient,split,Nodule,Mass,view,age
films/a.png,1,train,0,1,PA,060Y
films/b.png,1,train,0,0,AP,61
films/c.jpg,2,val,1,1,,
films/d.png,3,test,1,0,,
"""


@pytest.fixture
def folder(tmp_path):
    write_films(tmp_path / "films", ["a.png", "b.png", "c.jpg", "d.png"])
    (tmp_path / "labels.csv").write_text(CSV)
    return tmp_path


def test_csv_with_patients_and_splits(folder):
    dataset = read_dataset("own", folder)
    assert [output.name for output in dataset.outputs] == ["Nodule", "Mass"]
    assert dataset.activation is Activation.SIGMOID
    first = dataset.records[0]
    assert (first.image, first.patient, first.labels, first.age_years) == ("films/a.png", "own:1", (0, 1), 60)
    assert first.view_position is ViewPosition.PA
    split = train_validation(dataset, folds=5, validation_fold=0, seed=0)
    assert [r.image for r in split.train] == ["films/a.png", "films/b.png"]
    assert [r.image for r in split.validation] == ["films/c.jpg"]
    assert read_dataset("own", folder / "labels.csv").records == dataset.records


def test_other_column_names_by_dataset_toml(folder):
    replace_in(folder / "labels.csv", "image,patient,split", "path,person,part")
    (folder / "dataset.toml").write_text(
        'image = "path"\npatient = "person"\nsplit = "part"\nlabels = ["Mass", "Nodule"]\nabsence = "Nodule"\n'
    )
    dataset = read_dataset("own", folder)
    assert [o.kind for o in dataset.outputs] == [OutputKind.FINDING, OutputKind.ABSENCE]
    assert dataset.records[0].labels == (1, 0)
    assert len(dataset.of(Split.TEST)) == 1


def test_without_patients_it_says_so(tmp_path):
    write_films(tmp_path, ["a.png", "b.png"])
    (tmp_path / "labels.csv").write_text("image,Nodule\na.png,1\nb.png,0\nc.png,0\n")
    dataset = read_dataset("own", tmp_path)
    assert {r.split for r in dataset.records} == {Split.TRAIN_VAL}
    assert len({r.patient for r in dataset.records}) == 2
    assert [(i.kind, i.image) for i in dataset.issues] == [
        (IssueKind.NO_PATIENT, "(all)"),
        (IssueKind.MISSING_FILE, "c.png"),
    ]


@pytest.mark.parametrize("splits", [("",), ("train/", "test/")])
def test_folders(tmp_path, splits):
    for split in splits:
        for label in ("clear", "nodule", "other"):
            write_films(tmp_path / f"{split}{label}", [f"{label}-{split[:2]}.png", "._hidden.png"])
    (tmp_path / "dataset.toml").write_text('absence = "clear"\n')
    dataset = read_dataset("own", tmp_path)
    assert dataset.activation is Activation.SOFTMAX
    assert [o.name for o in dataset.outputs] == ["clear", "nodule", "other"]
    assert dataset.outputs[0].kind is OutputKind.ABSENCE
    assert len(dataset.records) == 3 * len(splits)
    assert all(sum(record.labels) == 1 for record in dataset.records)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("image,", "file,", "has no column 'image'"),
        ("train,0,1", "train,0,maybe", "line 2: Mass 'maybe': labels are 0 or 1"),
        ("2,val", "2,later", "line 4: split 'later' is none of"),
        ("2,val", ",val", "line 4: the patient is empty"),
        ("3,test", "1,test", "own:1 in train_val and test"),
        ("films/b.png", "films/a.png", "films/a.png is named twice"),
        (CSV, "", "is empty"),
        (CSV, "image,patient\n", "no label column"),
        (CSV, "image,Mass\n", "holds no image"),
    ],
)
def test_bad_tables_stop_with_what_and_where(folder, old, new, message):
    replace_in(folder / "labels.csv", old, new)
    with pytest.raises(DatasetInvalid, match=message):
        read_dataset("own", folder)


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ('colour = "red"', "colour"),
        ("labels = [", "is not TOML"),
        ('absence = "Nothing"', "'Nothing' is none of Nodule, Mass"),
        ("exclusive = true", "line 3: 0 of Nodule, Mass are 1"),
        ('labels = ["Hernia"]', "has no column 'Hernia'"),
    ],
)
def test_bad_dataset_toml(folder, toml, message):
    (folder / "dataset.toml").write_text(toml)
    with pytest.raises(DatasetInvalid, match=message):
        read_dataset("own", folder)
