"""What the pages say when the server does not answer as it should: words, no empty place, no endless asking."""

import pytest
from playwright.sync_api import Page, Route, expect

from testing.serving import Server
from tests.conftest import phantom_png

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def study(server: Server) -> str:
    return server.predicted([("phantom.png", phantom_png(4, 256))])[0]


@pytest.fixture
def page(unwatched_page: Page) -> Page:
    """A page that may meet faults."""
    return unwatched_page


def test_a_chart_that_cannot_be_fetched_is_told(page: Page, study: str) -> None:
    page.route("**/viewer/figures/*", lambda route: route.fulfill(status=500, body="{}"))
    page.goto(f"/studies/{study}")
    expect(page.locator(".chart")).to_have_text("The chart could not be drawn. Reload the page.")


def test_a_study_that_is_gone_is_told_and_asked_for_no_more(page: Page, study: str) -> None:
    asked: list[str] = []

    def gone(route: object) -> None:
        asked.append("status")
        route.fulfill(status=404, body="{}")  # type: ignore[attr-defined]

    page.route("**/status.json", gone)
    # the page as it stands while an image is read: its script asks
    page.route(
        f"**/studies/{study}",
        lambda route: route.fulfill(response=(got := route.fetch()), body=got.text().replace('value="1"', 'value="0"')),
    )
    page.goto(f"/studies/{study}")
    expect(page.locator("#batch-words")).to_have_text("This study is no longer stored. Go back to the worklist.")
    page.wait_for_timeout(2500)  # two rounds of asking
    assert len(asked) == 1


def test_a_card_ahead_of_the_state_leaves_no_reading_behind(page: Page, study: str) -> None:
    """The image is read between the two requests of one round of asking: the strip must not stay at 'reading'."""
    rounds: list[str] = []

    def late(route: Route) -> None:
        rounds.append("status")
        status = (answer := route.fetch()).json()
        if len(rounds) == 1:
            status["finished"] = 0
            status["instances"][0].update(state="reading", word="reading", shape="◐")
        route.fulfill(response=answer, json=status)

    page.route("**/status.json", late)
    page.route(
        f"**/studies/{study}",
        lambda route: route.fulfill(
            response=(got := route.fetch()),
            body=got.text().replace('value="1"', 'value="0"').replace('data-state="done"', 'data-state="queued"'),
        ),
    )
    page.goto(f"/studies/{study}")
    expect(page.locator("#batch")).to_have_js_property("value", 1)
    assert len(rounds) == 2
    expect(page.locator(".strip-item .state")).to_have_text("done")


@pytest.mark.parametrize(("sent", "words"), [(5, "Nothing was stored."), (10, "All files had been sent: reload")])
def test_cancelling_says_no_more_than_it_knows(page: Page, sent: int, words: str) -> None:
    page.goto("/")
    page.evaluate(
        """(sent) => { XMLHttpRequest.prototype.send = function () {
          this.upload.onprogress({ lengthComputable: true, loaded: sent, total: 10 });
        } }""",
        sent,
    )
    page.set_input_files("#files", {"name": "a.png", "mimeType": "image/png", "buffer": b"x"})
    page.click("#send")
    page.click("#tray-close")
    expect(page.locator("#tray-words")).to_contain_text(words)
