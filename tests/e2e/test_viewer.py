"""The viewer by mouse, by keyboard and by touch: film, findings, priors."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from testing.browser import WIDTHS, Watch, layout_faults, signed_in
from testing.serving import Server
from tests.e2e.viewing import drag, open_image, requested, shown, top_findings

pytestmark = pytest.mark.e2e


def test_what_is_fetched_ahead_is_used(page: Page, uids: list[str]) -> None:
    """What is fetched ahead in another way than it is used is fetched twice."""
    asked = requested(page)
    open_image(page, uids[0])
    ahead = page.eval_on_selector_all("link[rel=preload]", "links => links.map((link) => link.href)")
    assert len(ahead) >= 6  # layout, dependencies, the film, the top four's maps
    assert {address: asked.count(address) for address in ahead} == dict.fromkeys(ahead, 1)


def test_deep_films_keep_their_greys_and_their_scale(page: Page, uids: list[str]) -> None:
    open_image(page, uids[0])
    page.select_option("#preset", "full")
    full = shown(page)
    assert int(full["high"]) > 255  # not squeezed into 8 bits
    expect(page.locator("#main-pane .corner-view")).to_have_text("PA · 500 × 700 · 12 bit")
    bar = page.locator("#main-pane .scale-words")
    expect(bar).to_have_text(re.compile(r"^\d+ mm$"))
    zoom, mm = float(full["zoom"]), int((bar.text_content() or "").split()[0])
    line = page.locator("#main-pane .scale-line").bounding_box()
    assert line is not None
    assert line["width"] == pytest.approx(mm / 0.4 * zoom, abs=1.5)
    page.select_option("#preset", "lungs")
    assert int(shown(page)["high"]) < int(full["high"])


def test_mouse_on_the_film(page: Page, uids: list[str]) -> None:
    open_image(page, uids[0])
    asked = requested(page)
    fit = shown(page)
    drag(page, 120, 60)
    moved = shown(page)
    assert int(moved["high"]) - int(moved["low"]) > int(fit["high"]) - int(fit["low"])  # wider
    expect(page.locator("#preset")).to_have_value("custom")
    page.mouse.wheel(0, -400)
    near = shown(page)
    assert float(near["zoom"]) > float(fit["zoom"])
    page.get_by_role("button", name="Pan", exact=True).click()
    before = centre(page)
    drag(page, 80, 0)
    assert centre(page)[0] < before[0]  # the film went right
    page.get_by_role("button", name="1:1").click()
    assert float(shown(page)["zoom"]) == 1
    page.get_by_role("button", name="Fit").click()
    assert shown(page)["zoom"] == fit["zoom"]
    page.get_by_role("button", name="Flip left and right").click()
    page.get_by_role("button", name="Rotate").click()
    turned = page.locator("#main-pane .corner-turned")
    expect(turned).to_have_text("FLIPPED: left and right are exchanged · ROTATED 90°")
    page.get_by_role("button", name="Invert").click()
    expect(page.locator("#main-pane .corner-window")).to_contain_text("inverted")
    page.get_by_role("button", name="Heatmap", exact=True).first.click()
    expect(page.locator("#film")).to_have_attribute("data-overlay", "")
    assert asked == []  # only the look changed


def centre(page: Page) -> tuple[float, float]:
    """Where on the film the middle of the screen is, in parts of it."""
    x, y = page.evaluate("(({ x, y }) => [x, y])(document.getElementById('film').film.view)")
    return float(x), float(y)


def test_keys_on_the_film(page: Page, uids: list[str]) -> None:
    open_image(page, uids[0])
    asked = requested(page)
    fit = shown(page)
    press = page.keyboard.press
    press("+")
    assert float(shown(page)["zoom"]) > float(fit["zoom"])
    before = centre(page)
    press("Shift+ArrowRight")
    assert centre(page)[0] > before[0]
    press("f")
    assert shown(page)["zoom"] == fit["zoom"]
    press("z")
    assert float(shown(page)["zoom"]) == 1
    press("w")
    expect(page.locator("#preset")).to_have_value("full")
    press("Shift+W")
    expect(page.locator("#preset")).to_have_value("standard")
    press("i")
    expect(page.locator("#invert")).to_have_attribute("aria-pressed", "true")
    press("h")
    expect(page.locator("#film")).to_have_attribute("data-overlay", "")
    tops = top_findings(page)
    assert len(tops) == 4
    for key, finding in enumerate(tops, start=1):
        press(str(key))
        expect(page.locator("#film")).to_have_attribute("data-overlay", finding)
        expect(page.locator(f".finding-row[data-finding='{finding}']")).to_have_attribute("aria-pressed", "true")
    press("x")
    press("r")
    expect(page.locator("#main-pane .corner-turned")).to_contain_text("FLIPPED")
    assert asked == []
    rows = page.locator(".finding-row").evaluate_all("rows => rows.map(r => r.dataset.finding)")
    seen = set()
    press("ArrowUp")
    for _ in range(2 * len(rows)):
        press("ArrowUp")
    for _ in rows:
        seen.add(page.locator(".finding-row[aria-pressed=true]").get_attribute("data-finding"))
        press("ArrowDown")
    assert seen == set(rows)  # every finding can be reached


def test_help_lists_the_keys(page: Page, uids: list[str]) -> None:
    open_image(page, uids[0])
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    expect(page.locator("#help")).to_contain_text("heatmap of a top finding")
    page.keyboard.press("h")  # nothing happens behind the help
    page.keyboard.press("Escape")
    expect(page.locator("#help")).to_be_hidden()
    expect(page.locator("#film")).not_to_have_attribute("data-overlay", "")


def test_images_and_studies_by_keys(page: Page, uids: list[str]) -> None:
    open_image(page, uids[0])
    for key, n in (("j", 1), ("ArrowRight", 2), ("k", 1), ("ArrowLeft", 0)):
        page.keyboard.press(key)
        shown(page, uids[n])
    page.keyboard.press("[")
    expect(page.locator(".bar-name")).to_have_text("plain.png")
    expect(page.locator("#main-pane .scale-words")).to_have_text("no scale: pixel spacing unknown")
    page.keyboard.press("]")
    expect(page.locator(".bar-name")).to_have_text("0.dcm")
    shown(page, uids[0])


def test_neighbours_are_fetched_before_they_are_asked_for(page: Page, uids: list[str]) -> None:
    open_image(page, uids[0])
    asked = requested(page)
    page.keyboard.press("j")
    shown(page, uids[1])
    assert not [url for url in asked if url.endswith(f"{uids[1]}/pixels")]


def test_priors_stand_beside_and_follow(page: Page, uids: list[str]) -> None:
    open_image(page, uids[2])
    expect(page.locator("[data-prior]")).to_have_count(2)
    page.keyboard.press("c")
    prior = page.locator("#prior-film")
    expect(prior).to_have_attribute("data-uid", uids[1])  # the latest earlier one
    expect(prior).to_have_attribute("data-state", "shown")
    expect(page.locator("#prior-title")).to_contain_text("2023-03-01")
    drag(page, 60, 40)
    page.mouse.wheel(0, -300)
    page.keyboard.press("x")
    both = page.evaluate(
        "['film', 'prior-film'].map((id) => { const f = document.getElementById(id).film; return [f.view, f.window]; })"
    )
    assert both[0] == both[1]
    expect(page.locator("#prior-pane .corner-turned")).to_contain_text("FLIPPED")
    page.keyboard.press(".")
    expect(prior).to_have_attribute("data-uid", uids[0])
    expect(page.locator("#trend .scatterlayer .point").first).to_be_visible()
    page.keyboard.press("c")
    expect(page.locator("#prior-pane")).to_be_hidden()
    page.locator("[data-prior]").nth(1).click()
    expect(prior).to_have_attribute("data-uid", uids[0])


def test_touch(browser: Browser, server: Server, uids: list[str]) -> None:
    with signed_in(browser, server, has_touch=True) as session:
        page = session.new_page()
        open_image(page, uids[0])
        fit = shown(page)
        page.tap(".finding-row[data-finding=Mass]")
        expect(page.locator(".finding-row[data-finding=Mass]")).to_have_attribute("aria-pressed", "true")
        touch = session.new_cdp_session(page)

        def fingers(kind: str, *places: tuple[float, float]) -> None:
            points = [{"x": x, "y": y, "id": k} for k, (x, y) in enumerate(places)]
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        fingers("touchStart", (400, 300), (440, 300))
        fingers("touchMove", (340, 300), (500, 300))
        fingers("touchEnd")
        assert float(shown(page)["zoom"]) > float(fit["zoom"])
        assert (shown(page)["low"], shown(page)["high"]) == (fit["low"], fit["high"])  # two fingers do not window


@pytest.mark.parametrize("size", WIDTHS, ids=str)
def test_compare_and_review_fit_the_screen(page: Page, uids: list[str], size: tuple[int, int]) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    open_image(page, uids[2])
    page.keyboard.press("c")
    page.keyboard.press("Shift+B")
    expect(page.locator("#prior-film")).to_have_attribute("data-state", "shown")
    page.wait_for_timeout(500)
    assert layout_faults(page) == []
    assert page.evaluate("document.documentElement.scrollHeight") <= size[1]


def test_german(browser: Browser, server: Server, uids: list[str]) -> None:
    with signed_in(browser, server, locale="de-DE") as session:
        page = session.new_page()
        watch = Watch(page, server.url)
        open_image(page, uids[0], not_loaded="nicht geladen")
        expect(page.get_by_role("button", name="Invertieren")).to_be_visible()
        expect(page.locator("#review-state")).to_have_text(re.compile("begutachtet|unterschrieben|ergänzt|Entwurf"))
        assert layout_faults(page) == []
        assert watch.faults == []
