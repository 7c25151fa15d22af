"""Addresses that the viewer points to. Made as text: viewer and web do not import each other."""

from typing import Final
from urllib.parse import parse_qs, quote

import plotly

PREFIX: Final = "/viewer/"
PLOTLY: Final = f"{PREFIX}plotly.min.js?v={plotly.__version__}"
"""Plotly's own script; another version has another address, so browsers keep it."""
WORKLIST: Final = "/"


def viewer(instance_uid: str) -> str:
    """The viewer on this image."""
    return f"{PREFIX}?instance={quote(instance_uid)}"


def chart(instance_uid: str) -> str:
    """The image's whole chart as JSON."""
    return f"{PREFIX}figures/{quote(instance_uid)}.json"


def study(study_uid: str) -> str:
    """The study page."""
    return f"/studies/{quote(study_uid)}"


def thumbnail(instance_uid: str) -> str:
    """The small film."""
    return f"/instances/{quote(instance_uid)}/thumbnail.jpg"


def original(instance_uid: str) -> str:
    """The file as it was sent."""
    return f"/instances/{quote(instance_uid)}/original"


def report(instance_uid: str) -> str:
    """The page to be printed or sent on."""
    return f"/instances/{quote(instance_uid)}/report.pdf"


def model(bundle: str) -> str:
    """What the bundle of this name and version is worth."""
    return f"/models/{quote(bundle)}"


def pixels(instance_uid: str) -> str:
    """The film's grey values."""
    return f"/instances/{quote(instance_uid)}/pixels"


def heatmap(instance_uid: str, finding: str) -> str:
    """The transparent map to lie over the film."""
    return f"/instances/{quote(instance_uid)}/heatmaps/{quote(finding, safe='')}.png"


def heatmap_blend(instance_uid: str, finding: str) -> str:
    """Film and map in one picture, to be saved."""
    return f"{heatmap(instance_uid, finding)}?blend=1"


def parse_search(search: str | None) -> tuple[str | None, str | None]:
    """(instance uid, finding) of the viewer's query string; None for what it does not name."""
    values = parse_qs((search or "").removeprefix("?"))
    return values.get("instance", [None])[0], values.get("finding", [None])[0]
