"""The ids of the viewer's components that callbacks meet, each written once.

The scripts in static/js find what is theirs alone by id, too: film, prior-film, review and what is in them.
"""

from typing import Final

LOCATION: Final = "location"
TICK: Final = "tick"
CONTENT: Final = "content"

FACTS: Final = "facts"
"""Store: what the browser needs to show any output of this image (facts.ViewerFacts)."""
SELECTED: Final = "selected"
"""Store: the name of the output whose heatmap is shown."""
SHOWN: Final = "shown"
"""Store: written by nobody; the callback that shows an image must have an output."""
WAITING: Final = "waiting"
"""Store: which image without a prediction is looked at."""
RAISED: Final = "raised"
"""Store: written by nobody, as SHOWN."""

OPACITY: Final = "opacity"
VIEWPORT: Final = "viewport"
TREND: Final = "trend"
RETRY: Final = "retry"
RETRY_WORDS: Final = "retry-words"
