"""Regenerates docs/screenshots from phantoms: python -m tests.e2e.screenshots. No patient's film is ever in them."""

import sys
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from PIL import Image
from playwright.sync_api import Page

from diagnosis_tool import resources
from diagnosis_tool.cxr.bundle import DEFAULT_FILE
from tests.bundles import write_bundle
from tests.e2e.browser import WIDTHS, chromium, layout_faults
from tests.serving import Server, serve
from training.phantom import Anatomy, chest_phantom

FOLDER: Final = Path(__file__).resolve().parents[2] / "docs" / "screenshots"
_PEOPLE: Final = {
    "phantom-effusion.png": Anatomy(effusion=0.35),
    "phantom-large-heart.png": Anatomy(heart_size=1.4),
    "phantom-nodule.png": Anatomy(nodule=0.04),
}


def films() -> list[tuple[str, bytes]]:
    """(name, PNG) of three phantoms, each with a shadow."""
    made = []
    for seed, (name, person) in enumerate(_PEOPLE.items()):
        buffer = BytesIO()
        Image.fromarray(chest_phantom(seed, anatomy=person)).save(buffer, "PNG")
        made.append((name, buffer.getvalue()))
    return made


def bundle(folder: Path) -> Path | str:
    """The released default; random weights while there is none."""
    if (resources.models_dir() / DEFAULT_FILE).is_file():
        return "default"
    print("No bundle is released yet: random weights, every number is meaningless.", file=sys.stderr)
    return write_bundle(folder / "random")


def take(page: Page, server: Server, folder: Path, study: str) -> list[str]:
    """Saves the three pages at this page's size; returns what is wrong with their layout."""
    width = (page.viewport_size or {"width": 0})["width"]
    chosen = [{"name": name, "mimeType": "image/png", "buffer": data} for name, data in films()]
    faults = []

    def shoot(name: str) -> None:
        page.wait_for_load_state("networkidle")
        page.wait_for_timeout(500)
        page.screenshot(path=folder / f"{name}-{width}.png")
        faults.extend(f"{name} at {width}: {fault}" for fault in layout_faults(page))

    page.goto(f"{server.url}/")
    page.set_input_files("#files", chosen)
    shoot("upload")
    page.goto(f"{server.url}/studies/{study}")
    page.wait_for_selector(".card:nth-of-type(3) .bars")
    shoot("study")
    page.click("text=Open viewer")
    page.wait_for_selector("#chart .bars")
    shoot("viewer")
    return faults


def main() -> int:
    """Runs server and browser, saves the pictures; 1 when a page's layout is at fault."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    faults: list[str] = []
    with TemporaryDirectory() as scratch, serve(Path(scratch) / "data", bundle(Path(scratch))) as server:
        study = server.upload(films())
        server.finished(study)
        with chromium() as browser:
            for width, height in WIDTHS:
                page = browser.new_page(viewport={"width": width, "height": height})
                faults += take(page, server, FOLDER, study)
                page.close()
    print("\n".join(faults) or f"Saved in {FOLDER}.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
