"""What a browser still shows of patients once its user has signed out."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from playwright.sync_api import Browser, Page, expect

from testing.browser import keeping_pages, signed_in
from testing.serving import Server
from testing.stores import DATABASE
from tests.conftest import phantom_png

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def study(server: Server) -> str:
    uid = server.upload([("secret-patient.png", phantom_png(1))])
    server.finished(uid)
    return uid


@pytest.fixture(scope="module")
def keeping(browser: Browser) -> Iterator[Browser]:
    with keeping_pages(browser) as running:
        yield running


@pytest.fixture
def page(keeping: Browser, server: Server) -> Iterator[Page]:
    with signed_in(keeping, server) as session:
        page = session.new_page()
        page.set_default_timeout(20_000)
        yield page


def addresses(server: Server, study: str) -> list[str]:
    return ["/", f"/studies/{study}", f"/viewer/?instance={server.image_uids(study)[0]}"]


def test_the_way_back_leads_to_the_sign_in_page(page: Page, server: Server, study: str) -> None:
    for address in addresses(server, study)[1:]:
        page.goto(server.url + address)
        expect(page.locator("body")).to_contain_text("secret-patient")
    page.goto(server.url + "/")
    page.locator("#sign-out").click()
    page.wait_for_url("**/sign-in")
    for _ in range(3):
        page.go_back()
        expect(page.locator("input[name=password]")).to_be_visible()
        assert "secret-patient" not in page.content()


def test_a_page_that_was_kept_whole_is_fetched_anew(page: Page, server: Server, study: str) -> None:
    """Chromium keeps a page that may not be stored as long as no cookie changes: here its sign-in ends elsewhere."""
    page.goto(f"{server.url}/studies/{study}")
    page.evaluate("window.wasKept = true")
    page.goto(f"{server.url}/healthz")
    with closing(sqlite3.connect(server.data_dir / DATABASE)) as db:
        db.execute("DELETE FROM sign_ins")
        db.commit()
    page.go_back()
    expect(page.locator("input[name=password]")).to_be_visible()
    assert page.evaluate("window.wasKept") is None


def test_what_is_left_is_hidden_and_comes_back_by_the_server(page: Page, server: Server, study: str) -> None:
    page.goto(f"{server.url}/studies/{study}")
    assert page.evaluate("() => { dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }));"
                         " return getComputedStyle(document.documentElement).visibility }") == "hidden"  # fmt: skip
    with page.expect_navigation():
        page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    expect(page.locator("body")).to_contain_text("secret-patient")
    assert page.evaluate("getComputedStyle(document.documentElement).visibility") == "visible"
