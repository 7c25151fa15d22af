"""What is drawn of runs: curves and intervals as series, for training.report.svg. Pure."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from diagnosis_tool.cxr.findings import display_name
from training.evaluate.metrics import Array, Labels
from training.evaluate.metrics import reliability as reliability_bins
from training.report import curves
from training.report.calls import Confusion, best_confusion, confusion
from training.report.runs import Run, Spread, folds_mean
from training.report.svg import CIRCLE, DIAMOND, HUES, RING, Chart, Series, short
from training.train.run_folder import EpochRecord

_POINTS: Final = 160  # of a curve that is some 400 pixels wide
_UNIT: Final = (-0.02, 1.02)

Epoch = tuple[int, float, Spread | None]
"""Its number, the mean over the folds that got so far, and their spread where they are several."""


def auc_per_epoch(runs: Sequence[Run]) -> Chart | None:
    """Validation mean AUC of each run after each epoch, with a band of ± one standard deviation over folds."""
    points = [(run.title, n, per_epoch(run.histories, "mean_auc")) for n, run in enumerate(runs)]
    return _epochs([_course(*each) for each in points if each[2]], "mean AUC on validation")


def finding_auc_per_epoch(run: Run) -> Chart | None:
    """One run's validation AUC of each output after each epoch, mean over folds."""
    points = [(display_name(name), n, per_epoch(run.histories, name)) for n, name in enumerate(run.names)]
    return _epochs([_course(*each, band=False) for each in points if each[2]], "AUC on validation")


def loss_per_epoch(runs: Sequence[Run]) -> Chart | None:
    """Training (dotted, hollow) and validation loss (solid) of each run after each epoch, mean over folds."""
    series = []
    for n, run in enumerate(runs):
        for what, dash, mark in (("train", 2, RING), ("validation", 0, CIRCLE)):
            points = per_epoch(run.histories, f"{what}_loss")
            if points:
                name = f"{short(run.title, 20)}, {what}"
                series.append(_course(name, n, points, band=False, dash=dash, mark=mark))
    return _epochs(series, "loss")


def per_epoch(histories: Sequence[Sequence[EpochRecord]], what: str) -> list[Epoch]:
    """what: 'mean_auc', 'train_loss', 'validation_loss', or an output's name for its AUC."""
    points = []
    for epoch in range(1, max((len(history) for history in histories), default=0) + 1):
        records = [history[epoch - 1] for history in histories if len(history) >= epoch]
        values = [_value(record, what) for record in records]
        known = [value for value in values if value is not None]
        if known:
            points.append((epoch, float(np.mean(known)), folds_mean(values)))
    return points


def _value(record: EpochRecord, what: str) -> float | None:
    plain = {"mean_auc": record.mean_auc, "train_loss": record.train_loss, "validation_loss": record.validation_loss}
    return plain[what] if what in plain else record.auc.get(what)


def _course(name: str, n: int, points: list[Epoch], *, band: bool = True, **style: Any) -> Series:
    name = short(name, 32)
    spreads = [(epoch, mean - std, mean + std) for epoch, _, spread in points if spread for mean, std in [spread]]
    return Series(
        name=name,
        x=[epoch for epoch, _, _ in points],
        y=[value for _, value, _ in points],
        n=n,
        hints=[
            f"{name}, epoch {epoch}: {value:.3f}" + (f" ± {spread[1]:.3f} over folds" if spread else "")
            for epoch, value, spread in points
        ],
        band=spreads if band else (),
        **{"mark": CIRCLE, **style},
    )


def _epochs(series: list[Series], title: str) -> Chart | None:
    if not series:
        return None
    last = max(max(one.x) for one in series)
    values = [value for one in series for value in (*one.y, *(end for _, *ends in one.band for end in ends))]
    room = 0.05 * (max(values) - min(values)) or 0.01
    return Chart(
        x_title="epoch",
        y_title=title,
        series=series,
        x_range=(0.5, last + 0.5),
        x_step=1,
        y_range=(min(values) - room, max(values) + room),
    )


def auc_intervals(runs: Sequence[Run]) -> Chart | None:
    """AUC with its interval for every finding (rows) and run (marks)."""
    known = [{name: value for name, value in run.evaluation.auc.items() if value} for run in runs]
    names = list(dict.fromkeys(name for each in known for name in each))
    if not names:
        return None
    step = 0.7 / len(runs)
    series = [
        Series(
            name=short(run.title),
            x=[value.value for value in each.values()],
            y=[names.index(name) + (n - (len(runs) - 1) / 2) * step for name in each],
            n=n,
            line=False,
            dash=0,
            mark=n % HUES,
            hints=[f"{display_name(name)}: {value.value:.3f}, {run.title}" for name, value in each.items()],
            ends=[(np.fmin(v.low, v.value), np.fmax(v.high, v.value)) for v in each.values()],
        )
        for n, (run, each) in enumerate(zip(runs, known, strict=True))
    ]
    ends = [end for one in series for end in (*one.x, *(end for pair in one.ends for end in pair))]
    return Chart(
        x_title="AUC, 95% interval",
        y_title="",
        series=series,
        x_range=(min(ends) - 0.02, max(ends) + 0.02),
        y_range=(len(names) - 0.4, -0.6),
        rows=[short(display_name(name)) for name in names],
        width=1300,
        least_height=max(240, 100 + len(names) * (14 + 5 * len(runs))),
    )


def roc(run: Run) -> Chart | None:
    """ROC curves; a filled diamond where the tool decides, a ring at the largest Youden's J of these very images."""
    series: list[Series] = []
    for name, n, scores_N, labels_N in _columns(run):
        curve, area, threshold = curves.roc(scores_N, labels_N), run.evaluation.auc[name], run.threshold(name)
        if curve is None or area is None:
            continue
        series.append(_curve(name, n, curves.thinned(curve, _POINTS), area.value))
        best = best_confusion(scores_N, labels_N)
        series.append(_mark(name, n, best, RING, f"largest Youden's J {best.youden:.3f}"))
        if threshold is not None:
            used = confusion(scores_N >= threshold, labels_N)
            series.append(_mark(name, n, used, DIAMOND, f"operating point {threshold:.3f}"))
    return _unit("1 − specificity", "sensitivity", [_guide(1), *series]) if series else None


def precision_recall(run: Run) -> Chart | None:
    """Precision-recall curves with the area under each."""
    series = []
    for name, n, scores_N, labels_N in _columns(run):
        curve, area = curves.precision_recall(scores_N, labels_N), run.evaluation.auprc[name]
        if curve and area:
            series.append(_curve(name, n, curves.thinned(curve, _POINTS), area.value))
    return _unit("recall", "precision", series) if series else None


def reliability(run: Run) -> Chart | None:
    """Observed share over stated probability in bins of equal mass, with each output's ECE."""
    series = []
    for name, n, scores_N, labels_N in _columns(run):
        bins, error = reliability_bins(scores_N, labels_N), run.ece(name)
        if bins and error is not None:
            series.append(_curve(name, n, bins[:2], error, mark=CIRCLE))
    if not series:
        return None
    top = max(max(*one.x, *one.y) for one in series) * 1.05
    ends = (-0.02 * top, min(1.02, top))
    return _unit("stated probability", "observed share", [_guide(ends[1]), *series], ends)


def _columns(run: Run) -> list[tuple[str, int, Array, Labels]]:
    predictions = run.predictions
    return (
        []
        if predictions is None
        else [(name, n, predictions.scores_NK[:, n], predictions.labels_NK[:, n]) for n, name in enumerate(run.names)]
    )


def _curve(name: str, n: int, curve: curves.Curve, metric: float, **style: Any) -> Series:
    return Series(
        name=f"{short(display_name(name), 24)} {metric:.3f}", x=curve[0].tolist(), y=curve[1].tolist(), n=n, **style
    )


def _guide(end: float) -> Series:
    return Series(name="", x=(0, end), y=(0, end), n=None)


def _mark(name: str, n: int, at: Confusion, mark: int, what: str) -> Series:
    sensitivity, fall_out = at.sensitivity or 0.0, 1 - (at.specificity or 0.0)
    hint = f"{display_name(name)}: {what}, sensitivity {sensitivity:.3f}, 1 − specificity {fall_out:.3f}"
    return Series(name="", x=[fall_out], y=[sensitivity], n=n, line=False, mark=mark, hints=[hint])


def _unit(x_title: str, y_title: str, series: Sequence[Series], ends: tuple[float, float] = _UNIT) -> Chart:
    return Chart(x_title=x_title, y_title=y_title, series=series, x_range=ends, y_range=ends)
