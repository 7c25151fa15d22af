"""The worklist by mouse and by keyboard: filter, search, choose, export, delete, live rows."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from testing.browser import WIDTHS, Watch, layout_faults, signed_in
from testing.serving import Server
from tests.conftest import phantom_png
from tests.dicom_files import dicom

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def server(server: Server) -> Server:
    """With five studies."""
    for name, patient in (("Müller^Anna", "P1"), ("Yamada^Tarou=山田^太郎", "P2"), ("صالح^علي", "P3")):
        film = dicom(PatientName=name, PatientID=patient, SpecificCharacterSet="ISO_IR 192")
        server.predicted([(f"{patient}.dcm", film)])
    server.predicted([("notes.txt", b"no film")])
    server.predicted([("a.png", phantom_png(1)), ("b.txt", b"no film")])
    return server


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    with signed_in(browser, server) as session:
        page = session.new_page()
        page.set_default_timeout(60_000)
        expect.set_options(timeout=30_000)
        watch = Watch(page, server.url)
        yield page
        assert watch.faults == []


def test_search_and_filter_by_mouse(page: Page) -> None:
    page.goto("/")
    page.fill("#search", "mül")
    page.press("#search", "Enter")
    page.wait_for_url("**/?q=*")
    expect(page.locator("#worklist tbody tr")).to_have_count(1)
    expect(page.locator("#worklist tbody")).to_contain_text("Müller Anna")
    page.click("text=Show all")
    page.select_option("#filters select[name=state]", "refused")  # applies at once
    page.wait_for_url("**state=refused*")
    expect(page.locator("#worklist tbody tr")).to_have_count(2)
    expect(page.locator("#worklist tbody tr").nth(0)).to_contain_text("1 refused")
    expect(page.locator("#worklist tbody tr").nth(1)).to_contain_text("nothing was read")


def test_all_by_keyboard(page: Page) -> None:
    page.goto("/")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.locator("tbody tr").nth(1).locator("input")).to_be_checked()
    expect(page.locator("#chosen-words")).to_have_text("1 chosen")
    page.keyboard.press("k")
    expect(page.locator("tbody tr").first.locator("a.open")).to_be_focused()
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.keyboard.type("yamada")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=yamada*")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/studies/*")


def test_chosen_studies_are_saved_and_deleted_after_a_question(page: Page, server: Server) -> None:
    uid, _ = server.predicted([("doomed.png", phantom_png(7))])
    page.goto("/")
    expect(page.locator("#ask-delete")).to_be_disabled()
    page.check(f"tr[data-row^='{uid}'] input")
    with page.expect_download() as download:
        page.click("text=CSV")
    assert uid in Path(download.value.path()).read_text(encoding="utf-8-sig")
    page.click("#ask-delete")
    expect(page.locator("h1")).to_have_text("Delete 1 study?")
    page.click("#delete")
    page.wait_for_url("**/")
    expect(page.locator(f"tr[data-row^='{uid}']")).to_have_count(0)


def test_a_row_changes_and_a_new_study_is_told_of_without_a_reload(page: Page, server: Server) -> None:
    waiting = server.upload([(f"{k}.png", phantom_png(400 + k, 512)) for k in range(6)], show=False)
    page.goto("/")
    expect(page.locator(f"tr[data-row^='{waiting}'] .chip")).to_contain_text("read by model")
    expect(page.locator("#news")).to_be_hidden()
    newer = server.upload([("new.png", phantom_png(500))])
    expect(page.locator("#news")).to_be_visible()
    page.click("#news a")
    expect(page.locator(f"tr[data-row^='{newer}']")).to_have_count(1)


@pytest.mark.parametrize("size", WIDTHS, ids=str)
@pytest.mark.parametrize("language", ["en", "de"])
def test_nothing_is_clipped_or_overlapping(page: Page, size: tuple[int, int], language: str) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.goto(f"/language/{language}")
    page.goto("/")
    assert layout_faults(page) == []
