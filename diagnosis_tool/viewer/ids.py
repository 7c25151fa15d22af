"""The ids of the viewer's components, each written once."""

from typing import Any, Final

from dash import ALL

LOCATION: Final = "location"
TICK: Final = "tick"
CONTENT: Final = "content"

READING: Final = "reading"
"""Store: what the browser needs to show any output of this image (facts.ReadingFacts)."""
SELECTED: Final = "selected"
"""Store: the name of the output whose heatmap is shown."""

STAGE: Final = "stage"
OVERLAY: Final = "overlay"
CAPTION: Final = "caption"
MODE: Final = "mode"
OPACITY: Final = "opacity"
ORDER: Final = "order"
CHART: Final = "chart"
SAVE_HEATMAP: Final = "save-heatmap"
SAVE_CHART: Final = "save-chart"
SAVED: Final = "saved"
"""Store: written by the chart's download, read by nobody."""

ANY_MAP: Final[dict[str, Any]] = {"type": "map", "finding": ALL}
"""All buttons of the top four."""


def map_button(finding: str) -> dict[str, str]:
    """The button with this finding's heatmap."""
    return {"type": "map", "finding": finding}
