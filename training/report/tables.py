"""The metrics beside the page: CSV with one line for each run and output, JSON with everything but the curves."""

import csv
import io
import json
import math
from collections.abc import Sequence
from typing import Any, Final

from cattrs import Converter
from cattrs.gen import make_dict_unstructure_fn, override

from diagnosis_tool.cxr.bundle import CONVERTER, Interval
from training.report.calls import CallMetrics, best_constant_accuracy, class_matrix
from training.report.runs import Run, Spread
from training.report.view import auc_rows, beside, comparable

_HEADER = (
    "run", "recipe", "dataset", "split", "images", "patients", "output", "kind", "positives", "best",
    "auc", "auc_low", "auc_high", "auc_folds_mean", "auc_folds_std", "auprc", "auprc_low", "auprc_high", "ece",
    "rule", "threshold", "threshold_from", "youden_j", "sensitivity", "specificity", "precision", "f1",
    "accuracy", "accuracy_low", "accuracy_high", "accuracy_at_half", "accuracy_all_negative",
    "true_positive", "false_positive", "false_negative", "true_negative",
)  # fmt: skip
_MEAN = "mean of findings"


def metrics_csv(runs: Sequence[Run]) -> str:
    """One line a run and output, and one for each run's means; what is not defined says n/a."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_HEADER)
    best = _best(runs)
    for run in runs:
        for line in (*(_output(run, name) for name in run.names), _means(run)):
            known = {"best": "yes" if (id(run), line["output"]) in best else "", **_head(run), **line}
            writer.writerow([_cell(known.get(name)) for name in _HEADER])
    return stream.getvalue()


def _best(runs: Sequence[Run]) -> set[tuple[int, object]]:
    """Runs and outputs that are marked best in the page's table."""
    return {
        (id(run), name)
        for group in comparable(runs)
        for run, row in zip(group.runs, auc_rows(group), strict=False)  # ours come first
        for name, best in zip((*group.names, _MEAN), row.best, strict=True)
        if best
    }


def _head(run: Run) -> dict[str, object]:
    evaluation = run.evaluation
    return {
        "run": run.title,
        "recipe": run.recipe,
        "dataset": evaluation.dataset,
        "split": evaluation.split,
        "images": evaluation.images,
        "patients": evaluation.patients,
    }


def _output(run: Run, name: str) -> dict[str, object]:
    evaluation, calls, half = run.evaluation, run.calls, run.at_half
    at_half = half.accuracies.get(name) if half else None
    return {
        "output": name,
        "kind": evaluation.kinds[name].value,
        "positives": evaluation.positives.get(name),
        **_interval("auc", evaluation.auc.get(name)),
        **_spread(run.auc_of_folds(name)),
        **_interval("auprc", evaluation.auprc.get(name)),
        "ece": run.ece(name),
        "rule": calls.rule.value if calls else None,
        "threshold": run.threshold(name),
        "threshold_from": run.threshold_from(name),
        **_confusion(calls, name),
        **_interval("accuracy", calls.accuracies.get(name) if calls else None),
        "accuracy_at_half": at_half.value if at_half else None,
        "accuracy_all_negative": run.all_negative(name),
    }


def _means(run: Run) -> dict[str, object]:
    evaluation, calls, half = run.evaluation, run.calls, run.at_half
    weighted = calls.weighted if calls else None
    return {
        "output": _MEAN,
        "kind": "",
        **_interval("auc", evaluation.mean_auc),
        **_spread(run.mean_auc_of_folds),
        **_interval("auprc", evaluation.mean_auprc),
        "ece": run.mean_ece,
        "rule": calls.rule.value if calls else None,
        "sensitivity": weighted.recall if weighted else None,
        "precision": weighted.precision if weighted else None,
        "f1": weighted.f1 if weighted else None,
        **_interval("accuracy", calls.mean_accuracy if calls else None),
        "accuracy_at_half": half.mean_accuracy.value if half and half.mean_accuracy else None,
        "accuracy_all_negative": calls.mean_accuracy_all_negative if calls else None,
    }


def _interval(name: str, value: Interval | None) -> dict[str, object]:
    return {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high} if value else {}


def _spread(value: Spread | None) -> dict[str, object]:
    return {"auc_folds_mean": value[0], "auc_folds_std": value[1]} if value else {}


def _confusion(calls: CallMetrics | None, name: str) -> dict[str, object]:
    found = calls.confusions.get(name) if calls else None
    if found is None:
        return {}
    shares = {share: getattr(found, share) for share in ("sensitivity", "specificity", "precision", "f1")}
    return {**shares, "youden_j": found.youden, **CONVERTER.unstructure(found)}


def _cell(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "n/a"
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value)
    # a spreadsheet would run such a text as a formula
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def metrics_json(runs: Sequence[Run], *, commit: str) -> str:
    """Every metric of the page, null where it is not defined; curves and bins are left out."""
    whole = {
        "commit": commit,
        "runs": [_run(run) for run in runs],
        "published": [
            {"dataset": group.dataset, **CONVERTER.unstructure(item)}
            for group in comparable(runs)
            for item in beside(group)
        ],
    }
    return json.dumps(_PLAIN.unstructure(whole), indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def _run(run: Run) -> dict[str, Any]:
    matrix = class_matrix(run.predictions) if run.predictions else None
    return {
        **_head(run),
        "notes": run.notes,
        "images_per_s": run.images_per_s,
        "images_per_s_of": run.timed,
        "mean_auc": run.evaluation.mean_auc,
        "mean_auc_folds": run.mean_auc_of_folds,
        "mean_auprc": run.evaluation.mean_auprc,
        "mean_ece": run.mean_ece,
        "answers": run.calls,
        "at_half": run.at_half,
        "best_constant_accuracy": best_constant_accuracy(run.predictions) if run.predictions else None,
        "class_matrix": None if matrix is None else matrix.tolist(),
        "outputs": {name: {k: v for k, v in _output(run, name).items() if k != "output"} for name in run.names},
        "epochs": run.histories,
    }


def _plain() -> Converter:
    converter = CONVERTER.copy()
    converter.register_unstructure_hook(float, lambda value: None if math.isnan(value) else value)
    omitted = override(omit=True)
    hook = make_dict_unstructure_fn(CallMetrics, converter, confusions=omitted, accuracies=omitted)
    converter.register_unstructure_hook(CallMetrics, hook)
    return converter


_PLAIN: Final = _plain()
"""An interval's ends that were not kept are null, and what is made of each output stands with the outputs."""
