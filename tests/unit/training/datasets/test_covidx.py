import pytest

from diagnosis_tool.cxr.calibration import Activation
from diagnosis_tool.cxr.findings import OutputKind
from tests.dataset_phantoms import SHARED, write_covidx, write_test_list
from training.datasets import read_dataset
from training.datasets.base import IssueKind, Split
from training.datasets.covidx import case_of
from training.errors import DatasetInvalid

REAL = SHARED / "covidx-3class"
TRAIN = ("00000007 00000007_001.png normal nih", "c1 c1 first film.jpg COVID-19 cohen", "8 8.jpg pneumonia nih")
TEST = ("00000009 00000009_002.png pneumonia nih", "c2 c2.jpg COVID-19 cohen")


def test_three_exclusive_classes_and_names_with_spaces(tmp_path):
    dataset = read_dataset("covidx", write_covidx(tmp_path, TRAIN, TEST))
    assert [o.name for o in dataset.outputs] == ["normal", "pneumonia", "COVID-19"]
    assert [o.kind for o in dataset.outputs] == [OutputKind.ABSENCE, OutputKind.FINDING, OutputKind.FINDING]
    assert dataset.activation is Activation.SOFTMAX
    by_image = {record.image: record for record in dataset.records}
    assert by_image["c1 first film.jpg"].labels == (0, 0, 1)
    assert by_image["00000007_001.png"].patient == "nih:7"
    assert by_image["c2.jpg"].patient == "cohen:c2"
    assert [r.split for r in dataset.records].count(Split.TEST) == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("41591_Fig1_HTML.webp-day10", "41591_Fig1_HTML.webp-day5"),
        ("from-Singapore.pdf-003-fig4a", "from-Singapore.pdf-003-fig4b"),
        ("evolution-over-a-week-1-day0-PA", "evolution-over-a-week-1-day3"),
        ("rapidly-progressive-12-hours", "rapidly-progressive-admission"),
        ("main.pdf-003-b1", "main.pdf-003-b2"),
    ],
)
def test_films_of_one_case_are_one_patient(tmp_path, one, other):
    assert case_of(one) == case_of(other)
    lines = (f"{one} {one}.jpg COVID-19 cohen", f"{other} {other}.jpg COVID-19 cohen")
    dataset = read_dataset("covidx", write_covidx(tmp_path, (lines[0], *TRAIN), (lines[1],)))
    assert [r.image for r in dataset.of(Split.HELD_OUT)] == [f"{one}.jpg"]
    assert [(i.kind, i.image) for i in dataset.issues] == [(IssueKind.HELD_OUT, f"{one}.jpg")]


def test_different_cases_stay_apart():
    names = ("covid-19-pneumonia-7-PA", "covid-19-pneumonia-12", "g24-g001-l-a", "g24-g002-l-a", "01E392EE", "01E392EF")
    assert len({case_of(name) for name in names}) == 6


def test_a_published_patient_on_both_lists_is_kept_from_training(tmp_path):
    lines = ("8 8-b.jpg normal nih",)
    dataset = read_dataset("covidx", write_covidx(tmp_path, TRAIN, lines))
    assert [r.image for r in dataset.of(Split.HELD_OUT)] == ["8.jpg"]


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (("9 9.jpg healthy nih",), "'9 9.jpg healthy nih' is not 'patientid"),
        (("c2 c2.jpg COVID-19 cohen",), "c2.jpg stands in train.txt and in test.txt"),
        (("x x.jpg normal nih", "x x.jpg normal nih"), "x.jpg is named twice"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, train, message):
    with pytest.raises(DatasetInvalid, match=message):
        read_dataset("covidx", write_covidx(tmp_path, train, TEST))


def test_a_line_that_is_cut_short(tmp_path):
    (tmp_path / "test.txt").write_text("9 9.jpg\n")
    with pytest.raises(DatasetInvalid, match=r"test\.txt: '9 9\.jpg' is not 'patientid filename"):
        read_dataset("covidx", tmp_path)


def test_no_lists_and_missing_files(tmp_path):
    with pytest.raises(DatasetInvalid, match=r"neither train\.txt nor test\.txt"):
        read_dataset("covidx", tmp_path)
    folder = write_covidx(tmp_path / "data", TRAIN, TEST)
    (folder / "train" / "8.jpg").unlink()
    assert [(i.kind, i.image) for i in read_dataset("covidx", folder).issues] == [(IssueKind.MISSING_FILE, "8.jpg")]


def test_nih_test_patients_are_kept_from_training(tmp_path):
    folder = write_covidx(tmp_path / "data", TRAIN, TEST)
    lists = write_test_list(tmp_path / "nih", ["00000007_000.png"])
    dataset = read_dataset("covidx", folder, (lists,))
    assert [r.image for r in dataset.of(Split.HELD_OUT)] == ["00000007_001.png"]


@pytest.mark.skipif(not REAL.is_dir(), reason="the real subset (../shared/data/covidx-3class) is not beside it")
def test_the_real_subset():
    dataset = read_dataset("covidx", REAL, (SHARED / "nih-256",))
    counts = [len(dataset.of(split)) for split in (Split.TRAIN_VAL, Split.TEST, Split.HELD_OUT)]
    assert counts == [848, 182, 10]
    assert {issue.kind for issue in dataset.issues} == {IssueKind.HELD_OUT}
