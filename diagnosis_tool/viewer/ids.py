"""The ids of the viewer's components that callbacks meet, each written once.

The scripts in static/js find what is theirs alone by id, too: film, prior-film, review and what is in them.
"""

from typing import Any, Final

from dash import ALL

LOCATION: Final = "location"
TICK: Final = "tick"
CONTENT: Final = "content"

READING: Final = "reading"
"""Store: what the browser needs to show any output of this image (facts.ReadingFacts)."""
SELECTED: Final = "selected"
"""Store: the name of the output whose heatmap is shown."""
WAITING: Final = "waiting"
"""Store: which image without a prediction is looked at."""
ATTENDED: Final = "attended"
"""Store: written when the queue was told of it, read by nobody."""

OPACITY: Final = "opacity"
STAGE: Final = "stage"
ORDER: Final = "order"
"""Store: how the findings are sorted."""
CHART: Final = "chart"
TREND: Final = "trend"
SAVE_HEATMAP: Final = "save-heatmap"
SAVE_CHART: Final = "save-chart"
SAVED: Final = "saved"
"""Store: written by the chart's download, read by nobody."""
RETRY: Final = "retry"
RETRY_WORDS: Final = "retry-words"

ANY_ROW: Final[dict[str, Any]] = {"type": "row", "finding": ALL}
"""All rows of the findings."""


def row(finding: str) -> dict[str, str]:
    """The row of this finding."""
    return {"type": "row", "finding": finding}


def choice(name: str, value: Any) -> dict[str, Any]:
    """The button that sets the store `name` to this value; ALL for every such button."""
    return {"type": f"choose-{name}", "value": value}
