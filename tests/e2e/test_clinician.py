"""A clinician uploads films, sees bars, opens the viewer, moves the slider, looks at other findings."""

import json
import re
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Route, expect

from testing.browser import WIDTHS, layout_faults
from testing.serving import Server
from tests.conftest import phantom_png
from tests.e2e.viewing import open_image, requested

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def study(server: Server) -> str:
    """A study of two phantoms (square and tall) and a text file, already read."""
    tall = BytesIO()
    Image.open(BytesIO(phantom_png(5, 512))).resize((360, 640)).save(tall, "PNG")
    files = [("phantom.png", phantom_png(4, 512)), ("tall.png", tall.getvalue()), ("notes.txt", b"no film")]
    return server.predicted(files)[0]


def open_viewer(page: Page, server: Server, study: str) -> None:
    open_image(page, server.image_uids(study)[0])
    expect(page.locator(".row-bar .value")).to_have_count(15)


def test_from_upload_to_the_viewer(page: Page, server: Server, film_files: list[Path]) -> None:
    page.goto("/")
    page.set_input_files("#files", film_files)
    expect(page.locator("#tray-files li")).to_have_count(3)
    page.click("#send")
    page.wait_for_url("**/studies/*")
    expect(page.locator(".card[data-state=done]")).to_have_count(3)  # without reloading
    expect(page.locator("#batch-words")).to_have_text("All 3 finished: 3 read")
    expect(page.locator(".chart .js-plotly-plot, .chart.js-plotly-plot")).to_have_count(3)
    expect(page.locator(".chart").first.locator(".bars .point")).to_have_count(30)  # a bar and its row for 15 outputs
    expect(page.locator(".map img.overlay")).to_have_count(12)
    assert [Path(str(name)).name for name in page.locator(".card").evaluate_all("es => es.map(e => e.ariaLabel)")] == [
        file.name for file in film_files
    ]
    page.click(".card:nth-of-type(2) >> text=Open viewer")
    expect(page.locator(".moves")).to_contain_text("2 of 3")
    expect(page.locator(".row-bar .value")).to_have_count(15)


def test_dropped_files_are_sent_at_once(page: Page, server: Server) -> None:
    page.goto("/")
    bytes_js = json.dumps(list(phantom_png(8, 128)))
    transfer = page.evaluate_handle(
        f"""() => {{
          const transfer = new DataTransfer();
          for (const name of ["b.png", "a.png"]) transfer.items.add(new File([new Uint8Array({bytes_js})], name));
          return transfer;
        }}"""
    )
    page.dispatch_event("body", "dragover", {"dataTransfer": transfer})
    expect(page.locator("#drop-veil")).to_be_visible()
    page.dispatch_event("body", "drop", {"dataTransfer": transfer})
    page.wait_for_url("**/studies/*")
    assert page.locator(".card").evaluate_all("es => es.map(e => e.ariaLabel)") == ["b.png", "a.png"]
    expect(page.locator(".card[data-state=done]")).to_have_count(2)


def test_too_many_files_are_said_before_they_are_sent(page: Page) -> None:
    page.goto("/")
    files = [{"name": f"{k}.png", "mimeType": "image/png", "buffer": b"x"} for k in range(201)]
    page.set_input_files("#files", files)
    expect(page.locator("#tray-words")).to_contain_text("At most 200 files")
    page.click("#send")
    expect(page.locator("#tray-words")).to_contain_text("At most 200 files")


def ink(page: Page) -> str:
    """What the film's canvas shows."""
    return str(page.evaluate("document.getElementById('film').toDataURL()"))


def test_slider_and_findings_change_the_overlay_in_the_browser(page: Page, server: Server, study: str) -> None:
    open_viewer(page, server, study)
    film, caption = page.locator("#film"), page.locator("#caption")
    asked = requested(page)

    before = ink(page)
    page.locator("#opacity").fill("0.1")
    expect(page.locator("#viewport")).to_have_attribute("style", "--overlay-opacity: 0.1;")
    assert ink(page) != before

    row = page.locator(".finding-row[data-finding=Hernia]")
    box = row.bounding_box()
    assert box is not None
    before = ink(page)
    page.mouse.move(box["x"] + 200, box["y"] + box["height"] / 2)  # over the bar: a preview
    expect(film).to_have_attribute("data-overlay", "Hernia")
    expect(caption).to_contain_text("Hernia")
    assert ink(page) != before
    expect(row).to_have_attribute("aria-pressed", "false")
    page.mouse.move(400, 300)
    expect(film).not_to_have_attribute("data-overlay", "Hernia")
    row.click()
    page.mouse.move(400, 300)
    expect(film).to_have_attribute("data-overlay", "Hernia")
    expect(row).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#save-heatmap")).to_have_attribute("href", re.compile(r"/heatmaps/Hernia\.png\?blend=1$"))

    second = page.locator(".top-maps .map").nth(1)
    second.click()
    expect(second).to_have_attribute("aria-pressed", "true")
    expect(caption).to_contain_text(str(second.locator(".map-name span").first.text_content()))
    assert not [url for url in asked if "_dash-update-component" in url]  # nothing asked the server


def test_the_order_can_be_switched_and_stays(page: Page, server: Server, study: str) -> None:
    open_viewer(page, server, study)

    def from_the_top() -> list[str]:
        rows = page.locator(".finding-row").evaluate_all(
            "rows => rows.sort((a, b) => a.offsetTop - b.offsetTop).map(row => row.dataset.finding)"
        )
        return [str(row) for row in rows]

    anatomical = from_the_top()
    assert anatomical[:3] == ["No Finding", "Cardiomegaly", "Hernia"]
    page.click("text=By probability")
    expect(page.get_by_role("button", name="By probability")).to_have_attribute("aria-pressed", "true")
    page.wait_for_function(
        "old => [...document.querySelectorAll('.finding-row')].sort((a, b) => a.offsetTop - b.offsetTop)"
        "[1].dataset.finding !== old",
        arg=anatomical[1],
    )
    probabilities = {
        i["finding"]: i["probability"] for i in server.get_json(f"/studies/{study}.json")["instances"][0]["findings"]
    }
    shown = [probabilities[name] for name in from_the_top()[1:]]
    assert shown == sorted(shown, reverse=True)
    page.click("#go-next")
    expect(page.locator(".moves")).to_contain_text("2 of 3")
    expect(page.get_by_role("button", name="By probability")).to_have_attribute("aria-pressed", "true")


def test_bars_are_as_long_as_their_probabilities(page: Page, server: Server, study: str) -> None:
    open_viewer(page, server, study)
    lengths = page.locator(".finding-row").evaluate_all(
        """rows => rows.map((row) => {
          const width = (selector) => row.querySelector(selector).getBoundingClientRect().width;
          const number = row.querySelector(".row-number").textContent;
          return [row.dataset.finding, width(".value") / width(".row-bar"), number];
        })"""
    )
    found = server.get_json(f"/studies/{study}.json")["instances"][0]["findings"]
    expected = {finding["finding"]: finding["probability"] for finding in found}
    assert {name for name, _, _ in lengths} == set(expected)
    for name, length, number in lengths:
        assert length == pytest.approx(expected[name], abs=0.01)
        assert number == f"{expected[name]:.2f}"


def test_a_refused_file_has_words_in_the_viewer(page: Page, server: Server, study: str) -> None:
    open_viewer(page, server, study)
    page.click("#go-next")
    expect(page.locator(".bar-name")).to_have_text("tall.png")
    page.click("#go-next")
    expect(page.locator(".notice")).to_contain_text("Refused: This is not a PNG")
    expect(page.locator(".row-bar")).to_have_count(0)


def test_heatmaps_that_come_when_the_reader_has_gone_on(page: Page, server: Server, study: str) -> None:
    """An image that was refused has no place for them: nothing may break."""
    open_viewer(page, server, study)
    held: list[Route] = []
    page.route("**/heatmaps/*.png", lambda route: held.append(route))
    page.click("#go-next")
    expect(page.locator(".bar-name")).to_have_text("tall.png")
    page.wait_for_timeout(500)
    page.click("#go-next")
    expect(page.locator(".notice")).to_contain_text("Refused: This is not a PNG")
    for route in held:
        with page.expect_event("requestfinished"):
            route.continue_()
    assert len(held) == 15
    page.wait_for_timeout(300)  # the pictures are decoded, and what waits for them runs


def test_downloads(page: Page, server: Server, study: str) -> None:
    open_viewer(page, server, study)
    saved = {}
    for button in ("Original", "Heatmap", "Chart"):
        with page.expect_download() as download:
            page.locator(".downloads").get_by_text(button, exact=True).click()
        saved[button] = (download.value.suggested_filename, Path(download.value.path()).read_bytes())
    assert saved["Original"] == ("phantom.png", phantom_png(4, 512))
    name, heatmap = saved["Heatmap"]
    assert name.startswith("phantom-")
    assert Image.open(BytesIO(heatmap)).size == (512, 512)
    name, chart = saved["Chart"]
    assert name == "phantom-chart.png"
    picture = np.asarray(Image.open(BytesIO(chart)).convert("RGB"))
    assert picture.shape == (1120, 1800, 3)
    edges = (picture[:8], picture[-8:], picture[:, :8], picture[:, -8:])
    assert all((edge == edge[0, 0]).all() for edge in edges)  # nothing reaches the edge: no label is cut off


def test_a_waiting_image_in_the_viewer_appears_by_itself(page: Page, server: Server) -> None:
    uid = server.upload([(f"{k}.png", phantom_png(200 + k, 512)) for k in range(12)])
    page.goto(f"/viewer/?instance={server.image_uids(uid)[-1]}")
    expect(page.locator(".row-bar .value")).to_have_count(15)
    server.finished(uid)


@pytest.mark.parametrize("size", WIDTHS, ids=str)
def test_nothing_is_clipped_or_overlapping(page: Page, server: Server, study: str, size: tuple[int, int]) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.goto("/")
    assert layout_faults(page) == []
    page.goto(f"/studies/{study}")
    expect(page.locator(".chart .bars")).to_have_count(4)
    assert layout_faults(page) == []
    open_viewer(page, server, study)
    assert layout_faults(page) == []
    assert page.evaluate("document.documentElement.scrollHeight") <= size[1]
    page.click("text=By probability")
    page.click(".top-maps .map >> nth=3")
    page.wait_for_timeout(200)
    assert layout_faults(page) == []


def test_twenty_four_charts_do_not_freeze_the_page(page: Page, server: Server) -> None:
    uid, _ = server.predicted([(f"{k}.png", phantom_png(300 + k % 3, 256)) for k in range(24)])
    page.add_init_script(
        "window.longest = 0; new PerformanceObserver((list) => { for (const e of list.getEntries())"
        " window.longest = Math.max(window.longest, e.duration); }).observe({ type: 'longtask', buffered: true });"
    )
    page.goto(f"/studies/{uid}")
    expect(page.locator(".chart .bars")).to_have_count(48, timeout=60_000)
    assert page.locator(".map img.overlay").count() == 96
    # drawn at once, the charts would be one task that takes most of the time until they stand
    assert page.evaluate("window.longest / performance.now()") < 0.5


@pytest.mark.parametrize(
    ("html", "fault"),
    [
        ('<p style="width:40px;overflow:hidden;white-space:nowrap">much too long for this</p>', "cut off"),
        ("<p>one</p><p style='margin-top:-30px'>two</p>", "overlap"),
        ("<p style='position:absolute;left:-40px'>outside</p>", "outside the window"),
        ("<p style='width:3000px'>wide</p>", "sideways"),
    ],
)
def test_the_layout_check_finds_faults(browser: Browser, html: str, fault: str) -> None:
    page = browser.new_page()
    page.set_content(html)
    assert any(fault in found for found in layout_faults(page))
    page.close()
