"""A clinician uploads films, sees bars, opens the viewer, moves the slider, looks at other findings."""

import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.conftest import phantom_png
from tests.e2e.browser import WIDTHS, Watch, chromium, layout_faults
from tests.serving import Server, serve

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def server(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("e2e") / "data", tiny_bundle) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    """A page of its own session that must end without a fault."""
    with browser.new_context(base_url=server.url, viewport={"width": 1280, "height": 800}) as session:
        page = session.new_page()
        page.set_default_timeout(20_000)
        watch = Watch(page, server.url)
        yield page
        assert watch.faults == []


@pytest.fixture(scope="module")
def study(server: Server) -> str:
    """A study of two phantoms (square and tall) and a text file, already read."""
    tall = BytesIO()
    Image.open(BytesIO(phantom_png(5, 512))).resize((360, 640)).save(tall, "PNG")
    files = [("phantom.png", phantom_png(4, 512)), ("tall.png", tall.getvalue()), ("notes.txt", b"no film")]
    uid = server.upload(files)
    server.finished(uid)
    return uid


def first_instance(server: Server, study: str) -> str:
    return str(server.get_json(f"/studies/{study}/status.json")["instances"][0]["uid"])


def open_viewer(page: Page, server: Server, study: str) -> None:
    page.goto(f"/viewer/?instance={first_instance(server, study)}")
    expect(page.locator("#chart .bars")).to_have_count(2)
    page.wait_for_load_state("networkidle")


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
    expect(page.locator("#chart .bars")).to_have_count(2)


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


def test_slider_and_findings_change_the_overlay_in_the_browser(page: Page, server: Server, study: str) -> None:
    open_viewer(page, server, study)
    overlay = page.locator("#overlay")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    before = float(overlay.evaluate("e => getComputedStyle(e).opacity"))
    page.locator("#opacity").fill("0.1")
    expect(page.locator("#stage")).to_have_attribute("style", "--overlay-opacity: 0.1;")
    assert float(overlay.evaluate("e => getComputedStyle(e).opacity")) < before

    source = str(overlay.get_attribute("src"))
    row = page.locator("#chart .bars").first.locator(".point").nth(5).bounding_box()
    assert row is not None
    page.mouse.click(row["x"] + row["width"] * 0.8, row["y"] + row["height"] / 2)  # far right of the small bar
    expect(overlay).not_to_have_attribute("src", source)
    chosen = str(overlay.get_attribute("src")).rsplit("/", 1)[1].removesuffix(".png")
    expect(page.locator("#caption")).to_contain_text(chosen.split("_")[0].split("%")[0])
    expect(page.locator("#save-heatmap")).to_have_attribute("href", f"{overlay.get_attribute('src')}?blend=1")

    page.locator("#chart .ytick text", has_text="Hernia").click()
    expect(page.locator("#caption")).to_contain_text("Hernia")

    second = page.locator(".top-maps .map").nth(1)
    second.click()
    expect(second).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#caption")).to_contain_text(str(second.locator(".map-name span").first.text_content()))
    assert not [url for url in asked if "_dash-update-component" in url]  # nothing asked the server


def test_order_and_view_can_be_switched_and_stay(page: Page, server: Server, study: str) -> None:
    open_viewer(page, server, study)
    labels = page.locator("#chart .yaxislayer-above text, #chart .yaxislayer-below text")
    anatomical = labels.all_text_contents()
    page.click("text=By probability")
    expect(page.get_by_role("button", name="By probability")).to_have_attribute("aria-pressed", "true")
    page.wait_for_function(
        "old => document.querySelectorAll('#chart .ytick text')[1].textContent !== old", arg=anatomical[1]
    )
    page.click("text=Overlay")
    expect(page.locator(".film-pane")).to_be_hidden()
    page.click("text=Next")
    expect(page.locator(".moves")).to_contain_text("2 of 3")
    expect(page.locator(".film-pane")).to_be_hidden()
    expect(page.get_by_role("button", name="By probability")).to_have_attribute("aria-pressed", "true")


def test_an_overlay_lies_exactly_on_its_film(page: Page, server: Server, study: str) -> None:
    open_viewer(page, server, study)
    page.click("text=Next")
    expect(page.locator(".bar-name")).to_have_text("tall.png")
    film, overlay = (page.locator(f".overlay-pane {name}").bounding_box() for name in (".film-image", "#overlay"))
    assert film == overlay
    assert film is not None
    assert film["width"] / film["height"] == pytest.approx(360 / 640, rel=0.01)


def test_a_refused_file_has_words_in_the_viewer(page: Page, server: Server, study: str) -> None:
    open_viewer(page, server, study)
    page.click("text=Next")
    expect(page.locator(".bar-name")).to_have_text("tall.png")
    page.click("text=Next")
    expect(page.locator(".notice")).to_contain_text("Refused: This is not a PNG")
    expect(page.locator("#chart")).to_have_count(0)


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
    last = server.get_json(f"/studies/{uid}/status.json")["instances"][-1]["uid"]
    page.goto(f"/viewer/?instance={last}")
    expect(page.locator("#chart .bars")).to_have_count(2)
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
    uid = server.upload([(f"{k}.png", phantom_png(300 + k % 3, 256)) for k in range(24)])
    server.finished(uid)
    page.add_init_script(
        "window.longest = 0; new PerformanceObserver((list) => { for (const e of list.getEntries())"
        " window.longest = Math.max(window.longest, e.duration); }).observe({ type: 'longtask', buffered: true });"
    )
    page.goto(f"/studies/{uid}")
    expect(page.locator(".chart .bars")).to_have_count(48, timeout=60_000)
    assert page.locator(".map img.overlay").count() == 96
    # one chart takes some 50 to 200 ms on a slow machine; all at once would be seconds
    assert page.evaluate("window.longest") < 1500


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
