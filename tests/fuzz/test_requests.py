"""JSON from browsers, a review's and the viewer's callback's: answered or refused; and every page opens afterwards."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import pytest

from diagnosis_tool.app import create_app
from diagnosis_tool.settings import Settings
from testing.stores import open_store
from tests import predicting
from tests.conftest import phantom_png
from tests.fakes.classifier import FakeClassifier
from tests.fuzz.mutations import mutated_json
from tests.fuzz.running import BOTH, fuzz
from tests.unit.web.conftest import SignedInBrowser

CALLBACK: Final = "/viewer/_dash-update-component"
REVIEW: Final[dict[str, Any]] = {
    "revision": 0,
    "verdicts": {"Mass": "disagree", "Pneumothorax": "agree"},
    "added": ["Fracture"],
    "note": "rib 5",
    "boxes": [{"finding": "Fracture", "x": 10.5, "y": 0, "width": 20.0, "height": 30.0}],
}


class Reader:
    """Somebody who is signed in, and an image that was read."""

    def __init__(self, folder: Path) -> None:
        self.context = open_store(folder)
        app = create_app(Settings.from_env({"DATA_DIR": str(folder), "MODELS_DIR": str(folder)}))
        self.browser = SignedInBrowser(app)
        answer = self.browser.post("/studies", data={"files": [(BytesIO(phantom_png(1)), "a.png")]})
        self.study = answer.headers["Location"]
        predicting.predict_all(self.context, FakeClassifier())
        self.image = f"/instances/{self.json(f'{self.study}/status.json')['instances'][0]['uid']}"

    def json(self, address: str) -> Any:
        return self.browser.get(address).json

    def send(self, address: str, body: bytes) -> int:
        with self.browser.post(address, data=body, content_type="application/json") as answer:
            assert answer.status_code < 500, answer.text[:500]
            assert answer.data
            return answer.status_code

    def promise_of(self, address: str) -> Callable[[bytes], None]:
        """What was stored opens, everywhere that it is shown; the next review is based on it."""

        def promise(body: bytes) -> None:
            newest = self.json(f"{self.image}/review.json")["revision"]
            if self.send(address, body.replace(b'"revision": 0', b'"revision": %d' % newest)) == 200:
                for page in (f"{self.image}/review.json", f"{self.image}/report.pdf", "/export/reviews.csv", "/"):
                    with self.browser.get(page) as answer:
                        assert answer.status_code == 200, page

        return promise

    def callback(self) -> dict[str, Any]:
        """A sound request of the viewer's."""
        wanted = next(c for c in self.json("/viewer/_dash-dependencies") if not c["clientside_function"])
        places = [place.rsplit(".", 1) for place in wanted["output"].strip(".").split("...")]
        return {
            "output": wanted["output"],
            "outputs": [{"id": name, "property": of} for name, of in places],
            "inputs": [{**place, "value": f"?instance={self.image.rsplit('/', 1)[-1]}"} for place in wanted["inputs"]],
            "state": wanted["state"],
            "changedPropIds": ["location.search"],
        }


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    return Reader(tmp_path_factory.mktemp("reader"))


@BOTH
def test_any_review_json_is_stored_or_refused(box: bool, reader: Reader) -> None:
    fuzz(mutated_json(REVIEW), reader.promise_of(f"{reader.image}/review"), box=box, smoke=12)


@BOTH
def test_any_callback_of_the_viewer_is_answered_or_refused(box: bool, reader: Reader) -> None:
    fuzz(mutated_json(reader.callback()), reader.promise_of(CALLBACK), box=box, smoke=40)
