"""Explanations are chosen on films that may train, and on no other."""

from pathlib import Path

import pytest

from training.datasets import read_dataset
from training.datasets.base import Split
from training.errors import DatasetInvalid
from training.explain import evenly, opacity_boxes


def write_rsna(folder: Path, films: list[str], target: int = 1) -> Path:
    folder.mkdir()
    numbered = list(enumerate(films))
    sources = "".join(f"p{n},{film}\n" for n, film in numbered)
    (folder / "nih_source.csv").write_text("patientId,nih_image_index\n" + sources)
    labels = "".join(f"p{n},102.4,204.8,512,256,{target}\n" for n, _ in numbered)
    (folder / "stage_2_train_labels.csv").write_text("patientId,x,y,width,height,Target\n" + labels)
    return folder


def test_boxes_of_the_test_lists_patients_are_left_out(nih_folder: Path, tmp_path: Path) -> None:
    nih = read_dataset("nih", nih_folder)
    assert nih.of(Split.TEST)
    boxes = opacity_boxes(write_rsna(tmp_path / "rsna", [record.image for record in nih.records]), nih)
    assert {record.image for record in boxes} == {record.image for record in nih.of(Split.TRAIN_VAL)}
    (box,) = next(iter(boxes.values()))
    assert (box.left, box.top, box.width, box.height) == pytest.approx((0.1, 0.2, 0.5, 0.25))


def test_films_without_opacity_have_no_boxes(nih_folder: Path, tmp_path: Path) -> None:
    nih = read_dataset("nih", nih_folder)
    films = [record.image for record in nih.of(Split.TRAIN_VAL)]
    with pytest.raises(DatasetInvalid, match="no boxes"):
        opacity_boxes(write_rsna(tmp_path / "rsna", films, target=0), nih)


def test_evenly_takes_from_the_whole_range(nih_folder: Path) -> None:
    records = read_dataset("nih", nih_folder).records
    assert evenly(records, len(records) + 1) == list(records)
    few = evenly(records, 2)
    assert few == [records[0], records[len(records) // 2]]
