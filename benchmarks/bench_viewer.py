"""Claim: the viewer shows an image that is already read in under a second, film, chart and review."""

import statistics
import tempfile
import time
from pathlib import Path
from typing import Final

from playwright.sync_api import Page

from benchmarks.record import record
from benchmarks.served import distinct_films
from testing.browser import chromium, signed_in
from testing.serving import serve

_IMAGES: Final = 8
_ALL_THERE: Final = """() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const seen = (selector) => all(selector).filter((e) => e.getBoundingClientRect().height > 0);
  const numbers = seen(".finding-row .row-number").filter((e) => /^\\d\\.\\d\\d$/.test(e.textContent));
  const pictures = seen(".top-maps .map img").filter((e) => e.complete && e.naturalWidth > 0);
  return seen(".finding-row .row-bar .value").length === 15 && numbers.length === 15 && pictures.length === 8;
}"""


def run() -> None:
    """The released default bundle and 1024-px films; each image is opened by its address, then again by the key j."""
    with (
        chromium() as browser,
        tempfile.TemporaryDirectory() as scratch,
        serve(Path(scratch) / "data", "default") as server,
    ):
        films, what = distinct_films(_IMAGES)
        study = server.upload(films, show=False)
        server.finished(study)
        uids = server.image_uids(study)
        with signed_in(browser, server) as session:
            page = session.new_page()
            page.goto(f"/viewer/?instance={uids[0]}")  # the scripts come from the browser's cache from now on
            _wait(page, uids[0])
            opened_s = [_opened_s(page, uid) for uid in uids]
        with signed_in(browser, server) as session:
            page = session.new_page()
            page.goto(f"/viewer/?instance={uids[0]}")
            _wait(page, uids[0])
            next_s = [_next_s(page, uid) for uid in uids[1:]]
    for name, seconds, how in (
        ("viewer_open_s", opened_s, "by its address, scripts in the browser's cache"),
        ("viewer_next_s", next_s, "by the key j, films not seen before"),
    ):
        middle = f"median {statistics.median(seconds):.2f} s; {what}, default bundle, Chromium on the same cores"
        record(name, max(seconds), "s", f"slowest of {len(seconds)} images, {how}; {middle}")


def _opened_s(page: Page, uid: str) -> float:
    page.goto("about:blank")
    start = time.perf_counter()
    page.goto(f"/viewer/?instance={uid}", wait_until="commit")
    _wait(page, uid)
    return time.perf_counter() - start


def _next_s(page: Page, uid: str) -> float:
    page.wait_for_load_state("networkidle")  # a reader looks at an image for a while, and the next is fetched meanwhile
    start = time.perf_counter()
    page.keyboard.press("j")
    _wait(page, uid)
    return time.perf_counter() - start


def _wait(page: Page, uid: str) -> None:
    """Until the reader can work: film at full size, a bar a finding, the top four's pictures, and keys that do."""
    page.wait_for_selector(f'#film[data-uid="{uid}"][data-state="shown"]')
    page.wait_for_function(_ALL_THERE)
    second = page.locator(".top-maps .map").nth(1).get_attribute("data-finding")
    page.keyboard.press("2")
    page.wait_for_selector(f'#film[data-uid="{uid}"][data-overlay="{second}"]')
