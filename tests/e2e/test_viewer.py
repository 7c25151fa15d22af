"""The viewer by mouse, by keyboard and by touch: film, findings, review, priors."""

import json
import re
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from testing.browser import WIDTHS, Watch, layout_faults, signed_in
from testing.serving import Server
from tests.conftest import phantom_png
from tests.dicom_files import dicom
from tests.e2e.others import review_of, save_as_another
from training.phantom import chest_phantom

pytestmark = pytest.mark.e2e

_DEEP = chest_phantom(seed=5, height_px=700, width_px=500).astype(np.uint16) * 12 + 300


@pytest.fixture(scope="module")
def uids(server: Server) -> list[str]:
    """Three images of one patient, oldest first, 12 bits deep, of a study that stands before another one."""
    days = ("20200105", "20230301", "20260710")
    common: dict[str, Any] = {"PatientID": "P1", "BitsStored": 12, "HighBit": 11, "PixelSpacing": [0.4, 0.4]}
    films = [
        (f"{k}.dcm", dicom(_DEEP + np.uint16(20 * k), AcquisitionDate=day, **common)) for k, day in enumerate(days)
    ]
    study = server.upload(films)
    server.finished(study)
    server.finished(server.upload([("plain.png", phantom_png(4, 512))]))
    return server.image_uids(study)


def shown(page: Page, uid: str | None = None) -> dict[str, str]:
    """What the film says of itself, once it is drawn."""
    film = page.locator("#film")
    if uid is not None:
        expect(film).to_have_attribute("data-uid", uid)
    expect(film).to_have_attribute("data-state", "shown")
    return dict(film.evaluate("film => ({ ...film.dataset })"))


def open_image(page: Page, uid: str) -> None:
    page.goto(f"/viewer/?instance={uid}")
    shown(page, uid)
    expect(page.locator("#review-state")).not_to_have_text("not loaded")
    page.wait_for_load_state("networkidle")


def drag(page: Page, dx: float, dy: float, *, start: tuple[float, float] = (0.5, 0.5)) -> None:
    box = page.locator("#film").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] * start[0], box["y"] + box["height"] * start[1]
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + dx / 2, y + dy / 2)
    page.mouse.move(x + dx, y + dy)
    page.mouse.up()


def test_what_is_fetched_ahead_is_used(page: Page, uids: list[str]) -> None:
    """What is fetched ahead in another way than it is used is fetched twice."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
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
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
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
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
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
    tops = page.locator(".top-maps .map").evaluate_all("maps => maps.map(m => m.dataset.finding)")
    for key in (1, 2, 3, 4):
        press(str(key))
        expect(page.locator("#film")).to_have_attribute("data-overlay", tops[key - 1])
        expect(page.locator(f".finding-row[data-finding='{tops[key - 1]}']")).to_have_attribute("aria-pressed", "true")
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
    page.keyboard.press("j")
    shown(page, uids[1])
    page.keyboard.press("ArrowRight")
    shown(page, uids[2])
    page.keyboard.press("k")
    shown(page, uids[1])
    page.keyboard.press("ArrowLeft")
    shown(page, uids[0])
    page.keyboard.press("[")
    expect(page.locator(".bar-name")).to_have_text("plain.png")
    expect(page.locator("#main-pane .scale-words")).to_have_text("no scale: pixel spacing unknown")
    page.keyboard.press("]")
    expect(page.locator(".bar-name")).to_have_text("0.dcm")
    shown(page, uids[0])


def test_neighbours_are_fetched_before_they_are_asked_for(page: Page, uids: list[str]) -> None:
    open_image(page, uids[0])
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.keyboard.press("j")
    shown(page, uids[1])
    assert not [url for url in asked if url.endswith(f"{uids[1]}/pixels")]


def test_review_by_mouse(page: Page, server: Server, uids: list[str]) -> None:
    uid = uids[0]
    open_image(page, uid)
    page.click(".finding-row[data-finding=Effusion]")
    page.get_by_role("button", name="✗ Disagree").click()
    page.get_by_role("button", name="Box", exact=True).click()
    drag(page, 60, 80, start=(0.45, 0.4))
    page.select_option("#add-finding", "Mass")
    page.get_by_role("button", name="Add", exact=True).click()
    page.fill("#note", "left <b>base</b>")
    expect(page.locator("#review-state")).to_contain_text("not saved")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#review-words")).to_have_text("Saved.")
    saved = review_of(server, uid)
    assert (saved["verdicts"], saved["added"], saved["note"]) == (
        {"Effusion": "disagree"},
        ["Mass"],
        "left <b>base</b>",
    )
    (box,) = saved["boxes"]
    zoom = float(shown(page)["zoom"])
    assert (box["finding"], box["width"]) == ("Effusion", pytest.approx(60 / zoom, abs=2))
    assert box["height"] == pytest.approx(80 / zoom, abs=2)
    page.get_by_role("button", name="Sign", exact=True).first.click()
    page.locator("#sign-now").click()
    expect(page.locator("#review-state")).to_contain_text("● signed:")
    signed = review_of(server, uid)
    assert signed["state"] == "signed"
    expect(page.locator("#review-state")).to_contain_text(signed["signed_by"])
    page.get_by_role("button", name="Remove box: Effusion").click()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#review-state")).to_contain_text("amended after")
    page.click("#history-box summary")
    expect(page.locator("#history li")).to_have_count(len(review_of(server, uid)["history"]))
    assert len(review_of(server, uid)["history"]) >= 3
    page.reload()
    expect(page.locator("#note")).to_have_value("left <b>base</b>")
    expect(page.locator(".finding-row[data-finding=Effusion]")).to_have_attribute("data-verdict", "✗")


def test_review_by_keyboard(page: Page, server: Server, uids: list[str]) -> None:
    uid = uids[1]
    open_image(page, uid)
    press = page.keyboard.press
    press("1")
    press("a")
    press("2")
    press("d")
    press("3")
    press("u")
    press("Shift+B")
    press("Alt+ArrowRight")
    press("Alt+Shift+ArrowDown")
    press("n")
    page.keyboard.type("as before, j and s are letters here")
    press("Escape")
    press("Control+s")
    expect(page.locator("#review-words")).to_have_text("Saved.")
    press("s")
    expect(page.locator("#sign-dialog")).to_be_visible()
    press("Enter")
    expect(page.locator("#review-state")).to_contain_text("● signed:")
    saved = review_of(server, uid)
    tops = page.locator(".top-maps .map").evaluate_all("maps => maps.map(m => m.dataset.finding)")
    assert saved["verdicts"] == dict(zip(tops, ("agree", "disagree", "unsure"), strict=False))
    assert saved["note"] == "as before, j and s are letters here"
    assert len(saved["boxes"]) == 1
    assert saved["state"] == "signed"


def test_what_is_not_saved_outlives_going_on_and_reloading(page: Page, uids: list[str]) -> None:
    open_image(page, uids[2])
    page.fill("#note", "not yet saved")
    page.locator("#film").focus()
    page.keyboard.press("k")
    shown(page, uids[1])
    expect(page.locator("#note")).not_to_have_value("not yet saved")
    page.keyboard.press("j")
    shown(page, uids[2])
    expect(page.locator("#note")).to_have_value("not yet saved")
    page.reload()
    expect(page.locator("#note")).to_have_value("not yet saved")
    expect(page.locator("#review-words")).to_have_text("Your unsaved changes are still here.")


@pytest.mark.parametrize(
    ("answer", "note"), [("Join both", "theirs\nmine"), ("Save mine as the newest", "mine"), ("Take theirs", "theirs")]
)
def test_two_readers_at_once_lose_nothing(
    browser: Browser, server: Server, uids: list[str], answer: str, note: str
) -> None:
    uid = uids[2]
    with signed_in(browser, server) as session:
        page = session.new_page()  # the conflict is an answer of 409, which a watched page may not get
        page.set_default_timeout(20_000)
        open_image(page, uid)
        save_as_another(server, uid, "theirs")
        page.fill("#note", "mine")
        page.get_by_role("button", name="Save", exact=True).click()
        dialog = page.locator("#conflict-dialog")
        expect(dialog).to_be_visible()
        expect(page.locator("#conflict-mine")).to_contain_text("mine")
        expect(page.locator("#conflict-theirs")).to_contain_text("theirs")
        dialog.get_by_role("button", name=answer).click()
        expect(page.locator("#note")).to_have_value(note)
        if answer == "Join both":
            page.get_by_role("button", name="Save", exact=True).click()
        if answer != "Take theirs":
            expect(page.locator("#review-words")).to_have_text("Saved.")
        assert review_of(server, uid)["note"] == note


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


def test_a_study_deleted_in_another_tab_is_said(browser: Browser, server: Server, uids: list[str]) -> None:
    with signed_in(browser, server) as session:
        page = session.new_page()
        page.set_default_timeout(20_000)
        gone = json.dumps({"error": "There is no such image."})
        page.route("**/pixels", lambda route: route.fulfill(status=404, body=gone))
        page.route("**/review", lambda route: route.fulfill(status=404, body=gone))
        page.goto(f"/viewer/?instance={uids[0]}")
        expect(page.locator("#main-pane .pane-words")).to_have_text(
            "This image is no longer stored. Go back to the worklist."
        )
        # what is typed before the stored review has come is joined to its note (test_odd_states.py)
        expect(page.locator("#review-state")).not_to_have_text("not loaded")
        page.fill("#note", "kept")
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.locator("#review-words")).to_contain_text("Not saved: There is no such image.")
        expect(page.locator("#note")).to_have_value("kept")


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
        open_image_in_german(page, uids[0])
        expect(page.locator("#review-state")).to_have_text(re.compile("begutachtet|unterschrieben|ergänzt|Entwurf"))
        assert layout_faults(page) == []
        assert watch.faults == []


def open_image_in_german(page: Page, uid: str) -> None:
    page.goto(f"/viewer/?instance={uid}")
    shown(page, uid)
    expect(page.get_by_role("button", name="Invertieren")).to_be_visible()
    expect(page.locator("#review-state")).not_to_have_text("nicht geladen")
    page.wait_for_load_state("networkidle")
