import json

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, roc_auc_score

from diagnosis_tool.cxr.bundle import CONVERTER, Evaluation, Interval
from diagnosis_tool.cxr.calibration import Calibration, CalibrationMethod
from tests.made_up_runs import PNEUMONIA, SOFTMAX, THREE, made_up, write_evaluation, write_folds, write_run
from training.calibrate.fit import Calibrated
from training.errors import TrainingFailed
from training.report.judged import Rule, judge_run
from training.report.runs import FITTED_HERE, load_runs, read_evaluation


def _by_name(judged):
    return {finding.name: finding for finding in judged.findings}


def test_a_run_has_every_figure_and_a_finding_without_positives_has_none(tmp_path):
    (run,) = load_runs([write_run(tmp_path / "run", "some", made_up())])
    judged = judge_run(run)
    said = run.predictions
    hernia, mass = _by_name(judged)["Hernia"], _by_name(judged)["Mass"]
    k = judged.names.index("Mass")
    assert mass.auc.value == pytest.approx(roc_auc_score(said.labels_NK[:, k], said.scores_NK[:, k]))
    assert mass.auc.low < mass.auc.value < mass.auc.high
    assert mass.auprc.low < mass.auprc.value < mass.auprc.high
    assert mass.auprc.value == pytest.approx(average_precision_score(said.labels_NK[:, k], said.scores_NK[:, k]))
    assert mass.threshold_from == FITTED_HERE
    j = judged.answers.confusions_K[k]
    assert j.sensitivity + j.specificity - 1 == pytest.approx(mass.roc.youden)
    assert hernia.positives == 0
    for name in ("auc", "auprc", "ece", "all_negative", "threshold", "roc", "precision_recall", "reliability"):
        assert getattr(hernia, name) is None, name
    at = judged.names.index("Hernia")
    assert judged.answers.confusions_K[at] is None
    assert judged.answers.accuracy_K[at] is None
    assert judged.at_half.accuracy_K[at] is None


def test_means_leave_out_no_finding_and_findings_without_positives(tmp_path):
    (run,) = load_runs([write_run(tmp_path / "run", "some", made_up())])
    judged = judge_run(run)
    used = [k for k, f in enumerate(judged.findings) if f.name not in {"Hernia", "No Finding"}]
    labels, called = run.predictions.labels_NK[:, used], run.predictions.scores_NK[:, used] >= 0.5
    assert judged.mean_auc.value == pytest.approx(np.mean([judged.findings[k].auc.value for k in used]))
    assert judged.at_half.mean_accuracy.value == pytest.approx((called == labels).mean())
    assert judged.at_half.all_negative == judged.answers.all_negative == pytest.approx(1 - labels.mean())
    assert judged.at_half.weighted.f1 == pytest.approx(f1_score(labels, called, average="weighted", zero_division=0))
    assert judged.answers.accuracy is None  # of whole images: not for independent findings
    assert judged.constant is None


def test_folds_are_pooled_and_their_spread_is_told(tmp_path):
    (run,) = load_runs([write_folds(tmp_path / "cv", "some", folds=3)])
    judged = judge_run(run)
    assert judged.images == 900
    assert run.split == "validation, all 3 folds"
    finals = [history[-1].mean_auc for history in run.histories]
    assert judged.fold_mean_auc == pytest.approx((np.mean(finals), np.std(finals, ddof=1)))
    assert _by_name(judged)["Hernia"].fold_auc is None


def test_folds_named_one_by_one_are_one_run_and_twice_is_an_error(tmp_path):
    folder = write_folds(tmp_path / "cv", "some", folds=3)
    (run,) = load_runs([folder / "fold-2", folder / "fold-0"])
    assert run.split == "validation, fold 1, 3 of 3"
    with pytest.raises(TrainingFailed, match="same recipe and fold"):
        load_runs([folder / "fold-0", folder / "fold-0"])


def test_a_binary_task_has_accuracy_and_both_classes_in_its_averages(tmp_path):
    said = made_up(PNEUMONIA, dataset="kermany", share=0.6, skill=2.0)
    (run,) = load_runs([write_run(tmp_path / "run", "kermany-vgg16", said)])
    judged = judge_run(run)
    labels, called = said.labels_NK[:, 0], run.predictions.scores_NK[:, 0] >= 0.5
    assert judged.at_half.accuracy.value == pytest.approx(accuracy_score(labels, called))
    assert judged.at_half.weighted.f1 == pytest.approx(f1_score(labels, called, average="weighted"))
    assert judged.constant == pytest.approx(max(labels.mean(), 1 - labels.mean()))


def test_exclusive_classes_are_answered_by_the_most_probable(tmp_path):
    said = made_up(THREE, SOFTMAX, dataset="covidx")
    (run,) = load_runs([write_run(tmp_path / "run", "covidx-coatnet0", said)])
    judged = judge_run(run)
    truth, called = said.labels_NK.argmax(axis=1), said.scores_NK.argmax(axis=1)
    np.testing.assert_allclose(run.predictions.scores_NK.sum(axis=1), 1)
    assert judged.answers.rule is Rule.ARGMAX
    assert judged.at_half is None
    assert judged.answers.accuracy.value == pytest.approx(accuracy_score(truth, called))
    assert judged.answers.weighted.f1 == pytest.approx(f1_score(truth, called, average="weighted"))
    assert judged.matrix_KK.sum() == 300
    per_class = [(called == k) == (truth == k) for k in range(3)]
    assert judged.answers.mean_accuracy.value == pytest.approx(np.mean(per_class))
    assert judged.answers.all_negative == pytest.approx(2 / 3)


def test_an_evaluation_keeps_the_bundles_operating_points_and_the_json_s_figures(tmp_path):
    file = write_evaluation(tmp_path / "test.json", made_up(), bundle="net-1.0")
    judged, stated = judge_run(read_evaluation(file)), read_evaluation(file)
    (tmp_path / "test.npz").unlink()
    stated = judge_run(read_evaluation(file))
    assert judged.run.title == "net-1.0"
    assert {f.threshold for f in judged.findings if f.threshold is not None} == {0.2}
    assert {f.threshold_from for f in judged.findings} == {"nih validation"}
    assert judged.mean_auc == stated.mean_auc
    assert [f.auc for f in judged.findings] == [f.auc for f in stated.findings]
    assert stated.answers is None
    assert any("no curves" in note for note in stated.run.notes)
    assert _by_name(stated)["Hernia"].ece is None


def test_predictions_of_another_evaluation_are_refused(tmp_path):
    file = write_evaluation(tmp_path / "a.json", made_up(count=40))
    write_evaluation(tmp_path / "b.json", made_up(count=60))
    (tmp_path / "b.npz").replace(tmp_path / "a.npz")
    with pytest.raises(TrainingFailed, match="another evaluation"):
        read_evaluation(file)


def test_a_run_without_predictions_still_has_its_curve(tmp_path):
    (run,) = load_runs([write_run(tmp_path / "run", "old", made_up(), kept=False)])
    judged = judge_run(run)
    assert judged.mean_auc.value == run.histories[0][-1].mean_auc
    assert judged.mean_auc.low is None
    assert judged.answers is None


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
    evaluation = Evaluation(
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
