import json

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, roc_auc_score

from diagnosis_tool.cxr.bundle import CONVERTER, EvaluationRecord, Interval
from diagnosis_tool.cxr.calibration import Calibration, CalibrationMethod
from tests.made_up_runs import PNEUMONIA, SOFTMAX, THREE, made_up, write_evaluation, write_folds, write_run
from training.calibrate.fit import Calibrated
from training.errors import TrainingFailed
from training.evaluate.evaluation import STORED, Evaluation
from training.report import charts
from training.report.calls import FITTED_HERE, Rule, best_confusion, best_constant_accuracy, class_matrix
from training.report.runs import load_runs, read_evaluation


def test_a_run_has_every_metric_and_a_finding_without_positives_has_none(tmp_path):
    (run,) = load_runs([write_run(tmp_path / "run", "some", made_up())])
    said, auc, auprc = run.predictions, run.evaluation.auc["Mass"], run.evaluation.auprc["Mass"]
    k = run.names.index("Mass")
    assert auc.value == pytest.approx(roc_auc_score(said.labels_NK[:, k], said.scores_NK[:, k]))
    assert auc.low < auc.value < auc.high
    assert auprc.low < auprc.value < auprc.high
    assert auprc.value == pytest.approx(average_precision_score(said.labels_NK[:, k], said.scores_NK[:, k]))
    assert run.threshold_from("Mass") == FITTED_HERE
    best = best_confusion(said.scores_NK[:, k], said.labels_NK[:, k])
    assert run.calls.confusions["Mass"].youden == pytest.approx(best.youden)
    assert run.evaluation.positives["Hernia"] == 0
    assert run.evaluation.auc["Hernia"] is None
    assert run.evaluation.auprc["Hernia"] is None
    for of in (run.ece, run.all_negative, run.threshold, run.threshold_from, run.auc_of_folds):
        assert of("Hernia") is None, of
    for chart in (charts.roc(run), charts.precision_recall(run), charts.reliability(run)):
        assert any(series.name.startswith("Mass") for series in chart.series)
        assert not any(series.name.startswith("Hernia") for series in chart.series)
    for known in (run.calls.confusions, run.calls.accuracies, run.at_half.accuracies):
        assert "Mass" in known
        assert "Hernia" not in known


def test_means_leave_out_no_finding_and_findings_without_positives(tmp_path):
    (run,) = load_runs([write_run(tmp_path / "run", "some", made_up())])
    used = [k for k, name in enumerate(run.names) if name not in {"Hernia", "No Finding"}]
    labels, called = run.predictions.labels_NK[:, used], run.predictions.scores_NK[:, used] >= 0.5
    mean = np.mean([run.evaluation.auc[run.names[k]].value for k in used])
    assert run.evaluation.mean_auc.value == pytest.approx(mean)
    assert run.mean_ece == pytest.approx(np.mean([run.ece(run.names[k]) for k in used]))
    half, calls = run.at_half, run.calls
    assert half.mean_accuracy.value == pytest.approx((called == labels).mean())
    assert half.mean_accuracy_all_negative == calls.mean_accuracy_all_negative == pytest.approx(1 - labels.mean())
    assert half.weighted.f1 == pytest.approx(f1_score(labels, called, average="weighted", zero_division=0))
    assert calls.accuracy is None  # of whole images: not for independent findings
    assert best_constant_accuracy(run.predictions) is None


def test_folds_are_pooled_and_their_spread_is_told(tmp_path):
    (run,) = load_runs([write_folds(tmp_path / "cv", "some", folds=3)])
    assert run.evaluation.images == 900
    assert run.evaluation.split == "validation, all 3 folds"
    finals = [history[-1].mean_auc for history in run.histories]
    assert run.mean_auc_of_folds == pytest.approx((np.mean(finals), np.std(finals, ddof=1)))
    assert run.auc_of_folds("Hernia") is None


def test_folds_named_one_by_one_are_one_run_and_twice_is_an_error(tmp_path):
    folder = write_folds(tmp_path / "cv", "some", folds=3)
    (run,) = load_runs([folder / "fold-2", folder / "fold-0"])
    assert run.evaluation.split == "validation, fold 1, 3 of 3"
    with pytest.raises(TrainingFailed, match="same recipe and fold"):
        load_runs([folder / "fold-0", folder / "fold-0"])


def test_a_binary_task_has_accuracy_and_both_classes_in_its_averages(tmp_path):
    said = made_up(PNEUMONIA, dataset="kermany", share=0.6, skill=2.0)
    (run,) = load_runs([write_run(tmp_path / "run", "kermany-vgg16", said)])
    labels, called = said.labels_NK[:, 0], run.predictions.scores_NK[:, 0] >= 0.5
    assert run.at_half.accuracy.value == pytest.approx(accuracy_score(labels, called))
    assert run.at_half.weighted.f1 == pytest.approx(f1_score(labels, called, average="weighted"))
    assert best_constant_accuracy(run.predictions) == pytest.approx(max(labels.mean(), 1 - labels.mean()))


def test_exclusive_classes_are_answered_by_the_most_probable(tmp_path):
    said = made_up(THREE, SOFTMAX, dataset="covidx")
    (run,) = load_runs([write_run(tmp_path / "run", "covidx-coatnet0", said)])
    truth, called = said.labels_NK.argmax(axis=1), said.scores_NK.argmax(axis=1)
    np.testing.assert_allclose(run.predictions.scores_NK.sum(axis=1), 1)
    assert run.calls.rule is Rule.ARGMAX
    assert run.at_half is None
    assert run.calls.accuracy.value == pytest.approx(accuracy_score(truth, called))
    assert run.calls.weighted.f1 == pytest.approx(f1_score(truth, called, average="weighted"))
    assert class_matrix(run.predictions).sum() == 300
    per_class = [(called == k) == (truth == k) for k in range(3)]
    assert run.calls.mean_accuracy.value == pytest.approx(np.mean(per_class))
    assert run.calls.mean_accuracy_all_negative == pytest.approx(2 / 3)


def test_an_evaluation_keeps_the_bundles_operating_points_and_the_json_s_metrics(tmp_path):
    file = write_evaluation(tmp_path / "test.json", made_up(), bundle="net-1.0")
    run = read_evaluation(file)
    (tmp_path / "test.npz").unlink()
    stated = read_evaluation(file)
    assert run.title == "net-1.0"
    assert {run.threshold(name) for name in run.names} == {0.2, None}
    assert {run.threshold_from(name) for name in run.names} == {"nih validation"}
    assert run.evaluation.mean_auc == stated.evaluation.mean_auc
    assert run.evaluation.auc == stated.evaluation.auc
    assert run.mean_ece == stated.mean_ece
    assert stated.evaluation.mean_auprc.value == pytest.approx(run.evaluation.mean_auprc.value)
    assert [stated.all_negative(name) for name in run.names] == [run.all_negative(name) for name in run.names]
    assert stated.calls is None
    assert any("no curves" in note for note in stated.notes)
    assert stated.ece("Hernia") is None


def test_the_stored_evaluation_keeps_its_keys_and_gives_the_evaluation_back(tmp_path):
    file = write_evaluation(tmp_path / "test.json", made_up(), kept=False)
    stored = json.loads(file.read_text())
    assert set(stored) == {
        "bundle", "bundle_sha256", "engine", "precision", "dataset", "split", "n", "patients", "refused", "missing",
        "mean_auc", "left_out", "auc", "ci", "auprc", "ece", "mean_ece", "positives", "images_per_s", "boxes",
        "pointing",
    }  # fmt: skip
    assert stored["left_out"] == ["Hernia"]
    found = STORED.structure(stored, Evaluation)
    assert (found.images, found.patients, found.engine) == (300, 150, "torch")
    low, high = stored["ci"]["auc"]["Mass"]
    assert found.auc["Mass"] == Interval(value=stored["auc"]["Mass"], low=low, high=high)
    again = STORED.unstructure(found)
    assert {key: again[key] for key in ("auc", "auprc", "ece", "mean_auc", "n")} == {
        key: stored[key] for key in ("auc", "auprc", "ece", "mean_auc", "n")
    }


def test_predictions_of_another_evaluation_are_refused(tmp_path):
    file = write_evaluation(tmp_path / "a.json", made_up(count=40))
    write_evaluation(tmp_path / "b.json", made_up(count=60))
    (tmp_path / "b.npz").replace(tmp_path / "a.npz")
    with pytest.raises(TrainingFailed, match="another evaluation"):
        read_evaluation(file)


def test_a_run_without_predictions_still_has_its_curve(tmp_path):
    (run,) = load_runs([write_run(tmp_path / "run", "old", made_up(), kept=False)])
    assert run.evaluation.mean_auc.value == run.histories[0][-1].mean_auc
    assert np.isnan(run.evaluation.mean_auc.low)
    assert run.calls is None


@pytest.mark.parametrize("content", ["", "[]", '{"bundle": "x"}', '{"bundle": "x", "n": "many"}'])
def test_a_file_that_is_no_evaluation_is_named(tmp_path, content):
    file = tmp_path / "some.json"
    file.write_text(content)
    with pytest.raises(TrainingFailed, match=r"some\.json"):
        load_runs([file])


def test_a_folder_that_is_no_run_and_damaged_predictions_are_named(tmp_path):
    with pytest.raises(TrainingFailed, match="neither the folder of a run"):
        load_runs([tmp_path])
    path = write_run(tmp_path / "run", "some", made_up(count=20))
    (path / "validation.npz").write_bytes(b"PK nothing")
    with pytest.raises(TrainingFailed, match=r"validation\.npz"):
        load_runs([path])


def test_two_runs_of_one_title_are_told_apart(tmp_path):
    said = made_up(count=40)
    files = [write_evaluation(tmp_path / f"{name}.json", said) for name in "ab"]
    assert [run.title for run in load_runs(files)] == ["made-up", "made-up (2)"]


def test_a_pickle_is_never_loaded(tmp_path):
    path = write_run(tmp_path / "run", "some", made_up(count=20))
    np.savez(path / "validation.npz", text=np.array([{"evil": 1}], dtype=object))
    with pytest.raises(TrainingFailed, match=r"validation\.npz"):
        load_runs([path])


def test_calibrated_folds_are_calibrated_before_they_are_pooled(tmp_path):
    folder = write_folds(tmp_path / "cv", "some", folds=2, outputs=PNEUMONIA)
    ones = (1.0,)
    evaluation = EvaluationRecord(
        dataset="nih", split="validation", images=1, patients=1, auc={}, mean_ece=0.0, localisation=None,
        mean_auc=Interval(value=0.5, low=0.4, high=0.6),
    )  # fmt: skip
    for fold in range(2):
        shifted = Calibration(method=CalibrationMethod.PLATT, slope=ones, intercept=(float(fold),), fitted_on="x")
        made = Calibrated(calibration=shifted, operating_points=(), evaluation=evaluation, notes=())
        (folder / f"fold-{fold}" / "calibration.json").write_text(json.dumps(CONVERTER.unstructure(made)))
    (run,) = load_runs([folder])
    logits = np.concatenate([made_up(PNEUMONIA, seed=50 + fold).scores_NK + fold for fold in range(2)])
    np.testing.assert_allclose(run.predictions.scores_NK, 1 / (1 + np.exp(-logits)))
    assert not any("Not calibrated" in note for note in run.notes)
    (folder / "fold-1" / "calibration.json").write_text("{}")
    with pytest.raises(TrainingFailed, match=r"calibration\.json"):
        load_runs([folder])
