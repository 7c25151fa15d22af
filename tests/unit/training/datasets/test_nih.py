import re

import pytest

from diagnosis_tool.cxr.findings import NIH_OUTPUTS
from diagnosis_tool.cxr.types import ViewPosition
from tests.dataset_phantoms import replace_in
from tests.nih_phantoms import REAL
from training.datasets import read_dataset
from training.datasets.base import IssueKind, Split, labels_NK
from training.datasets.nih import SUBSET_NOTE, TEST_IMAGES, read_nih, subset_note
from training.errors import DatasetInvalid


def test_reads_labels_splits_patients_and_boxes(nih_folder):
    dataset = read_nih(nih_folder)
    assert [output.name for output in dataset.outputs] == list(NIH_OUTPUTS)
    assert len(dataset.of(Split.TRAIN_VAL)) == 16
    assert len(dataset.of(Split.TEST)) == 8
    assert dataset.issues == ()
    first = dataset.records[0]
    assert (first.image, first.patient, first.sex, first.age_years) == ("00000001_000.png", "nih:1", "F", 41)
    assert first.view_position is ViewPosition.PA
    assert labels_NK((first,)).sum() == 1
    assert first.labels[NIH_OUTPUTS.index("Cardiomegaly")] == 1
    assert all(box.finding == "Cardiomegaly" for box in dataset.boxes)
    assert dataset.boxes[0].holds(0.5, 0.6)
    assert not dataset.boxes[0].holds(0.1, 0.6)


def test_published_folders_and_a_leading_zero_in_the_patient(own_nih_folder):
    split = own_nih_folder / "images_001"
    split.mkdir()
    (own_nih_folder / "images").rename(split / "images")
    index = own_nih_folder / "Data_Entry_2017.csv"
    index.write_text(index.read_text().replace(",0,3,", ",0,00003,"))
    assert [record.patient for record in read_nih(own_nih_folder).records] == [f"nih:{n}" for n in range(1, 7)]


def test_empty_train_val_list(own_nih_folder):
    (own_nih_folder / "train_val_list.txt").write_text("")
    dataset = read_nih(own_nih_folder)
    assert len(dataset.of(Split.TRAIN_VAL)) == 0
    assert len(dataset.of(Split.TEST)) == 2
    assert {issue.kind for issue in dataset.issues} == {IssueKind.UNLISTED}


def test_lists_what_is_missing_and_what_the_index_does_not_know(own_nih_folder):
    next((own_nih_folder / "images").glob("00000002*")).unlink()
    with (own_nih_folder / "test_list.txt").open("a") as stream:
        stream.write("00099999_000.png\n")
    issues = {(issue.kind, issue.image) for issue in read_nih(own_nih_folder).issues}
    assert issues == {(IssueKind.MISSING_FILE, "00000002_000.png"), (IssueKind.NOT_IN_INDEX, "00099999_000")}


def test_infiltrate_of_the_box_list_is_infiltration(own_nih_folder):
    (own_nih_folder / "BBox_List_2017.csv").write_text(
        "Image Index,Finding Label,Bbox [x,y,w,h],,,\n00000006_000.png,Infiltrate,512,256,128,64,,,\n"
    )
    box = read_nih(own_nih_folder).boxes[0]
    assert (box.finding, box.left, box.top, box.width, box.height) == ("Infiltration", 0.5, 0.25, 0.125, 0.0625)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: replace_in(f / "Data_Entry_2017.csv", "Finding Labels", "Labels"), "has no column 'Finding Labels'"),
        (lambda f: replace_in(f / "Data_Entry_2017.csv", "No Finding", "Healthy"), "'Healthy' of 00000004_000.png"),
        (lambda f: (f / "Data_Entry_2017.csv").unlink(), "Data_Entry_2017.csv cannot be read"),
        (lambda f: (f / "Data_Entry_2017.csv").write_text(""), "has no column"),
        (lambda f: (f / "Data_Entry_2017.csv").write_bytes(b"\xff\xfe\x00"), "not text in UTF-8"),
        (lambda f: (f / "images").rename(f / "pictures"), "neither images/ nor images_"),
        (lambda f: [p.unlink() for p in (f / "images").iterdir()], "holds no image"),
        (lambda f: [(f / n).write_text("") for n in ("train_val_list.txt", "test_list.txt")], "both are empty"),
        (
            lambda f: replace_in(f / "test_list.txt", "00000006_000.png", "00000001_000.png"),
            "stands in train_val_list.txt and",
        ),
        (lambda f: replace_in(f / "Data_Entry_2017.csv", ",0,6,", ",0,1,"), "1 in train_val and test"),
        (lambda f: replace_in(f / "BBox_List_2017.csv", "350,450", "left,450"), "line 2: not a box"),
        (
            lambda f: replace_in(f / "Data_Entry_2017.csv", "00000002_000", "00000001_000"),
            "names 00000001_000.png twice",
        ),
    ],
)
def test_contradictions_stop_with_what_and_where(own_nih_folder, change, message):
    change(own_nih_folder)
    with pytest.raises(DatasetInvalid, match=re.escape(message)):
        read_nih(own_nih_folder)


def test_unknown_data_set_and_folder(tmp_path):
    with pytest.raises(DatasetInvalid, match="known: "):
        read_dataset("chexpert", tmp_path)
    with pytest.raises(DatasetInvalid, match="is no folder"):
        read_dataset("nih", tmp_path / "nowhere")


@pytest.mark.skipif(not REAL.is_dir(), reason="the real subset (../shared/data/nih-256) is not beside this checkout")
def test_the_real_subset():
    dataset = read_nih(REAL)
    assert (len(dataset.of(Split.TRAIN_VAL)), len(dataset.of(Split.TEST)), len(dataset.boxes)) == (13246, 1663, 497)
    assert dataset.issues == ()
    assert {box.image for box in dataset.boxes} <= {record.image for record in dataset.of(Split.TEST)}
    assert {box.finding for box in dataset.boxes} <= set(NIH_OUTPUTS)


@pytest.mark.parametrize(
    ("dataset", "images", "note"),
    [("nih", TEST_IMAGES - 1, SUBSET_NOTE), ("nih", TEST_IMAGES, None), ("nih", None, None), ("rsna", 100, None)],
)
def test_figures_on_a_part_of_the_test_list_are_said_not_to_compare(dataset, images, note):
    assert subset_note(dataset, images) == note
