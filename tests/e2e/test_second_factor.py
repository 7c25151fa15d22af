"""A second factor from the account page to the next sign-in, in both languages, as an app on a telephone sees it."""

import re
import time

import cv2
import numpy as np
import pyotp
import pytest
from playwright.sync_api import Browser, Page, expect

from diagnosis_tool.services.accounts import make_link, use_link
from testing.accounts import account
from testing.browser import WIDTHS, Watch, layout_faults
from testing.serving import Server
from tests.e2e.barriers import barriers

pytestmark = pytest.mark.e2e

_PASSWORD = "correct horse battery"


def scanned(page: Page) -> pyotp.TOTP:
    """What an app reads off the screen."""
    picture = cv2.imdecode(np.frombuffer(page.locator("#qr svg").screenshot(), np.uint8), cv2.IMREAD_GRAYSCALE)
    text, *_ = cv2.QRCodeDetector().detectAndDecode(picture)
    found = pyotp.parse_uri(text)
    assert isinstance(found, pyotp.TOTP)
    return found


def sign_in_again(page: Page, name: str) -> None:
    page.click("#sign-out")
    page.wait_for_url("**/sign-in")
    sign_in(page, name)


def sign_in(page: Page, name: str) -> None:
    page.goto("/sign-in")
    page.fill("#name", name)
    page.fill("#password", _PASSWORD)
    page.click("#sign-in")


@pytest.mark.parametrize("locale", ["en", "de"])
def test_from_setting_it_up_to_signing_in(browser: Browser, server: Server, locale: str) -> None:
    name = f"Dr. Two {locale}"
    use_link(server.context, make_link(server.context, account(server.context, name=name)).secret, _PASSWORD)
    with browser.new_context(base_url=server.url, locale=locale) as session:
        page = session.new_page()
        watch = Watch(page, server.url)
        sign_in(page, name)
        page.click(".user-name a")
        page.click("#second-factor")
        assert barriers(page) == []
        page.fill("#present-propose", _PASSWORD)
        page.click("#propose")
        app = scanned(page)
        assert (app.issuer, app.name) == ("diagnosis-tool", name)
        assert str(page.locator("#totp-secret").text_content()).replace(" ", "") == app.secret
        assert barriers(page) == []
        for width, height in WIDTHS:
            page.set_viewport_size({"width": width, "height": height})
            assert layout_faults(page) == []
        page.fill("#code", app.now())
        page.click("#confirm")
        expect(page.locator("#recovery-codes li")).to_have_count(10)
        recovery = str(page.locator("#recovery-codes li").first.text_content())
        assert barriers(page) == []
        assert layout_faults(page) == []
        sign_in_again(page, name)
        expect(page.locator("#send-code")).to_be_visible()
        assert barriers(page) == []
        assert layout_faults(page) == []
        # the next code: the one that confirmed was used; the server takes it half a minute early
        page.fill("#code", app.at(time.time() + 30))
        page.click("#send-code")
        page.wait_for_url(f"{server.url}/")
        sign_in_again(page, name)
        page.fill("#code", recovery)
        page.keyboard.press("Enter")
        page.wait_for_url(f"{server.url}/")
        assert re.search("9 ", page.request.get("/account/second-factor").text())
        assert watch.faults == []
