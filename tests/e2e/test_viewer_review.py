"""The review in the viewer: by mouse and by keyboard, not saved, by two at once, of a study that is gone."""

import json

import pytest
from playwright.sync_api import Page, expect

from testing.serving import Server
from tests.e2e.others import review_of, save_as_another
from tests.e2e.viewing import drag, open_image, shown, top_findings

pytestmark = pytest.mark.e2e


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
    for key in ("1", "a", "2", "d", "3", "u", "Shift+B", "Alt+ArrowRight", "Alt+Shift+ArrowDown", "n"):
        press(key)
    page.keyboard.type("as before, j and s are letters here")
    press("Escape")
    press("Control+s")
    expect(page.locator("#review-words")).to_have_text("Saved.")
    press("s")
    expect(page.locator("#sign-dialog")).to_be_visible()
    press("Enter")
    expect(page.locator("#review-state")).to_contain_text("● signed:")
    saved = review_of(server, uid)
    assert saved["verdicts"] == dict(zip(top_findings(page), ("agree", "disagree", "unsure"), strict=False))
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
    unwatched_page: Page, server: Server, uids: list[str], answer: str, note: str
) -> None:
    page, uid = unwatched_page, uids[2]  # the conflict is an answer of 409, which a watched page may not get
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


def test_a_study_deleted_in_another_tab_is_said(unwatched_page: Page, uids: list[str]) -> None:
    page = unwatched_page
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
