"""`prepare` on each kind of bad input: what and where, an exit code, nothing half-written."""

import pytest

from tests.dataset_phantoms import write_covidx, write_films, write_kermany, write_rsna, write_sample
from training.commands import main

EACH = pytest.mark.parametrize("name", ["nih_sample", "covidx", "kermany", "rsna", "own"])
COVIDX = [f"c{n} c{n}.jpg COVID-19 cohen" for n in range(3)]


def _write(name, folder):
    if name == "nih_sample":
        return write_sample(folder)
    if name == "covidx":
        return write_covidx(folder, COVIDX, ["d d.jpg normal x"])
    if name == "kermany":
        return write_kermany(folder, {"train/NORMAL": ["IM-0001-0001.jpg"], "train/PNEUMONIA": ["person1_virus_2.jpg"]})
    if name == "rsna":
        return write_rsna(folder)
    write_films(folder, ["a.png", "b.png"])
    (folder / "labels.csv").write_text("image,patient,Nodule\na.png,1,1\nb.png,2,0\n")
    return folder


def _prepare(name, folder, cache):
    return main(["prepare", name, "--data", str(folder), "--cache", str(cache), "--size-px", "32"])


@EACH
def test_every_data_set_prepares(tmp_path, capsys, name):
    assert _prepare(name, _write(name, tmp_path / "data"), tmp_path / "cache") == 0
    told = capsys.readouterr().out
    assert "images with both labels" in told
    assert "no issues" in told


@EACH
def test_a_corrupt_image_stops_it_by_name(tmp_path, capsys, name):
    folder = _write(name, tmp_path / "data")
    broken = next(p for p in sorted(folder.rglob("*")) if p.suffix in {".jpg", ".png", ".dcm"})
    broken.write_bytes(broken.read_bytes()[:300])
    assert _prepare(name, folder, tmp_path / "cache") == 1
    told = capsys.readouterr().err
    assert "1 of" in told
    assert broken.stem in told


@EACH
def test_an_empty_folder_stops_it_and_leaves_nothing(tmp_path, capsys, name):
    (tmp_path / "data").mkdir()
    assert _prepare(name, tmp_path / "data", tmp_path / "cache") == 1
    assert str(tmp_path / "data") in capsys.readouterr().err
    assert not (tmp_path / "cache").exists()


def test_duplicates_are_listed_and_those_of_two_patients_named(tmp_path, capsys):
    folder = _write("kermany", tmp_path / "data")
    film = (folder / "train/NORMAL/IM-0001-0001.jpg").read_bytes()
    for copy in ("train/NORMAL/IM-0001-0002.jpg", "train/NORMAL/IM-0077-0001.jpg"):
        (folder / copy).write_bytes(film)
    assert _prepare("kermany", folder, tmp_path / "cache") == 0
    told = capsys.readouterr().out
    assert "2 x duplicate by content" in told
    assert "1 duplicates stand in two splits or under two patients:\n    train/NORMAL/IM-0077-0001.jpg" in told
    assert len((tmp_path / "cache/kermany/issues.csv").read_text().splitlines()) == 3
