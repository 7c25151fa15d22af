"""What a reader rarely meets: a prediction that failed, a patient of sixty years of films, a film one pixel wide."""

import sqlite3
from io import BytesIO

import pytest
from PIL import Image
from playwright.sync_api import Page, Route, expect

from diagnosis_tool.domain.studies import Reason
from diagnosis_tool.storage.instances import reason_text
from testing.browser import layout_faults
from testing.serving import Server
from tests.conftest import phantom_png
from tests.dicom_files import dicom
from tests.e2e.viewing import open_image, requested, shown

pytestmark = pytest.mark.e2e

_REASON = "The reading was interrupted three times."


def broken(server: Server, seed: int) -> tuple[str, str]:
    """(study, image) of a film whose prediction failed as when its worker died again and again."""
    study, (uid,) = server.predicted([("film.png", phantom_png(seed, 256))])
    with sqlite3.connect(server.data_dir / "diagnosis_tool.sqlite", timeout=60) as db:
        db.execute(
            "UPDATE instances SET state = 'failed', error = ?, prediction_id = NULL WHERE uid = ?",
            (reason_text(Reason(message=_REASON)), uid),
        )
    return study, uid


def test_a_failed_image_is_tried_again_in_the_viewer(page: Page, server: Server) -> None:
    _, uid = broken(server, 11)
    page.goto(f"/viewer/?instance={uid}")
    notice = page.locator(".notice")
    expect(notice).to_contain_text(_REASON)
    expect(notice).not_to_contain_text("negative")
    page.keyboard.press("Tab")
    page.locator("#retry").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#film")).to_have_attribute("data-state", "shown")


def test_a_failed_image_is_tried_again_on_the_study_page(page: Page, server: Server) -> None:
    study, _ = broken(server, 12)
    page.goto(f"/studies/{study}")
    expect(page.locator(".card")).to_contain_text(_REASON)
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".card .bars").first).to_be_attached()
    expect(page.locator(".card")).not_to_contain_text(_REASON)


def test_sixty_priors_fit_the_screen(page: Page, server: Server) -> None:
    films = [(f"{1960 + k}.dcm", dicom(PatientID="P60", AcquisitionDate=f"{1960 + k}0101")) for k in range(61)]
    _, uids = server.predicted(films)
    open_image(page, uids[-1])
    expect(page.locator("[data-prior]")).to_have_count(60)
    page.keyboard.press("c")
    expect(page.locator("#prior-title")).to_contain_text("2019-01-01")
    page.locator("[data-prior]").last.click()
    expect(page.locator("#prior-film")).to_have_attribute("data-state", "shown")
    assert page.evaluate("document.documentElement.scrollHeight <= innerHeight")
    assert layout_faults(page) == []


def test_a_film_one_pixel_wide_is_refused_with_words(page: Page, server: Server) -> None:
    buffer = BytesIO()
    Image.new("L", (1, 600), 90).save(buffer, "PNG")
    study = server.upload([("thin.png", buffer.getvalue())])
    (image,) = server.finished(study)["instances"]
    assert image["state"] == "refused"
    page.goto(f"/studies/{study}")
    expect(page.locator(".card")).to_contain_text(image["error"])
    uid = server.image_uids(study)[0]
    page.goto(f"/viewer/?instance={uid}")
    expect(page.locator(".notice")).to_contain_text(image["error"])


@pytest.mark.parametrize(("name", "typed"), [("Σοφία^Ωμέγα", "σοφ"), ("山田^太郎", "山田"), ("محمد^علي", "محمد")])
def test_a_name_in_any_script_is_shown_and_found(page: Page, server: Server, name: str, typed: str) -> None:
    film = dicom(PatientID=f"P-{typed}", PatientName=name, SpecificCharacterSet="ISO_IR 192")
    server.predicted([("film.dcm", film)])
    page.goto("/")
    page.fill("#search", typed)
    page.press("#search", "Enter")
    expect(page.locator("#worklist tbody tr")).to_have_count(1)
    expect(page.locator("#worklist tbody")).to_contain_text(name.split("^")[0])


def test_report_and_model_facts_are_a_click_away(page: Page, server: Server) -> None:
    study, _ = server.predicted([("film.png", phantom_png(13, 256))])
    page.goto(f"/studies/{study}")
    report = page.get_by_role("link", name="Report (PDF)")
    answer = page.request.get(str(report.get_attribute("href")))
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.body().startswith(b"%PDF")
    page.get_by_role("link", name="Model facts").click()
    expect(page.locator("main")).to_contain_text("not a medical device")


@pytest.fixture(scope="module")
def pair(server: Server) -> list[str]:
    """Two films of one patient, the earlier one first."""
    films = [(f"{year}.dcm", dicom(PatientID="P2", AcquisitionDate=f"{year}0101")) for year in (2020, 2024)]
    return server.predicted(films)[1]


def test_the_page_opens_without_asking_a_callback_and_goes_on_as_it_was_left(page: Page, pair: list[str]) -> None:
    asked = requested(page)
    page.goto(f"/viewer/?instance={pair[1]}")
    expect(page.locator("#film")).to_have_attribute("data-state", "shown")
    expect(page.locator("#trend .scatterlayer .point").first).to_be_visible()
    assert not [url for url in asked if "_dash-update-component" in url]
    assert len([url for url in asked if url.endswith(f"{pair[1]}/pixels")]) == 1
    page.get_by_role("button", name="By probability").click()
    page.locator("#opacity").fill("0.3")
    page.keyboard.press("i")
    page.evaluate("window.isSamePage = true")
    page.keyboard.press("k")
    expect(page.locator("#film")).to_have_attribute("data-uid", pair[0])
    expect(page.locator("#opacity")).to_have_value("0.3")
    expect(page.locator("#invert")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("button", name="By probability")).to_have_attribute("aria-pressed", "true")
    assert page.evaluate("window.isSamePage")


@pytest.mark.parametrize("said", ["", "/viewer/"])
def test_a_browser_that_does_not_say_where_it_is_asks_the_callback(
    page: Page, server: Server, pair: list[str], said: str
) -> None:
    asked = requested(page)
    told = {"referer": server.url + said} if said else {}

    def unsaid(route: Route) -> None:
        others = {name: value for name, value in route.request.all_headers().items() if name != "referer"}
        route.fulfill(response=route.fetch(headers=others | told))

    page.route("**/_dash-layout", unsaid)
    page.goto(f"/viewer/?instance={pair[1]}")
    shown(page, pair[1])
    assert [url for url in asked if "_dash-update-component" in url]


def test_who_goes_back_sees_the_image_of_that_page(page: Page, pair: list[str]) -> None:
    for uid in pair:
        page.goto(f"/viewer/?instance={uid}")
        expect(page.locator("#film")).to_have_attribute("data-uid", uid)
    page.go_back()
    expect(page.locator("#film")).to_have_attribute("data-uid", pair[0])


def test_a_question_about_one_image_is_not_asked_of_another(page: Page, pair: list[str]) -> None:
    open_image(page, pair[0])
    page.keyboard.press("j")
    expect(page.locator("#film")).to_have_attribute("data-uid", pair[1])
    expect(page.locator("#review-state")).not_to_have_text("not loaded")
    page.keyboard.press("s")
    expect(page.locator("#sign-dialog")).to_be_visible()
    page.go_back()
    expect(page.locator("#film")).to_have_attribute("data-uid", pair[0])
    expect(page.locator("#sign-dialog")).to_be_hidden()


def test_a_late_signature_is_not_taken_for_another_images_review(page: Page, pair: list[str]) -> None:
    held: list[Route] = []
    page.route("**/review/sign", lambda route: held.append(route))
    open_image(page, pair[0])
    page.keyboard.press("s")
    with page.expect_request("**/review/sign"):
        page.locator("#sign-now").click()
    page.keyboard.press("j")
    expect(page.locator("#film")).to_have_attribute("data-uid", pair[1])
    expect(page.locator("#review-state")).not_to_have_text("not loaded")
    with page.expect_response("**/review/sign") as signed:
        held[0].continue_()
    assert signed.value.ok
    page.wait_for_load_state("networkidle")
    expect(page.locator("#review-state")).not_to_contain_text("signed:")


def test_what_is_done_before_the_review_has_come_is_kept(page: Page, pair: list[str]) -> None:
    held: list[Route] = []
    page.route("**/review.json", lambda route: held.append(route))
    page.goto(f"/viewer/?instance={pair[0]}")
    expect(page.locator("#film")).to_have_attribute("data-state", "shown")
    page.keyboard.press("1")
    page.keyboard.press("d")
    page.keyboard.press("2")
    page.fill("#note", "early")
    expect(page.locator("#review-state")).to_have_text("not loaded")
    held[0].continue_()
    expect(page.locator("#review-state")).to_contain_text("not saved")
    expect(page.locator("#note")).to_have_value("early")
    first = page.locator(".top-maps .map").first.get_attribute("data-finding")
    expect(page.locator(f".finding-row[data-finding='{first}']")).to_have_attribute("data-verdict", "✗")
    page.keyboard.press("Control+s")
    expect(page.locator("#review-words")).to_have_text("Saved.")
