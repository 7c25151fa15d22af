"""The figures beside the page: CSV with one line for each run and output, JSON with everything but the curves."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from training.report.curves import Confusion
from training.report.judged import Answers, Judged
from training.report.runs import Estimate
from training.report.view import auc_rows, beside, groups

_HEADER = (
    "run", "recipe", "dataset", "split", "images", "patients", "output", "kind", "positives", "best",
    "auc", "auc_low", "auc_high", "auc_folds_mean", "auc_folds_std", "auprc", "auprc_low", "auprc_high", "ece",
    "rule", "threshold", "threshold_from", "youden_j", "sensitivity", "specificity", "precision", "f1",
    "accuracy", "accuracy_low", "accuracy_high", "accuracy_at_half", "accuracy_all_negative",
    "true_positive", "false_positive", "false_negative", "true_negative",
)  # fmt: skip
_MEAN = "mean of findings"


def figures_csv(runs: Sequence[Judged]) -> str:
    """One line a run and output, and one for each run's means; what is not defined says n/a."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_HEADER)
    best = _best(runs)
    for judged in runs:
        for line in (*_output_lines(judged), _mean_line(judged)):
            known = {"best": "yes" if (id(judged), line["output"]) in best else "", **_run_cells(judged), **line}
            writer.writerow([_cell(known.get(name)) for name in _HEADER])
    return stream.getvalue()


def _best(runs: Sequence[Judged]) -> set[tuple[int, object]]:
    """Runs and outputs that are marked best in the page's table."""
    marked: set[tuple[int, object]] = set()
    for group in groups(runs):
        for judged, row in zip(group.runs, auc_rows(group), strict=False):  # ours come first
            marked |= {(id(judged), name) for name, cell in zip((*group.names, _MEAN), row.values, strict=True)
                       if cell.best}  # fmt: skip
    return marked


def _run_cells(judged: Judged) -> dict[str, object]:
    run = judged.run
    return {
        "run": run.title,
        "recipe": run.recipe,
        "dataset": run.dataset,
        "split": run.split,
        "images": judged.images,
        "patients": judged.patients,
    }


def _output_lines(judged: Judged) -> list[dict[str, object]]:
    lines = []
    for k, finding in enumerate(judged.findings):
        answers, half = judged.answers, judged.at_half
        at_half = half.accuracy_K[k] if half else None
        lines.append(
            {
                "output": finding.name,
                "kind": finding.kind.value,
                "positives": finding.positives,
                **_estimate_cells("auc", finding.auc),
                **_fold_cells(finding.fold_auc),
                **_estimate_cells("auprc", finding.auprc),
                "ece": finding.ece,
                "rule": answers.rule.value if answers else None,
                "threshold": finding.threshold,
                "threshold_from": finding.threshold_from or None,
                **_confusion_cells(answers.confusions_K[k] if answers else None),
                **_estimate_cells("accuracy", answers.accuracy_K[k] if answers else None),
                "accuracy_at_half": at_half.value if at_half else None,
                "accuracy_all_negative": finding.all_negative,
            }
        )
    return lines


def _mean_line(judged: Judged) -> dict[str, object]:
    answers, half = judged.answers, judged.at_half
    weighted = answers.weighted if answers else None
    return {
        "output": _MEAN,
        "kind": "",
        **_estimate_cells("auc", judged.mean_auc),
        **_fold_cells(judged.fold_mean_auc),
        **_estimate_cells("auprc", judged.mean_auprc),
        "ece": judged.mean_ece,
        "rule": answers.rule.value if answers else None,
        "sensitivity": weighted.recall if weighted else None,
        "precision": weighted.precision if weighted else None,
        "f1": weighted.f1 if weighted else None,
        **_estimate_cells("accuracy", answers.mean_accuracy if answers else None),
        "accuracy_at_half": half.mean_accuracy.value if half and half.mean_accuracy else None,
        "accuracy_all_negative": answers.all_negative if answers else None,
    }


def _estimate_cells(name: str, value: Estimate | None) -> dict[str, object]:
    if value is None:
        return {}
    return {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}


def _fold_cells(value: tuple[float, float] | None) -> dict[str, object]:
    return {"auc_folds_mean": value[0], "auc_folds_std": value[1]} if value else {}


def _confusion_cells(value: Confusion | None) -> dict[str, object]:
    if value is None:
        return {}
    shares = {name: getattr(value, name) for name in ("sensitivity", "specificity", "precision", "f1")}
    return {**shares, "youden_j": value.youden, **asdict(value)}


def _cell(value: object) -> str:
    if value is None:
        return "n/a"
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value)
    # a spreadsheet would run such a text as a formula
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def figures_json(runs: Sequence[Judged], *, commit: str) -> str:
    """Every figure of the page, null where it is not defined; curves and bins are left out."""
    whole = {
        "commit": commit,
        "runs": [_run_value(judged) for judged in runs],
        "published": [{"dataset": group.dataset, **asdict(item)} for group in groups(runs) for item in beside(group)],
    }
    return json.dumps(whole, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def _run_value(judged: Judged) -> dict[str, Any]:
    run, answers = judged.run, judged.answers
    return {
        **_run_cells(judged),
        "notes": list(run.notes),
        "images_per_s": run.images_per_s,
        "images_per_s_of": run.timed,
        "mean_auc": _plain(judged.mean_auc),
        "mean_auc_folds": judged.fold_mean_auc,
        "mean_auprc": _plain(judged.mean_auprc),
        "mean_ece": judged.mean_ece,
        "answers": _answers_value(answers),
        "at_half": _answers_value(judged.at_half),
        "best_constant_accuracy": judged.constant,
        "class_matrix": None if judged.matrix_KK is None else judged.matrix_KK.tolist(),
        "outputs": {line["output"]: {k: v for k, v in line.items() if k != "output"} for line in _output_lines(judged)},
        "epochs": [[asdict(record) for record in history] for history in run.histories],
    }


def _answers_value(answers: Answers | None) -> dict[str, Any] | None:
    if answers is None:
        return None
    return {
        "rule": answers.rule.value,
        "accuracy": _plain(answers.accuracy),
        "mean_accuracy": _plain(answers.mean_accuracy),
        "mean_accuracy_all_negative": answers.all_negative,
        "weighted": asdict(answers.weighted) if answers.weighted else None,
    }


def _plain(value: Estimate | None) -> dict[str, float | None] | None:
    return asdict(value) if value else None
