"""The page: one HTML file that needs nothing else, with plotly.js and all figures inside."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from diagnosis_tool.cxr.calibration import Activation
from diagnosis_tool.cxr.findings import display_name
from training.report import charts, view
from training.report.curves import Confusion
from training.report.judged import Finding, Judged, Rule
from training.report.runs import FITTED_HERE, Estimate

_HERE: Final = Path(__file__).parent
NA: Final = "n/a"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A figure as the template places it. json: safe inside a script element."""

    id: str
    title: str
    remark: str
    height: int
    wide: bool
    json: Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """The section of one run."""

    id: str
    judged: Judged
    charts: tuple[Chart, ...]
    matrix: list[list[int]] | None
    point_note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """The section of one data set. rule: how its answers were made; binary: whether it has one output."""

    id: str
    dataset: str
    names: tuple[str, ...]
    binary: bool
    rule: str
    runs: tuple[Detail, ...]
    details: tuple[Detail, ...]
    auc_rows: tuple[view.Row, ...]
    published: tuple[view.Beside, ...]
    notes: tuple[str, ...]
    charts: tuple[Chart, ...]


def page(runs: Sequence[Judged], *, title: str, commit: str, beside: Sequence[str] = ()) -> str:
    """The whole page. commit: of the code that makes it; beside: names of the files with its figures."""
    sections = [_section(n, group) for n, group in enumerate(view.groups(runs), start=1)]
    template = _environment().get_template("page.html.j2")
    return template.render(
        title=title,
        commit=commit,
        beside=beside,
        runs=len(runs),
        sections=sections,
        css=_own("page.css"),
        js=_own("page.js"),
        plotly=Markup(get_plotlyjs()),  # noqa: S704  plotly's own file
    )


def _own(name: str) -> Markup:
    return Markup((_HERE / name).read_text(encoding="utf-8"))  # noqa: S704  our own file


def _environment() -> Environment:
    environment = Environment(loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined)
    environment.filters.update(
        share=share, interval=interval, spread=spread, count=count, rate=rate, shown=display_name, youden=youden
    )
    return environment


def share(value: float | None) -> str:
    """Three digits, or n/a."""
    return NA if value is None else f"{value:.3f}"


def interval(value: Estimate) -> str:
    """'0.712–0.790', or nothing where no interval was made."""
    return "" if value.low is None or value.high is None else f"{value.low:.3f}–{value.high:.3f}"


def spread(value: tuple[float, float] | None) -> str:
    """'0.754 ± 0.012' over folds, or n/a."""
    return NA if value is None else f"{value[0]:.3f} ± {value[1]:.3f}"


def count(value: int | None) -> str:
    """A whole number with commas, or n/a."""
    return NA if value is None else f"{value:,}"


def rate(value: float | None) -> str:
    """Images a second, or n/a."""
    return NA if value is None else f"{value:,.1f}"


def youden(finding: Finding, counts: Confusion | None, matrix: object) -> float | None:
    """J where the tool decides; for exclusive classes, which have no such point, the largest of the class's curve."""
    if matrix is not None:
        return finding.roc.youden if finding.roc else None
    return counts.youden if counts else None


def _section(number: int, group: view.Group) -> Section:
    details = tuple(_detail(f"run-{number}-{n}", judged) for n, judged in enumerate(group.runs, start=1))
    over_epochs = "runs with a learning curve; bands: ± one standard deviation over folds"
    placed = [
        ("AUC of each finding", "", charts.auc_intervals(group.runs)),
        ("AUC per epoch", over_epochs, charts.auc_per_epoch(group.runs)),
        ("Loss per epoch", "training dotted, validation solid; mean over folds", charts.loss_per_epoch(group.runs)),
    ]
    exclusive = any(judged.activation is Activation.SOFTMAX for judged in group.runs)
    return Section(
        id=f"data-{number}",
        dataset=group.dataset,
        names=group.names,
        binary=len(group.names) == 1,
        rule=Rule.ARGMAX.value if exclusive else Rule.OPERATING_POINT.value,
        runs=details,
        details=details,
        auc_rows=view.auc_rows(group),
        published=view.beside(group),
        notes=(*view.on_a_subset(group), *view.what_differs(group)),
        charts=_charts(f"data-{number}", placed),
    )


def _detail(identifier: str, judged: Judged) -> Detail:
    marks = "◆ operating point, ○ largest Youden’s J of these images"
    placed = [
        ("ROC, AUC", marks, charts.roc(judged)),
        ("Precision and recall, AUPRC", "", charts.precision_recall(judged)),
        ("Reliability, ECE", "15 bins of equal mass", charts.reliability(judged)),
        ("AUC per epoch and finding", "", charts.finding_auc_per_epoch(judged)),
    ]
    return Detail(
        id=identifier,
        judged=judged,
        charts=_charts(identifier, placed),
        matrix=None if judged.matrix_KK is None else judged.matrix_KK.tolist(),
        point_note=_point_note(judged),
    )


def _point_note(judged: Judged) -> str:
    sources = sorted({f.threshold_from for f in judged.findings if f.threshold is not None})
    if not sources:
        return ""
    if judged.activation is Activation.SOFTMAX:
        where = ", ".join(sources)
        return (
            "Sensitivity, specificity, precision, F1 and accuracy are of the most probable class; operating point and "
            f"Youden’s J are of each class against the others, chosen on {where}."
        )
    if sources == [FITTED_HERE]:
        return "Operating points (largest Youden’s J) were chosen on these very images: what they are worth flatters."
    return f"Operating points (largest Youden’s J) were chosen on {', '.join(sources)}."


def _charts(prefix: str, placed: Sequence[tuple[str, str, charts.Figure | None]]) -> tuple[Chart, ...]:
    return tuple(
        Chart(
            id=f"{prefix}-chart-{n}",
            title=title,
            remark=remark,
            height=figure["layout"]["height"],
            wide="wide" in figure,
            json=script_json({"data": figure["data"], "layout": figure["layout"]}),
        )
        for n, (title, remark, figure) in enumerate(placed, start=1)
        if figure is not None
    )


def script_json(value: Any) -> Markup:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))  # noqa: S704
