"""What the browser needs to switch between an image's heatmaps without asking the server. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import PurePath
from types import MappingProxyType
from typing import Any, Final

from diagnosis_tool.cxr.bundle import Interval
from diagnosis_tool.cxr.heatmap import colour_table
from diagnosis_tool.cxr.types import Prediction
from diagnosis_tool.domain import wording
from diagnosis_tool.domain.bars import Order, Screening, bars, places
from diagnosis_tool.domain.reviews import vocabulary
from diagnosis_tool.domain.studies import Instance, Study
from diagnosis_tool.viewer import links
from diagnosis_tool.viewer.charts import EMPTY_CHART
from diagnosis_tool.viewer.trend import LEAST_POINTS, points, trend_chart

ViewerFacts = dict[str, Any]
"""JSON: uid, outputs {name: {caption, below, heatmap, blend}}, names {finding: words}, places {order: {name: part of
the height}}, top [name], near [uid], priors [{uid, title, outputs}], trends {name: chart}, noTrend, chart, plotly,
saveAs, title."""

_LEGEND_STOPS: Final = 16
_TITLE_LETTERS: Final = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an image stands: its study, and the first images of the studies uploaded before and after it."""

    study: Study
    older: str | None
    newer: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """All that the viewer shows of an image that was read.

    patient: all images of the patient, oldest first, this one among them. auc: by output, what the model is worth on
    it, where its bundle says so. screening: by output, the threshold that keeps nine of ten positives.
    """

    place: Place
    instance: Instance
    prediction: Prediction
    patient: tuple[Instance, ...]
    auc: Mapping[str, Interval] = field(default_factory=lambda: MappingProxyType({}))
    screening: Screening = field(default_factory=lambda: MappingProxyType({}))

    @property
    def priors(self) -> tuple[Instance, ...]:
        """The patient's earlier images that were read, the latest first."""
        own = self.instance.dated
        earlier = [i for i in self.patient if i.prediction and own and i.dated and i.dated < own]
        return tuple(reversed(earlier))


def viewer_facts(shown: Shown) -> ViewerFacts:
    """All outputs with their words, places and addresses, and the priors."""
    instance, prediction = shown.instance, shown.prediction
    return {
        "uid": instance.uid,
        "outputs": _outputs(instance, prediction),
        "names": {name: wording.finding_name(name) for name in _names(prediction)},
        "places": {order.value: places(bars(prediction, order)) for order in Order},
        "top": list(prediction.top),
        "near": _near(shown.place.study, instance),
        "priors": [
            {"uid": prior.uid, "title": prior_title(prior, shown), "outputs": _outputs(prior, prior.prediction)}
            for prior in shown.priors
            if prior.prediction
        ],
        "trends": _trends(shown),
        "noTrend": EMPTY_CHART,
        "chart": links.chart(instance.uid),
        "plotly": links.PLOTLY,
        "saveAs": f"{PurePath(instance.file_name).stem}-chart",
        "title": _chart_title(instance.file_name, prediction),
    }


def _outputs(instance: Instance, prediction: Prediction) -> dict[str, dict[str, Any]]:
    return {
        output.name: {
            "caption": wording.map_caption(output),
            "below": not output.is_above_threshold,
            "heatmap": links.heatmap(instance.uid, output.name),
            "blend": links.heatmap_blend(instance.uid, output.name),
        }
        for output in prediction.outputs
    }


def _names(prediction: Prediction) -> list[str]:
    return [*(output.name for output in prediction.outputs), *vocabulary(prediction)]


def _near(study: Study, instance: Instance) -> list[str]:
    """The neighbours that were read: the browser fetches their films while nobody waits."""
    here = [i.uid for i in study.instances].index(instance.uid)
    around = (*study.instances[here + 1 : here + 2], *study.instances[max(0, here - 1) : here])
    return [i.uid for i in around if i.prediction]


def _trends(shown: Shown) -> dict[str, Any]:
    outputs = [output.name for output in shown.prediction.outputs]
    return {
        name: trend_chart(shown.patient, name, shown.instance.uid)
        for name in outputs
        if len(points(shown.patient, name)) >= LEAST_POINTS
    }


def day(image: Instance) -> str:
    """The day it was taken."""
    return f"{image.dated.astimezone():%Y-%m-%d}" if image.dated else ""


def prior_title(prior: Instance, shown: Shown) -> str:
    """When it was taken, how, and by which bundle it was read where that is another one."""
    view = prior.view_position or ""
    bundle = prior.prediction.identity.bundle if prior.prediction else ""
    other = bundle if bundle != shown.prediction.identity.bundle else ""
    return " · ".join(part for part in (day(prior), view, other) if part)


def _chart_title(file_name: str, prediction: Prediction) -> str:
    # Plotly reads <b> and the like in texts
    shown = file_name if len(file_name) <= _TITLE_LETTERS else f"{file_name[: _TITLE_LETTERS - 1]}…"
    return f"{escape(shown, quote=False)}<br>{prediction.identity.bundle} · {wording.research_use()}"


def first_selected(prediction: Prediction, wanted: str | None) -> str:
    """The output to show first: the one asked for if there is such, else the most probable finding."""
    names = [output.name for output in prediction.outputs]
    if wanted in names:
        return wanted
    return prediction.top[0] if prediction.top else names[0]


def model_facts(instance: Instance, prediction: Prediction) -> tuple[str, ...]:
    """Which model read this image, how and when."""
    identity, predicted_at = prediction.identity, instance.predicted_at
    return (
        identity.bundle,
        f"{identity.engine} {identity.precision}",
        f"bundle {identity.bundle_sha256[:12]}",
        f"read {predicted_at.astimezone():%Y-%m-%d %H:%M} in {instance.predict_s:.2f} s" if predicted_at else "",
    )


def legend_gradient() -> str:
    """The heatmaps' colours from low to high as a CSS gradient, over black as on a film."""
    table = colour_table()
    stops = [table[round(i * 255 / (_LEGEND_STOPS - 1))] for i in range(_LEGEND_STOPS)]
    return f"linear-gradient(to right, {', '.join(f'rgb({r} {g} {b})' for r, g, b, _ in stops)})"
