"""The pure parts of the viewer's scripts, in the browser that runs them: windows, geometry, scales, two reviews."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Route

from diagnosis_tool import resources

pytestmark = pytest.mark.e2e

Call = Callable[..., Any]
_IMAGE = {"width": 400, "height": 200}
_SIZE = [800, 600]


def view(**parts: Any) -> dict[str, Any]:
    return {"scale": 1, "x": 0.5, "y": 0.5, "turns": 0, "flipped": False, **parts}


@pytest.fixture(scope="module")
def call(browser: Browser) -> Iterator[Call]:
    """Runs a function of (module, …args), or an exported one by its name, in a page that may import static/js."""

    def serve(route: Route) -> None:
        file = resources.static_dir() / route.request.url.split("//", 1)[1].split("/", 1)[1]
        if file.is_file():
            route.fulfill(body=file.read_bytes(), content_type="text/javascript")
        else:
            route.fulfill(body="<!DOCTYPE html>", content_type="text/html")

    page = browser.new_page()
    page.route("**/*", serve)
    page.goto("http://scripts.test/")

    def run(module: str, what: str, *args: Any) -> Any:
        function = f"({what})(m, ...args)" if "=>" in what else f"m.{what}(...args)"
        imported = f"const m = await import('/js/viewer/{module}.js');"
        return page.evaluate(f"async (args) => {{ {imported} return {function}; }}", list(args))

    yield run
    page.close()


# ---- greys --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bits", "low", "high", "inverted"),
    [(8, 0, 255, False), (8, 50, 200, False), (8, 50, 200, True), (16, 300, 3300, False), (8, -40, 300, False)],
)
def test_a_window_maps_its_ends_to_black_and_white(
    call: Call, bits: int, low: float, high: float, inverted: bool
) -> None:
    table = call("pixels", "(m, ...args) => [...m.windowTable(...args)]", bits, low, high, inverted)
    values = np.arange(2**bits)
    grey = np.clip(np.floor((values - low) * 255 / (high - low) + 0.5), 0, 255).astype(int)  # as Math.round does
    grey = 255 - grey if inverted else grey
    colours = np.array(table, np.uint32).view(np.uint8).reshape(-1, 4)
    assert np.array_equal(colours[:, :3], np.repeat(grey[:, None], 3, axis=1))
    assert (colours[:, 3] == 255).all()  # opaque


def test_a_window_without_width_is_a_step(call: Call) -> None:
    table = call("pixels", "(m) => [...m.windowTable(8, 100, 100, false)].map((c) => c & 255)")
    assert table == [0] * 101 + [255] * 155


@pytest.mark.parametrize(("height", "width"), [(4, 6), (5, 7), (1, 9), (2, 1)])
def test_halving_takes_the_mean_of_four_and_repeats_an_odd_edge(call: Call, height: int, width: int) -> None:
    values = np.random.default_rng(0).integers(0, 65536, (height, width))
    half = call(
        "pixels",
        "(m, values, width, height) => { const half = m.halved({ values: new Uint16Array(values), width, height });"
        " return [[...half.values], half.width, half.height]; }",
        values.ravel().tolist(), width, height,
    )  # fmt: skip
    even = np.pad(values, ((0, height % 2), (0, width % 2)), mode="edge")
    expected = (even[::2, ::2] + even[::2, 1::2] + even[1::2, ::2] + even[1::2, 1::2] + 2) >> 2
    assert half == [expected.ravel().tolist(), expected.shape[1], expected.shape[0]]


_PIXELS = """(m, bits, values, width, height, use) => {
  const pixels = new m.Pixels(new (bits > 8 ? Uint16Array : Uint8Array)(values), width, height, { bits });
  return eval(use);
}"""


def test_a_film_is_halved_until_it_is_small(call: Call) -> None:
    sizes = "pixels.levels.map((l) => [l.width, l.height])"
    assert call("pixels", _PIXELS, 8, [0] * 1100 * 30, 1100, 30, sizes) == [[1100, 30], [550, 15], [275, 8]]
    assert call("pixels", _PIXELS, 8, [0] * 512, 512, 1, sizes) == [[512, 1]]


@pytest.mark.parametrize(
    ("bits", "preset", "ends"),
    [
        (8, "standard", (0, 1)),  # who made the file windowed it
        (8, "full", (0, 1)),
        (8, "bones", (55 / 255, 99 / 255)),
        (16, "standard", (0, 1)),
        (16, "custom", (0, 1)),
        (16, "lungs", (1 / 99, 60 / 99)),
    ],
)
def test_presets_are_parts_of_the_films_own_greys(
    call: Call, bits: int, preset: str, ends: tuple[float, float]
) -> None:
    window = call("pixels", _PIXELS, bits, list(range(100)), 10, 10, f"pixels.presetWindow('{preset}')")
    assert (window["low"], window["high"]) == pytest.approx(ends)


def test_a_film_of_one_grey_has_a_window_all_the_same(call: Call) -> None:
    window = call("pixels", _PIXELS, 16, [700] * 4, 2, 2, "pixels.presetWindow('lungs')")
    assert window["high"] > window["low"]
    ends = call("pixels", _PIXELS, 16, [700] * 4, 2, 2, "[pixels.low, pixels.high, pixels.part(pixels.grey(0.25))]")
    assert ends == [700, 701, 0.25]


# ---- geometry -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("turns", "zoom"), [(0, 2), (1, 1.5), (2, 2), (3, 1.5)])
def test_a_film_fits_whichever_way_it_is_turned(call: Call, turns: int, zoom: float) -> None:
    assert call("geometry", "fitZoom", view(turns=turns), _SIZE, _IMAGE) == zoom


def test_zoom_is_bounded_and_a_tiny_film_still_fits(call: Call) -> None:
    assert [call("geometry", "boundedZoom", zoom, 2) for zoom in (0.001, 1, 1000)] == [0.5, 1, 32]
    assert call("geometry", "boundedZoom", 50, 60) == 50


@pytest.mark.parametrize(
    ("how", "corner"),
    [({}, (0, 100)), ({"flipped": True}, (800, 100)), ({"turns": 1}, (550, 0)), ({"scale": 2}, (-400, -100))],
)
def test_where_the_films_first_corner_stands(call: Call, how: dict[str, Any], corner: tuple[float, float]) -> None:
    code = "(m, ...a) => { const p = m.matrixOf(...a).transformPoint({ x: 0, y: 0 }); return [p.x, p.y]; }"
    assert call("geometry", code, view(**how), _SIZE, _IMAGE) == pytest.approx(corner)


def test_what_is_visible_is_never_more_than_the_film(call: Call) -> None:
    code = "(m, ...a) => m.visiblePart(m.matrixOf(...a), a[1], a[2])"
    assert call("geometry", code, view(), _SIZE, _IMAGE) == {"left": 0, "right": 400, "top": 0, "bottom": 200}
    near = call("geometry", code, view(scale=4, x=0.25), _SIZE, _IMAGE)
    assert near == pytest.approx({"left": 50, "right": 150, "top": 62.5, "bottom": 137.5})


def test_the_smallest_level_that_has_a_pixel_for_each_of_the_screen(call: Call) -> None:
    for zoom in (0.01, 0.1, 0.125, 0.2499, 0.25, 0.26, 0.5, 0.51, 1, 3):
        expected = max(k for k in range(4) if k == 0 or zoom * 2**k <= 1)
        assert call("geometry", "levelFor", zoom, 4) == expected, zoom


def test_a_tile_holds_what_is_visible_and_no_more_than_there_is(call: Call) -> None:
    level, visible = {"width": 100, "height": 50}, {"left": 41, "right": 83, "top": 0, "bottom": 200}
    assert call("geometry", "tileOf", visible, level, 2) == {"x": 9, "y": 0, "width": 13, "height": 50}
    assert call("geometry", "tileOf", {**visible, "left": 500, "right": 500}, level, 2) is None


@pytest.mark.parametrize(
    ("spacing", "turns", "zoom", "bar"),
    [
        ([0.2, 0.4], 0, 1, {"mm": 100, "px": 250}),  # a column is 0.4 mm wide; 200 mm would take more than a third
        ([0.2, 0.4], 1, 1, {"mm": 50, "px": 250}),
        ([0.2, 0.4], 0, 2000, {"mm": 1, "px": 5000}),
        (None, 0, 1, None),
    ],
)
def test_the_scale_is_a_round_length(
    call: Call, spacing: list[float] | None, turns: int, zoom: float, bar: dict[str, float] | None
) -> None:
    assert call("geometry", "scaleBar", spacing, turns, 800, zoom) == bar


def test_a_box_has_whole_pixels_of_the_film(call: Call) -> None:
    a, b = {"x": 10.4, "y": 90.6}, {"x": -7, "y": 20.2}
    assert call("geometry", "boxBetween", a, b, _IMAGE) == {"x": 0, "y": 20, "width": 10, "height": 71}
    assert call("geometry", "boxBetween", {"x": -9, "y": 5}, {"x": -2, "y": 50}, _IMAGE) is None


def test_a_box_without_a_mouse_is_in_the_middle_of_what_is_visible(call: Call) -> None:
    visible = {"left": 100, "right": 300, "top": 40, "bottom": 120}
    assert call("geometry", "boxInTheMiddle", visible) == {"x": 175, "y": 70, "width": 50, "height": 20}
    assert call("geometry", "boxInTheMiddle", {**visible, "right": 101})["width"] == 1


@pytest.mark.parametrize(
    ("step", "is_size", "changed"),
    [([1, 0], False, {"x": 104}), ([0, -1], False, {"y": 48}), ([-1, 1], True, {"width": 46, "height": 22})],
)
def test_a_box_moves_by_a_hundredth_of_the_film(
    call: Call, step: list[int], is_size: bool, changed: dict[str, int]
) -> None:
    box = {"x": 100, "y": 50, "width": 50, "height": 20}
    assert call("geometry", "nudged", box, step, is_size, _IMAGE) == {**box, **changed}


def test_a_box_never_leaves_the_film(call: Call) -> None:
    box = {"x": 350, "y": 0, "width": 50, "height": 20}
    assert call("geometry", "nudged", box, [1, -1], False, _IMAGE) == box
    assert call("geometry", "nudged", box, [1, 0], True, _IMAGE) == box
    assert call("geometry", "nudged", {**box, "width": 2}, [-1, 0], True, _IMAGE)["width"] == 1


# ---- two readers --------------------------------------------------------------------------------------------------


def test_two_opinions_are_joined_without_saying_the_same_twice(call: Call) -> None:
    box, other = {"finding": "Mass", "x": 1, "y": 2, "width": 3, "height": 4}, {"finding": "Mass", "x": 9}
    theirs = {"verdicts": {"Mass": "agree", "Edema": "unsure"}, "added": ["Fracture"], "note": "one", "boxes": [box]}
    mine = {"verdicts": {"Mass": "disagree"}, "added": ["Fracture", "Scoliosis"], "note": "two", "boxes": [box, other]}
    assert call("opinions", "joined", theirs, mine) == {
        "verdicts": {"Mass": "disagree", "Edema": "unsure"},
        "added": ["Fracture", "Scoliosis"],
        "note": "one\ntwo",
        "boxes": [box, other],
    }
    assert call("opinions", "joined", theirs, {**mine, "note": "one"})["note"] == "one"
