"""What another reader, or a script, sees and does meanwhile."""

import json
import urllib.request
from typing import Any

from testing.serving import Server


def review_of(server: Server, uid: str) -> dict[str, Any]:
    review: dict[str, Any] = server.get_json(f"/instances/{uid}/review.json")
    return review


def save_as_another(server: Server, uid: str, note: str) -> None:
    """Saves a review meanwhile, as a script does."""
    body = {"revision": review_of(server, uid)["revision"], "verdicts": {}, "added": [], "note": note, "boxes": []}
    request = server.request(
        f"/instances/{uid}/review", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    urllib.request.urlopen(request, timeout=60).close()
