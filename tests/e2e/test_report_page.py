"""The comparison page in a real browser: it draws, asks for nothing, runs nothing from data, and fits 1280 pixels."""

import io

import pytest
from PIL import Image
from playwright.sync_api import Browser

from tests.made_up_runs import made_up, outputs_named, write_folds, write_run
from training.commands import main

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_draws_in_both_themes(tmp_path, scheme, browser: Browser):
    evil = outputs_named("<img src=x onerror=alert(1)>", "</script><script>alert(2)</script>")
    paths = [
        write_folds(tmp_path / "cv", "nih14-effnet_b7-adam-exponential", folds=2, count=80),
        write_run(tmp_path / "own", "<b>own</b>", made_up(evil, count=80, dataset="own")),
    ]
    assert main(["compare", *map(str, paths), "--out", str(tmp_path / "out")]) == 0
    said, asked = [], []
    page = browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme=scheme)
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: asked.append(request.url))
    page.goto((tmp_path / "out" / "comparison.html").as_uri())
    drawn = page.locator("figure > svg").count()
    page.add_style_tag(content="figure path:not(.mark) { visibility: hidden; }")
    marks = Image.open(io.BytesIO(page.locator("figure").first.screenshot())).convert("RGB")
    wide = page.evaluate(
        "Math.max(...[...document.querySelectorAll('.wide, html')].map(e => e.scrollWidth - e.clientWidth))"
    )
    page.close()
    assert said == []
    assert len(asked) == 1
    assert drawn == 2 * 3 + 2 * 4
    assert (0x2F, 0x7F, 0xD6) in {colour for _, colour in marks.getcolors(marks.width * marks.height)}
    assert wide <= 0
