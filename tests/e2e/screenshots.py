"""Regenerates docs/screenshots from phantoms: python -m tests.e2e.screenshots. No patient's film is ever in them."""

import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import pypdfium2
from PIL import Image
from playwright.sync_api import Page, expect

from diagnosis_tool import resources
from diagnosis_tool.cxr.bundle import DEFAULT_FILE
from testing.browser import WIDTHS, chromium, layout_faults, signed_in
from testing.bundles import write_bundle
from testing.serving import Server, serve
from tests.dicom_files import dicom
from tests.e2e.viewing import open_image
from training.phantom import Anatomy, chest_phantom

FOLDER: Final = Path(__file__).resolve().parents[2] / "docs" / "screenshots"
_PEOPLE: Final = {
    "phantom-effusion.png": Anatomy(effusion=0.35),
    "phantom-large-heart.png": Anatomy(heart_size=1.4),
    "phantom-nodule.png": Anatomy(nodule=0.04),
}
_EFFUSIONS: Final = {"20240214": 0.1, "20250301": 0.2, "20260710": 0.4}
"""One phantom's pleural effusion, by the day of the film."""


def films() -> list[tuple[str, bytes]]:
    """(name, PNG) of three phantoms, each with a shadow."""
    made = []
    for seed, (name, person) in enumerate(_PEOPLE.items()):
        buffer = BytesIO()
        Image.fromarray(chest_phantom(seed, anatomy=person)).save(buffer, "PNG")
        made.append((name, buffer.getvalue()))
    return made


def history() -> list[tuple[str, bytes]]:
    """(name, DICOM of 12 bits) of one phantom on three days, oldest first."""
    made = []
    for day, effusion in _EFFUSIONS.items():
        pixels = chest_phantom(7, anatomy=Anatomy(effusion=effusion)).astype(np.uint16) * 16
        file = dicom(
            pixels, PatientID="PHANTOM-7", PatientName="Phantom^Petra", PatientSex="F", PatientAge="057Y",
            AcquisitionDate=day, BitsStored=12, HighBit=11, PixelSpacing=[0.35, 0.35],
        )  # fmt: skip
        made.append((f"phantom-{day}.dcm", file))
    return made


def bundle(folder: Path) -> Path | str:
    """The released default; random weights while there is none."""
    if (resources.models_dir() / DEFAULT_FILE).is_file():
        return "default"
    print("No bundle is released yet: random weights, every number is meaningless.", file=sys.stderr)
    return write_bundle(folder / "random")


def review(page: Page, instance: str) -> None:
    """Agrees, draws a box, disagrees, writes a note and saves."""
    open_image(page, instance)
    page.keyboard.press("a")
    page.keyboard.press("b")
    pane = page.locator("#film").bounding_box()
    assert pane is not None
    page.mouse.move(pane["x"] + pane["width"] * 0.56, pane["y"] + pane["height"] * 0.52)
    page.mouse.down()
    page.mouse.move(pane["x"] + pane["width"] * 0.78, pane["y"] + pane["height"] * 0.84, steps=4)
    page.mouse.up()
    for key in ("g", "ArrowDown", "d", "n"):
        page.keyboard.press(key)
    page.keyboard.type("Blunt angle on the left, more than in 2025.")
    page.keyboard.press("Control+s")
    expect(page.locator("#review-state")).to_contain_text("draft")


def draw_report(server: Server, instance: str, folder: Path) -> None:
    """Saves the report as wide as the pages are."""
    with pypdfium2.PdfDocument(server.get(f"/instances/{instance}/report.pdf")) as document:
        page = document[0]
        for width, _ in WIDTHS:
            page.render(scale=width / page.get_width()).to_pil().save(folder / f"report-{width}.png", optimize=True)
        page.close()


def take(page: Page, shoot: Callable[[str], None], study: str, instance: str) -> None:
    """Shoots every page at this page's size. study: the three phantoms; instance: the one with a history."""
    chosen = [{"name": name, "mimeType": "image/png", "buffer": data} for name, data in films()]
    page.goto("/")
    page.set_input_files("#files", chosen)
    shoot("worklist")
    page.goto(f"/studies/{study}")
    page.wait_for_selector(".card:nth-of-type(3) .bars")
    shoot("study")
    page.click("text=Open viewer")
    expect(page.locator("#film")).to_have_attribute("data-state", "shown")
    shoot("viewer")
    open_image(page, instance)
    shoot("review")
    page.keyboard.press("c")
    expect(page.locator("#prior-film")).to_have_attribute("data-state", "shown")
    shoot("priors")
    page.goto("/models/default")
    shoot("model")


def main() -> int:
    """Runs server and browser, saves the pictures; 1 when a page's layout is at fault."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=60_000)
    faults: list[str] = []
    with TemporaryDirectory() as scratch, serve(Path(scratch) / "data", bundle(Path(scratch))) as server:
        _, (*_, instance) = server.predicted(history())
        study, _ = server.predicted(films())
        with chromium() as browser:
            for width, height in WIDTHS:
                page = signed_in(browser, server, viewport={"width": width, "height": height}).new_page()
                page.set_default_timeout(60_000)

                def shoot(name: str, page: Page = page, width: int = width) -> None:
                    page.wait_for_load_state("networkidle")
                    page.wait_for_timeout(500)
                    page.screenshot(path=FOLDER / f"{name}-{width}.png")
                    faults.extend(f"{name} at {width}: {fault}" for fault in layout_faults(page))

                if not server.get_json(f"/instances/{instance}/review.json")["revision"]:
                    review(page, instance)
                take(page, shoot, study, instance)
                page.close()
        draw_report(server, instance, FOLDER)
    print("\n".join(faults) or f"Saved in {FOLDER}.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
