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
OPACITY: Final = "opacity"
MODE: Final = "mode"
"""Store: side by side, or the overlay alone."""
ORDER: Final = "order"
"""Store: how the findings are sorted."""
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


def choice(name: str, value: Any) -> dict[str, Any]:
    """The button that sets the store `name` to this value; ALL for every such button."""
    return {"type": f"choose-{name}", "value": value}
