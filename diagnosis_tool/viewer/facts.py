"""What the browser needs to switch between an image's heatmaps without asking the server. Pure."""

from html import escape
from pathlib import PurePath
from typing import Any, Final

from diagnosis_tool.cxr.heatmap import colour_table
from diagnosis_tool.domain import wording
from diagnosis_tool.domain.studies import Instance, Prediction
from diagnosis_tool.viewer import links
from diagnosis_tool.viewer.figures import Order, findings_figure

ReadingFacts = dict[str, Any]
"""JSON: {outputs: {name: {caption, below, heatmap, blend}}, figures: {order: figure}, saveAs, title}."""

_LEGEND_STOPS: Final = 16
_TITLE_LETTERS: Final = 90


def reading_facts(instance: Instance, prediction: Prediction) -> ReadingFacts:
    """All outputs with their words and addresses, and the chart in each order."""
    return {
        "outputs": {
            output.name: {
                "caption": wording.map_caption(output),
                "below": not output.is_above_threshold,
                "heatmap": links.heatmap(instance.uid, output.name),
                "blend": links.heatmap_blend(instance.uid, output.name),
            }
            for output in prediction.outputs
        },
        "figures": {order.value: findings_figure(prediction, order) for order in Order},
        "saveAs": f"{PurePath(instance.file_name).stem}-chart",
        "title": _chart_title(instance.file_name, prediction),
    }


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


def model_facts(prediction: Prediction) -> tuple[str, ...]:
    """Which model read this image, how and when."""
    identity = prediction.identity
    return (
        identity.bundle,
        f"{identity.engine} {identity.precision}",
        f"bundle {identity.bundle_sha256[:12]}",
        f"read {prediction.created_at.astimezone():%Y-%m-%d %H:%M} in {prediction.seconds:.2f} s",
    )


def legend_gradient() -> str:
    """The heatmaps' colours from low to high as a CSS gradient, over black as on a film."""
    table = colour_table()
    stops = [table[round(i * 255 / (_LEGEND_STOPS - 1))] for i in range(_LEGEND_STOPS)]
    return f"linear-gradient(to right, {', '.join(f'rgb({r} {g} {b})' for r, g, b, _ in stops)})"
