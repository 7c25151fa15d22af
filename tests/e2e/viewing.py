"""What several modules do in the viewer."""

from playwright.sync_api import Page, expect


def shown(page: Page, uid: str | None = None) -> dict[str, str]:
    """What the film says of itself, once it is drawn."""
    film = page.locator("#film")
    if uid is not None:
        expect(film).to_have_attribute("data-uid", uid)
    expect(film).to_have_attribute("data-state", "shown")
    return dict(film.evaluate("film => ({ ...film.dataset })"))


def open_image(page: Page, uid: str, not_loaded: str = "not loaded") -> None:
    """Until the film is drawn and the stored review has come. not_loaded: what is said before it has, in English."""
    page.goto(f"/viewer/?instance={uid}")
    shown(page, uid)
    expect(page.locator("#review-state")).not_to_have_text(not_loaded)
    page.wait_for_load_state("networkidle")


def requested(page: Page) -> list[str]:
    """The addresses that the page asks for from now on."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    return asked


def drag(page: Page, dx: float, dy: float, *, start: tuple[float, float] = (0.5, 0.5)) -> None:
    """Across the film with the mouse; start: in parts of it."""
    box = page.locator("#film").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] * start[0], box["y"] + box["height"] * start[1]
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + dx / 2, y + dy / 2)
    page.mouse.move(x + dx, y + dy)
    page.mouse.up()


def top_findings(page: Page) -> list[str]:
    """The findings that have a heatmap beside the film, in their order."""
    return [str(name) for name in page.locator(".top-maps .map").evaluate_all("ms => ms.map(m => m.dataset.finding)")]
