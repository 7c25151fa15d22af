"""No page, in no state and no language, holds a barrier that axe-core knows (WCAG 2.1 AA)."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from diagnosis_tool.domain.access import Role
from diagnosis_tool.services.accounts import make_link
from testing import accounts
from testing.accounts import account
from testing.browser import layout_faults, signed_in
from testing.serving import Server
from tests.dicom_files import dicom
from tests.e2e.barriers import barriers
from tests.e2e.others import save_as_another

pytestmark = pytest.mark.e2e

RELEASED = "resnet_50-nih14-1.2"


@pytest.fixture(params=["en", "de"])
def page(request: pytest.FixtureRequest, browser: Browser, server: Server) -> Iterator[Page]:
    """A page of a browser that wishes for this language."""
    with signed_in(browser, server, locale=request.param) as session:
        page = session.new_page()
        page.set_default_timeout(60_000)
        yield page


@pytest.fixture(scope="module")
def instances(server: Server) -> tuple[str, str, str]:
    """A study, the newer of two images in it that were read of one patient, and one that was refused."""
    days = ("20200105", "20230301")
    films = [(f"{day}.dcm", dicom(PatientID="P1", PatientName="Doe^Jo", AcquisitionDate=day)) for day in days]
    study, (_, read, refused) = server.predicted([*films, ("notes.txt", b"no film")])
    return study, read, refused


@pytest.fixture
def without_barriers(page: Page) -> Callable[[str], None]:
    """Opens an address and asks axe-core."""

    def check(address: str) -> None:
        page.goto(address)
        page.wait_for_load_state("networkidle")
        assert barriers(page) == []
        assert page.locator("html").get_attribute("lang") == page.evaluate("navigator.language")

    return check


def test_the_check_finds_a_barrier(page: Page) -> None:
    page.goto("/")
    page.evaluate("document.querySelector('h1').insertAdjacentHTML('afterend', '<input type=text>')")
    assert [line.split(":")[0] for line in barriers(page)] == ["label"]


def test_the_worklist_without_studies(page: Page, without_barriers: Callable[[str], None]) -> None:
    without_barriers("/?q=nobody")


def test_the_worklist_with_its_choices(
    page: Page, instances: tuple[str, str, str], without_barriers: Callable[[str], None]
) -> None:
    without_barriers("/")
    page.evaluate("document.getElementById('news').hidden = false")
    page.locator("#choose-all").check()
    assert barriers(page) == []


def test_the_worklist_with_files_to_send(
    page: Page, instances: tuple[str, str, str], without_barriers: Callable[[str], None]
) -> None:
    without_barriers("/")
    page.set_input_files("#files", {"name": "a.png", "mimeType": "image/png", "buffer": b"x"})
    page.wait_for_selector("#tray:not([hidden])")
    page.wait_for_timeout(300)  # the tray fades in
    assert barriers(page) == []


def test_the_question_before_deleting(
    page: Page, instances: tuple[str, str, str], without_barriers: Callable[[str], None]
) -> None:
    without_barriers("/")
    page.locator("#choose-all").check()
    page.click("#ask-delete")
    page.wait_for_url("**/delete*")
    assert barriers(page) == []


def test_a_study(page: Page, instances: tuple[str, str, str], without_barriers: Callable[[str], None]) -> None:
    without_barriers(f"/studies/{instances[0]}")
    page.wait_for_selector(".card .bars", state="attached")
    assert barriers(page) == []


def test_the_viewer(page: Page, instances: tuple[str, str, str], without_barriers: Callable[[str], None]) -> None:
    without_barriers(f"/viewer/?instance={instances[1]}")
    expect(page.locator("#film")).to_have_attribute("data-state", "shown")
    assert barriers(page) == []
    page.keyboard.press("a")
    page.keyboard.press("c")
    expect(page.locator(".priors-box")).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert barriers(page) == []
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    assert barriers(page) == []


def test_the_dialogs_of_a_review(
    page: Page, server: Server, instances: tuple[str, str, str], without_barriers: Callable[[str], None]
) -> None:
    uid = instances[1]
    without_barriers(f"/viewer/?instance={uid}")
    expect(page.locator("#film")).to_have_attribute("data-state", "shown")
    page.keyboard.press("s")
    expect(page.locator("#sign-dialog")).to_be_visible()
    assert barriers(page) == []
    page.locator("#sign-now").click()
    page.click("#history-box summary")
    expect(page.locator("#history li").first).to_be_visible()
    assert barriers(page) == []
    save_as_another(server, uid, "theirs")
    page.fill("#note", "mine")
    page.keyboard.press("Control+s")
    expect(page.locator("#conflict-dialog")).to_be_visible()
    assert barriers(page) == []


def test_the_viewer_on_what_has_no_reading(
    instances: tuple[str, str, str], without_barriers: Callable[[str], None]
) -> None:
    for address in (f"/viewer/?instance={instances[2]}", "/viewer/?instance=none", "/viewer/"):
        without_barriers(address)


def test_model_facts(without_barriers: Callable[[str], None]) -> None:
    for name in ("default", RELEASED):
        without_barriers(f"/models/{name}")


@pytest.mark.parametrize("locale", ["en", "de"])
def test_the_way_in_by_keyboard(browser: Browser, server: Server, locale: str) -> None:
    name, password = f"Dr. {locale}", "correct horse battery"
    link = make_link(server.context, account(server.context, name=name))
    with browser.new_context(base_url=server.url, locale=locale) as session:
        page = session.new_page()
        page.goto(f"/sign-in/once/{link.secret}")
        assert barriers(page) == []
        page.keyboard.type(password)
        page.keyboard.press("Tab")
        page.keyboard.type(password)
        page.keyboard.press("Enter")
        page.wait_for_url(f"{server.url}/")
        page.click(".user-name a")
        page.fill("#token-name", "scanner")
        page.locator("input[name=scope]").first.check()
        page.click("#make-token")
        expect(page.locator("#secret")).to_contain_text("dt_")
        assert barriers(page) == []
        page.click("#sign-out")
        page.wait_for_url("**/sign-in")
        assert barriers(page) == []
        page.goto("/?state=read")
        for typed in ("wrong", password):
            page.fill("#name", name)
            page.keyboard.press("Tab")
            page.keyboard.type(typed)
            page.keyboard.press("Enter")
            if typed == "wrong":
                expect(page.locator("#problem")).to_be_visible()
                assert barriers(page) == []
        page.wait_for_url("**/?state=read")


def test_accounts_by_keyboard_and_at_three_sizes(
    page: Page, server: Server, without_barriers: Callable[[str], None]
) -> None:
    without_barriers("/accounts")
    name = f"Somebody of a long name, {page.evaluate('navigator.language')}"
    page.focus("#name")
    page.keyboard.type(name)
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")  # from viewer to technician
    for _ in range(2):  # past the project, which is chosen already
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#secret")).to_contain_text(f"{server.url}/sign-in/once/")
    user = server.context.users.named(name)
    assert user.role is Role.TECHNICIAN
    accounts.token_of(server.context, user)
    accounts.cookie_of(server.context, user, server.data_dir)
    for address in ("/accounts", f"/accounts/{user.id}"):
        without_barriers(address)
        for width, height in ((390, 844), (820, 1180), (1440, 900)):
            page.set_viewport_size({"width": width, "height": height})
            assert layout_faults(page) == [], width
    page.focus("#disable")
    page.keyboard.press("Enter")
    expect(page.locator("#enable")).to_be_visible()
    assert barriers(page) == []
    assert server.context.users.get(user.id).is_disabled


def test_errors(without_barriers: Callable[[str], None]) -> None:
    for address in ("/studies/none", "/models/none", "/nothing"):
        without_barriers(address)
