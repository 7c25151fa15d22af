"""All folds at once and one by one are the same; every image is validated once, and the proof would say if not."""

import json
import os
import signal
from dataclasses import replace

import numpy as np
import pytest

from tests.nih_phantoms import REAL
from tests.recipes import tiny_recipe
from tests.unit.training.test_commands import write_recipe
from training.commands import main
from training.datasets.base import Split
from training.datasets.leakage import trainable
from training.datasets.nih import read_nih
from training.errors import TrainingFailed
from training.prepare.fold_manifest import COMMITTED, folds_for, label_counts, read_manifest, write_manifest
from training.prepare.splits import train_validation
from training.report.runs import load_runs
from training.train import cross_validate
from training.train.cross_validate import plan, prove
from training.train.run_folder import RunFolder


@pytest.fixture(scope="module")
def command(nih_folder, tmp_path_factory):
    """Runs cross-validate on the phantoms with further options; the first of them is --out's folder."""
    home = tmp_path_factory.mktemp("folds")
    recipe = write_recipe(home / "tiny.toml")

    def run(out, *options):
        return main(
            ["cross-validate", str(recipe), "--folds", "3", "--data", str(nih_folder), "--cache", str(home / "cache"),
             "--set", "loop.epochs=1", "--device", "cpu", "--out", str(home / out), *options]
        )  # fmt: skip

    run.home = home
    return run


@pytest.fixture(scope="module")
def at_once(command):
    assert command("at-once") == 0
    return command.home / "at-once"


def test_every_image_is_validated_once_and_the_proof_says_so(at_once, nih_folder):
    proof = json.loads((at_once / "proof.json").read_text())
    usable = trainable(read_nih(nih_folder))
    assert proof["every_image_validated_exactly_once"] is True
    assert proof["images"] == len(usable) == sum(row["images"] for row in proof["fold"]) == 16
    assert proof["patients_trained_and_validated"] == 0
    assert proof["patients_torn"] == proof["not_validated"] == proof["validated_twice"] == []
    assert all(row["as_in_manifest"] for row in proof["fold"])
    assert sum(row["label_share"]["Effusion"] for row in proof["fold"]) == pytest.approx(1, abs=1e-3)
    said = [image for k in range(3) for image in RunFolder(at_once / f"fold-{k}").validation().images]
    assert sorted(said) == sorted(record.image for record in usable)


def test_one_fold_a_process_gives_the_same(at_once, command, capsys):
    for fold in (2, 0, 1):
        assert not (command.home / "by-fold" / "proof.json").exists()
        assert command("by-fold", "--fold", str(fold)) == 0
    one, other = (json.loads((folder / "proof.json").read_text()) for folder in (at_once, command.home / "by-fold"))
    assert one == other
    for fold in range(3):
        runs = [RunFolder(folder / f"fold-{fold}") for folder in (at_once, command.home / "by-fold")]
        np.testing.assert_array_equal(*(run.validation().scores_NK for run in runs))
        assert len({run.best_file.read_bytes() for run in runs}) == 1


def test_compare_takes_the_folder_for_one_row(at_once):
    (row,) = load_runs([at_once])
    assert row.evaluation.split == "validation, all 3 folds"
    assert len(row.predictions.images) == 16


@pytest.fixture
def ctrl_c():
    """As in a terminal: where tests run as `nohup make test &`, SIGINT is ignored, and Python leaves it so."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_stopped_in_the_second_fold_it_goes_on_there(at_once, command, monkeypatch):
    train_of, begun = cross_validate.train, []

    def interrupted(recipe, *rest):
        begun.append(recipe.data.validation_fold)
        if len(begun) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return train_of(recipe, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(cross_validate, "train", interrupted)
        assert command("broken") == 130
    assert begun == [0, 1]
    first = RunFolder(command.home / "broken" / "fold-0").best_file.stat().st_mtime_ns
    assert command("broken") == 0
    assert RunFolder(command.home / "broken" / "fold-0").best_file.stat().st_mtime_ns == first
    assert (command.home / "broken" / "proof.json").read_text() == (at_once / "proof.json").read_text()


def test_the_plan_alone_trains_nothing(command, capsys):
    assert command("planned", "--plan") == 0
    assert [file.name for file in (command.home / "planned").iterdir()] == ["folds.json"]
    assert "Cardiomegaly" in capsys.readouterr().out


def test_a_fold_that_is_not_there(command, capsys):
    assert command("planned", "--fold", "3") == 1
    assert "write 0 to 2" in capsys.readouterr().err


def test_other_data_or_another_division_is_refused(nih_folder, own_nih_folder, tmp_path):
    plan(tiny_recipe(), nih_folder, tmp_path, 3)
    with pytest.raises(TrainingFailed, match="divides other images"):
        plan(tiny_recipe(), own_nih_folder, tmp_path, 3)
    with pytest.raises(TrainingFailed, match="is of 3 folds"):
        plan(tiny_recipe(), nih_folder, tmp_path, 4)
    with pytest.raises(TrainingFailed, match="too few patients"):
        plan(tiny_recipe(), own_nih_folder, tmp_path / "other", 5)


def test_a_proof_of_what_went_wrong_is_an_error(at_once, nih_folder):
    whole = plan(tiny_recipe(loop__epochs=1), nih_folder, at_once, 3)
    assert prove(whole) == at_once / "proof.json"
    good = (at_once / "proof.json").read_text()
    run = whole.run(1)
    said = run.validation_file.read_bytes()
    try:
        run.write_validation(whole.run(0).validation())  # fold 0's images instead of fold 1's
        with pytest.raises(TrainingFailed, match="no cross-validation"):
            prove(whole)
        proof = json.loads((at_once / "proof.json").read_text())
        assert proof["validated_twice"] == list(whole.manifest.images[0])
        assert proof["not_validated"] == list(whole.manifest.images[1])
        assert proof["patients_trained_and_validated"] > 0
    finally:
        run.validation_file.write_bytes(said)
        (at_once / "proof.json").write_text(good)


def test_a_committed_division_is_taken_and_checked(nih_folder, tmp_path):
    records = trainable(read_nih(nih_folder))
    computed = folds_for(records, dataset="nih", folds=3, seed=0, committed=tmp_path)
    turned = replace(computed, images=computed.images[1:] + computed.images[:1])
    file = tmp_path / computed.file_name
    write_manifest(file, turned)
    assert read_manifest(file) == turned
    assert folds_for(records, dataset="nih", folds=3, seed=0, committed=tmp_path) == turned
    assert folds_for(records[2:], dataset="nih", folds=3, seed=0, committed=tmp_path) != turned
    first, *others = turned.images
    write_manifest(file, replace(turned, images=(first[1:], (*others[0], first[0]), *others[1:])))
    with pytest.raises(TrainingFailed, match="patients in two folds"):
        folds_for(records, dataset="nih", folds=3, seed=0, committed=tmp_path)
    file.write_text("{}")
    with pytest.raises(TrainingFailed, match="cannot be read as a manifest"):
        folds_for(records, dataset="nih", folds=3, seed=0, committed=tmp_path)


@pytest.mark.skipif(not REAL.is_dir(), reason="the real subset is not beside this checkout")
def test_the_committed_division_of_the_real_subset_is_what_the_code_makes(tmp_path):
    records = trainable(read_nih(REAL))
    committed, made = (folds_for(records, dataset="nih", folds=5, seed=0, committed=f) for f in (COMMITTED, tmp_path))
    assert (COMMITTED / committed.file_name).is_file()
    assert committed == made
    count_FK = np.array(label_counts(committed, records))
    assert np.ptp(count_FK, axis=0).max() <= 2  # of any label, at most two images more in one fold than in another


def test_a_published_validation_split_is_divided_with_the_rest(nih_folder):
    dataset = read_nih(nih_folder)
    published = {record.patient for record in trainable(dataset)[:6]}
    moved = tuple(replace(r, split=Split.VALIDATION) if r.patient in published else r for r in dataset.records)
    dataset = replace(dataset, records=moved)
    seen = []
    for fold in range(3):
        split = train_validation(dataset, folds=3, validation_fold=fold, seed=0, published_validation=False)
        seen += [record.image for record in split.validation]
    assert sorted(seen) == sorted(record.image for record in trainable(dataset))
