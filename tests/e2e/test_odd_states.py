"""What a reader rarely meets: a reading that failed, a patient of sixty years of films, a film one pixel wide."""

import sqlite3
from io import BytesIO

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.conftest import phantom_png
from tests.dicom_files import dicom
from tests.e2e.browser import layout_faults
from tests.serving import Server

pytestmark = pytest.mark.e2e

_REASON = "The reading was interrupted three times."


def broken(server: Server, seed: int) -> tuple[str, str]:
    """(study, image) of a film whose reading failed as when its worker died again and again."""
    study = server.upload([("film.png", phantom_png(seed, 256))])
    server.finished(study)
    uid = server.image_uids(study)[0]
    with sqlite3.connect(server.data_dir / "diagnosis_tool.sqlite", timeout=60) as db:
        db.execute(
            "UPDATE instances SET state = 'failed', error = ?, prediction_id = NULL WHERE uid = ?", (_REASON, uid)
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
    study = server.upload(films)
    server.finished(study)
    last = server.image_uids(study)[-1]
    page.goto(f"/viewer/?instance={last}")
    expect(page.locator("#film")).to_have_attribute("data-state", "shown")
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
    server.finished(server.upload([("film.dcm", film)]))
    page.goto("/")
    page.fill("#search", typed)
    page.press("#search", "Enter")
    expect(page.locator("#worklist tbody tr")).to_have_count(1)
    expect(page.locator("#worklist tbody")).to_contain_text(name.split("^")[0])


def test_report_and_model_facts_are_a_click_away(page: Page, server: Server) -> None:
    study = server.upload([("film.png", phantom_png(13, 256))])
    server.finished(study)
    page.goto(f"/studies/{study}")
    report = page.get_by_role("link", name="Report (PDF)")
    answer = page.request.get(str(report.get_attribute("href")))
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.body().startswith(b"%PDF")
    page.get_by_role("link", name="Model facts").click()
    expect(page.locator("main")).to_contain_text("not a medical device")
