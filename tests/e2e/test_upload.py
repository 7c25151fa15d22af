"""Which project an upload goes to, from the real page: by button, by drop, and without scripts."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from playwright.sync_api import Browser, Page, expect

from diagnosis_tool.domain.access import Role
from testing import accounts
from testing.browser import WIDTHS, Watch, layout_faults, signed_in
from testing.serving import Server
from testing.stores import DATABASE
from tests.conftest import phantom_png

pytestmark = pytest.mark.e2e

_FILM = {"name": "a.png", "mimeType": "image/png", "buffer": phantom_png(1, 64)}
_DROP = """(bytes) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([new Uint8Array(bytes)], "b.png"));
  document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
}"""


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    """Of somebody who belongs to two projects."""
    user = accounts.account(server.context, Role.TECHNICIAN, name="Two wards", projects=("default", "ward7"))
    with signed_in(browser, server, storage_state=server.signed_in(user)) as session:
        page = session.new_page()
        page.set_default_timeout(20_000)
        watch = Watch(page, server.url)
        yield page
        assert watch.faults == []


def drop(page: Page) -> None:
    page.evaluate(_DROP, list(phantom_png(2, 64)))


def project_of(server: Server, page: Page) -> str:
    """Whose the study is that the page went on to."""
    page.wait_for_url("**/studies/*")
    sql = "SELECT p.name FROM studies s JOIN projects p ON p.id = s.project_id WHERE s.uid = ?"
    with closing(sqlite3.connect(server.data_dir / DATABASE)) as db:
        ((name,),) = db.execute(sql, (page.url.rsplit("/", 1)[-1],))
    return str(name)


@pytest.mark.parametrize("project", ["ward7", "default"])
@pytest.mark.parametrize("is_dropped", [False, True], ids=["button", "drop"])
def test_a_study_goes_to_the_chosen_project(page: Page, server: Server, project: str, is_dropped: bool) -> None:
    page.goto("/")
    page.select_option("#project", project)
    if is_dropped:
        drop(page)
    else:
        page.set_input_files("#files", [_FILM])
        page.click("#send")
    assert project_of(server, page) == project


def test_dropped_files_wait_until_the_project_is_chosen(page: Page, server: Server) -> None:
    page.goto("/")
    drop(page)
    expect(page.locator("#tray-words")).to_contain_text("Choose the project")
    expect(page.locator("#project")).to_be_focused()
    page.select_option("#project", "ward7")
    page.click("#send")
    assert project_of(server, page) == "ward7"


def test_without_scripts_the_form_asks_for_the_same(browser: Browser, server: Server) -> None:
    user = accounts.account(server.context, Role.TECHNICIAN, name="Two wards", projects=("default", "ward7"))
    with signed_in(browser, server, storage_state=server.signed_in(user), java_script_enabled=False) as session:
        page = session.new_page()
        page.goto("/")
        page.fill("#patient", "P1")
        page.set_input_files("#files", [_FILM])
        page.click("#send")
        expect(page.locator("#project:invalid")).to_be_visible()  # the browser asks
        page.select_option("#project", "ward7")
        page.click("#send")
        assert project_of(server, page) == "ward7"


@pytest.mark.parametrize("size", WIDTHS, ids=str)
def test_nothing_is_clipped_or_overlapping(page: Page, size: tuple[int, int]) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.goto("/")
    expect(page.locator("#project")).to_be_visible()
    assert layout_faults(page) == []
