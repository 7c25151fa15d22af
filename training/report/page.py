"""The page: one HTML file that needs nothing else, with all metrics and charts inside."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from diagnosis_tool.cxr.bundle import Interval
from diagnosis_tool.cxr.findings import display_name
from training.report import charts, view
from training.report.calls import FITTED_HERE, Rule, best_confusion, best_constant_accuracy, class_matrix
from training.report.runs import Run, Spread
from training.report.svg import Chart, draw

_HERE: Final = Path(__file__).parent
NA: Final = "n/a"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A chart as the template places it. wide: in a row of its own."""

    title: str
    remark: str
    wide: bool
    svg: Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """The section of one run. best_j: of exclusive classes, which no operating point calls, the largest Youden's J."""

    id: str
    run: Run
    charts: tuple[Drawing, ...]
    matrix: list[list[int]] | None
    best_j: dict[str, float | None]
    constant: float | None
    point_note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """The section of one data set. rule: how its answers were made."""

    id: str
    group: view.Comparable
    rule: str
    details: tuple[Detail, ...]
    auc_rows: tuple[view.AucRow, ...]
    published: tuple[view.Beside, ...]
    notes: tuple[str, ...]
    charts: tuple[Drawing, ...]


def page(runs: Sequence[Run], *, title: str, commit: str, beside: Sequence[str] = ()) -> str:
    """The whole page. commit: of the code that makes it; beside: names of the files with its metrics."""
    sections = [_section(n, group) for n, group in enumerate(view.comparable(runs), start=1)]
    css = Markup((_HERE / "page.css").read_text(encoding="utf-8"))  # noqa: S704  our own file
    template = _environment().get_template("page.html.j2")
    return template.render(title=title, commit=commit, beside=beside, runs=len(runs), sections=sections, css=css)


def _environment() -> Environment:
    environment = Environment(loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined)
    environment.filters.update(
        share=share, interval=interval, spread=spread, count=count, rate=rate, shown=display_name
    )
    return environment


def share(value: float | None) -> str:
    """Three digits, or n/a."""
    return NA if value is None else f"{value:.3f}"


def interval(value: Interval) -> str:
    """'0.712–0.790', or nothing where no interval was made."""
    return "" if math.isnan(value.low) else f"{value.low:.3f}–{value.high:.3f}"


def spread(value: Spread | None) -> str:
    """'0.754 ± 0.012' over folds, or n/a."""
    return NA if value is None else f"{value[0]:.3f} ± {value[1]:.3f}"


def count(value: int | None) -> str:
    """A whole number with commas, or n/a."""
    return NA if value is None else f"{value:,}"


def rate(value: float | None) -> str:
    """Images a second, or n/a."""
    return NA if value is None else f"{value:,.1f}"


def _section(number: int, group: view.Comparable) -> Section:
    over_epochs = "runs with a learning curve; bands: ± one standard deviation over folds"
    placed = [
        ("AUC of each finding", "", charts.auc_intervals(group.runs)),
        ("AUC per epoch", over_epochs, charts.auc_per_epoch(group.runs)),
        ("Loss per epoch", "training dotted, validation solid; mean over folds", charts.loss_per_epoch(group.runs)),
    ]
    return Section(
        id=f"data-{number}",
        group=group,
        rule=(Rule.ARGMAX if any(run.exclusive for run in group.runs) else Rule.OPERATING_POINT).value,
        details=tuple(_detail(f"run-{number}-{n}", run) for n, run in enumerate(group.runs, start=1)),
        auc_rows=view.auc_rows(group),
        published=view.beside(group),
        notes=(*view.on_a_subset(group), *view.what_differs(group)),
        charts=_drawn(placed),
    )


def _detail(identifier: str, run: Run) -> Detail:
    marks = "◆ operating point, ○ largest Youden’s J of these images"
    placed = [
        ("ROC, AUC", marks, charts.roc(run)),
        ("Precision and recall, AUPRC", "", charts.precision_recall(run)),
        ("Reliability, ECE", "15 bins of equal mass", charts.reliability(run)),
        ("AUC per epoch and finding", "", charts.finding_auc_per_epoch(run)),
    ]
    predictions = run.predictions
    matrix = class_matrix(predictions) if predictions else None
    return Detail(
        id=identifier,
        run=run,
        charts=_drawn(placed),
        matrix=None if matrix is None else matrix.tolist(),
        best_j={
            name: best_confusion(predictions.scores_NK[:, k], predictions.labels_NK[:, k]).youden
            for k, name in enumerate(run.names)
            if predictions and run.exclusive and run.evaluation.auc[name]
        },
        constant=best_constant_accuracy(predictions) if predictions else None,
        point_note=_point_note(run),
    )


def _point_note(run: Run) -> str:
    if run.predictions is None or all(run.threshold(name) is None for name in run.names):
        return ""
    source = run.predictions.thresholds_from
    if run.exclusive:
        return (
            "Sensitivity, specificity, precision, F1 and accuracy are of the most probable class; operating point and "
            f"Youden’s J are of each class against the others, chosen on {source}."
        )
    if source == FITTED_HERE:
        return "Operating points (largest Youden’s J) were chosen on these very images: what they are worth flatters."
    return f"Operating points (largest Youden’s J) were chosen on {source}."


def _drawn(placed: Sequence[tuple[str, str, Chart | None]]) -> tuple[Drawing, ...]:
    return tuple(
        Drawing(title=title, remark=remark, wide=bool(chart.rows), svg=draw(chart))
        for title, remark, chart in placed
        if chart
    )
