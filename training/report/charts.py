"""Charts as plain Plotly JSON: pure. Colours of text, grid and paper are the page's own (page.js), by its theme.

Plotly reads a little HTML in names and hover texts: everything that comes from data goes through `safe`.
"""

import html
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from diagnosis_tool.cxr.findings import display_name
from training.report.curves import thinned
from training.report.judged import Finding, Judged, folds_mean
from training.train.run_folder import EpochRecord

Figure = dict[str, Any]
"""A figure as Plotly reads it: {'data': [...], 'layout': {...}}; beside them 'wide' for one with a row of its own."""

# eight hues that stand out from white and from #161b22 alike; the second round is dashed: never colour alone
_COLOURS: Final = ("#2f7fd6", "#c2700a", "#229068", "#a05fd0", "#d0506b", "#1b93a8", "#8f8320", "#7d8894")
_DASHES: Final = ("solid", "dash", "dot")
_POINTS: Final = 160  # of a curve that is some 400 pixels wide
_LONGEST: Final = 30


def safe(text: str, longest: int = _LONGEST) -> str:
    """Text for a Plotly label: cut to `longest` characters, markup made harmless."""
    cut = text if len(text) <= longest else text[: longest - 1] + "…"
    return html.escape(cut)


def auc_per_epoch(runs: Sequence[Judged]) -> Figure | None:
    """Validation mean AUC of each run after each epoch, with a band of ± one standard deviation over folds."""
    traces: list[Figure] = []
    for n, judged in enumerate(runs):
        traces += _with_band(judged.run.title, n, per_epoch(judged.run.histories, "mean_auc"))
    return _epochs(traces, "mean AUC on validation") if traces else None


def finding_auc_per_epoch(judged: Judged) -> Figure | None:
    """One run's validation AUC of each output after each epoch, mean over folds."""
    traces: list[Figure] = []
    for n, finding in enumerate(judged.findings):
        epochs = per_epoch(judged.run.histories, finding.name)
        traces += _with_band(display_name(finding.name), n, epochs)[-1:]
    return _epochs(traces, "AUC on validation") if traces else None


def loss_per_epoch(runs: Sequence[Judged]) -> Figure | None:
    """Training (dotted, hollow) and validation loss (solid) of each run after each epoch, mean over folds."""
    traces: list[Figure] = []
    for n, judged in enumerate(runs):
        for what, dash, symbol in (("train", "dot", "circle-open"), ("validation", "solid", "circle")):
            points = per_epoch(judged.run.histories, f"{what}_loss")
            if points:
                name = f"{safe(judged.run.title, 24)}, {what}"
                traces.append(_line(name, [p[0] for p in points], [p[1] for p in points], n, dash, symbol))
    return _epochs(traces, "loss") if traces else None


def per_epoch(
    histories: Sequence[Sequence[EpochRecord]], what: str
) -> list[tuple[int, float, tuple[float, float] | None]]:
    """(epoch, mean, (mean, standard deviation) or None) over the folds that got so far.

    what: 'mean_auc', 'train_loss', 'validation_loss', or an output's name for its AUC.
    """
    points = []
    for epoch in range(1, max((len(history) for history in histories), default=0) + 1):
        records = [history[epoch - 1] for history in histories if len(history) >= epoch]
        values = [_value(record, what) for record in records]
        known = [value for value in values if value is not None]
        if known:
            points.append((epoch, float(np.mean(known)), folds_mean(values)))
    return points


def _value(record: EpochRecord, what: str) -> float | None:
    plain = {
        "mean_auc": record.mean_auc,
        "train_loss": record.train_loss,
        "validation_loss": record.validation_loss,
    }
    return plain[what] if what in plain else record.auc.get(what)


def _with_band(title: str, n: int, points: list[tuple[int, float, tuple[float, float] | None]]) -> list[Figure]:
    if not points:
        return []
    colour, spread = _COLOURS[n % len(_COLOURS)], [(p[0], *p[2]) for p in points if p[2]]
    line = _line(safe(title), [p[0] for p in points], [p[1] for p in points], n, None, "circle")
    if not spread:
        return [line]
    epochs = [epoch for epoch, _, _ in spread]
    band = {
        "type": "scatter",
        "mode": "lines",
        "x": epochs + epochs[::-1],
        "y": [_short(mean + std) for _, mean, std in spread] + [_short(mean - std) for _, mean, std in spread][::-1],
        "fill": "toself",
        "fillcolor": colour + "33",
        "line": {"width": 0},
        "hoverinfo": "skip",
        "showlegend": False,
    }
    said = {epoch: f" ± {std:.3f} over folds" for epoch, _, std in spread}
    line["customdata"] = [said.get(p[0], "") for p in points]
    line["hovertemplate"] = "%{fullData.name}<br>epoch %{x}: %{y:.3f}%{customdata}<extra></extra>"
    return [band, line]


def _line(name: str, x: Sequence[float], y: Sequence[float], n: int, dash: str | None, symbol: str) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": name,
        "x": list(x),
        "y": [_short(value) for value in y],
        "line": {"color": _COLOURS[n % len(_COLOURS)], "dash": dash or _dash(n), "width": 2},
        "marker": {"size": 6, "symbol": symbol},
        "hovertemplate": "%{fullData.name}<br>epoch %{x}: %{y:.3f}<extra></extra>",
    }


def _dash(n: int) -> str:
    return _DASHES[(n // len(_COLOURS)) % len(_DASHES)]


def _short(value: float) -> float:
    return round(float(value), 5)


def _epochs(traces: list[Figure], title: str) -> Figure:
    last = max(max(trace["x"]) for trace in traces)
    whole = {"dtick": 1} if last <= 20 else {}  # else Plotly marks halves of epochs
    return {"data": traces, "layout": _layout("epoch", title, traces, x={"range": [0.5, last + 0.5], **whole})}


def auc_intervals(runs: Sequence[Judged]) -> Figure | None:
    """AUC with its interval for every finding (rows) and run (marks)."""
    names = list(dict.fromkeys(f.name for judged in runs for f in judged.findings if f.auc))
    if not names:
        return None
    step = 0.7 / max(len(runs), 1)
    traces = []
    for n, judged in enumerate(runs):
        known = [(f, f.auc) for f in judged.findings if f.auc]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": safe(judged.run.title),
                "x": [_short(value.value) for _, value in known],
                "y": [names.index(f.name) + (n - (len(runs) - 1) / 2) * step for f, _ in known],
                "error_x": {
                    "type": "data",
                    "symmetric": False,
                    "array": [_short((v.high or v.value) - v.value) for _, v in known],
                    "arrayminus": [_short(v.value - (v.low or v.value)) for _, v in known],
                    "thickness": 1.5,
                    "width": 0,
                },
                "marker": {"size": 7, "color": _COLOURS[n % len(_COLOURS)], "symbol": n % 8},
                "customdata": [safe(display_name(f.name)) for f, _ in known],
                "hovertemplate": "%{customdata}: %{x:.3f}<br>%{fullData.name}<extra></extra>",
            }
        )
    rows = {
        "tickvals": list(range(len(names))),
        "ticktext": [safe(display_name(name)) for name in names],
        "range": [len(names) - 0.4, -0.6],
    }
    layout = _layout("AUC, 95% interval", "", traces, y=rows)
    layout["height"] = max(240, 100 + len(names) * (14 + 5 * len(runs)))
    return {"data": traces, "layout": layout, "wide": True}


def roc(judged: Judged) -> Figure | None:
    """ROC curves; a filled diamond where the tool decides, a ring at the largest Youden's J of these very images."""
    traces: list[Figure] = []
    for n, f in enumerate(judged.findings):
        if f.roc is None or f.auc is None:
            continue
        x, y = thinned(f.roc.false_positive_P, f.roc.true_positive_P, _POINTS)
        traces.append(_curve(f, n, x, y, f"{f.auc.value:.3f}"))
        traces.append(_mark(f, n, f.roc.false_positive_P[f.roc.best], f.roc.true_positive_P[f.roc.best],
                            "circle-open", f"largest Youden's J {f.roc.youden:.3f}"))  # fmt: skip
        used = np.flatnonzero(f.roc.thresholds_P >= f.threshold)[-1] if f.threshold is not None else None
        if used is not None:
            traces.append(_mark(f, n, f.roc.false_positive_P[used], f.roc.true_positive_P[used], "diamond",
                                f"operating point {f.threshold:.3f}"))  # fmt: skip
    if not traces:
        return None
    return {"data": [_diagonal(), *traces], "layout": _unit("1 − specificity", "sensitivity", traces)}


def precision_recall(judged: Judged) -> Figure | None:
    """Precision-recall curves with the area under each."""
    traces = []
    for n, f in enumerate(judged.findings):
        if f.precision_recall is not None and f.auprc is not None:
            x, y = thinned(f.precision_recall.recall_P, f.precision_recall.precision_P, _POINTS)
            traces.append(_curve(f, n, x, y, f"{f.auprc.value:.3f}"))
    return {"data": traces, "layout": _unit("recall", "precision", traces)} if traces else None


def reliability(judged: Judged) -> Figure | None:
    """Observed share over stated probability in bins of equal mass, with each output's ECE."""
    traces = []
    for n, f in enumerate(judged.findings):
        if f.reliability is not None and f.ece is not None:
            curve = _curve(f, n, f.reliability.stated_B, f.reliability.observed_B, f"{f.ece:.3f}")
            traces.append({**curve, "mode": "lines+markers", "marker": {"size": 5}})
    if not traces:
        return None
    top = max(max(max(t["x"]), max(t["y"])) for t in traces) * 1.05
    layout = _unit("stated probability", "observed share", traces)
    layout["xaxis"]["range"] = layout["yaxis"]["range"] = [-0.02 * top, min(1.02, top)]
    return {"data": [_diagonal(), *traces], "layout": layout}


def _curve(finding: Finding, n: int, x: Any, y: Any, figure: str) -> Figure:
    name = safe(display_name(finding.name), 24)
    return {
        "type": "scatter",
        "mode": "lines",
        "name": f"{name} {figure}",
        "legendgroup": str(n),
        "x": [_short(value) for value in x],
        "y": [_short(value) for value in y],
        "line": {"color": _COLOURS[n % len(_COLOURS)], "dash": _dash(n), "width": 1.8},
        "hovertemplate": name + "<br>%{x:.3f}, %{y:.3f}<extra></extra>",
    }


def _mark(finding: Finding, n: int, x: float, y: float, symbol: str, what: str) -> Figure:
    return {
        "type": "scatter",
        "mode": "markers",
        "legendgroup": str(n),
        "showlegend": False,
        "x": [_short(x)],
        "y": [_short(y)],
        "marker": {"symbol": symbol, "size": 9, "color": _COLOURS[n % len(_COLOURS)], "line": {"width": 1.5}},
        "hovertemplate": f"{safe(display_name(finding.name))}<br>{what}"
        "<br>sensitivity %{y:.3f}, 1 − specificity %{x:.3f}<extra></extra>",
    }


def _diagonal() -> Figure:
    line = {"color": "#7d8894", "width": 1, "dash": "dot"}
    return {"type": "scatter", "mode": "lines", "x": [0, 1], "y": [0, 1], "line": line, "hoverinfo": "skip",
            "showlegend": False}  # fmt: skip


def _unit(x_title: str, y_title: str, traces: Sequence[Figure]) -> Figure:
    unit = {"range": [-0.02, 1.02]}
    return _layout(x_title, y_title, traces, x=dict(unit), y=dict(unit))


def _layout(
    x_title: str, y_title: str, traces: Sequence[Figure], x: Figure | None = None, y: Figure | None = None
) -> Figure:
    shown = [trace for trace in traces if trace.get("showlegend", True)]
    return {
        "height": max(380, 90 + 20 * len(shown)),
        "margin": {"l": 8, "r": 8, "t": 12, "b": 8},
        "xaxis": {"title": {"text": x_title}, "automargin": True, **(x or {})},
        "yaxis": {"title": {"text": y_title}, "automargin": True, **(y or {})},
        "legend": {"x": 1.02, "y": 1, "yanchor": "top", "font": {"size": 12}, "tracegroupgap": 0},
        "showlegend": True,
        "hovermode": "closest",
    }
