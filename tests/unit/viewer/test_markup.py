import re

import pytest
from dash import dcc, html
from dash.development.base_component import Component

from diagnosis_tool.viewer.markup import markup


@pytest.mark.parametrize(
    ("component", "expected"),
    [
        (html.P('1 < 2 & "so"'), "<p>1 &lt; 2 &amp; &quot;so&quot;</p>"),
        (html.Span([html.B(3), " of ", None, html.I()]), "<span><b>3</b> of <i></i></span>"),
        (html.Img(src="/a?b=1&c=2", alt=""), '<img src="/a?b=1&amp;c=2" alt="">'),
        (html.Label("x", htmlFor="y", className="z"), '<label for="y" class="z">x</label>'),
        (html.Button("b", disabled=True, hidden=False, title=None), "<button disabled>b</button>"),
        (html.Div(style={"--ratio": "1.5", "top": "3%"}), '<div style="--ratio:1.5;top:3%"></div>'),
        (html.Canvas(id="film", tabIndex=0), '<canvas id="film" tabindex="0"></canvas>'),
        (dcc.Link("next", href="/n", id="go"), '<a href="/n" id="go">next</a>'),
        (dcc.Graph(id="g", className="trend", figure={"data": []}), '<div id="g" class="trend"></div>'),
        (dcc.Location(id="l"), ""),
        (None, ""),
    ],
)
def test_components_become_html(component: Component | None, expected: str) -> None:
    def parts(text: str) -> list[list[str]]:
        return [sorted(tag.split(" ")) for tag in re.split("[<>]", text)]  # Dash keeps no order of attributes

    assert parts(markup(component)) == parts(expected)


def test_aria_and_data_keep_their_names() -> None:
    button = html.Button("x", **{"aria-pressed": "false", "data-do": '"><script>'})  # type: ignore[arg-type]
    assert 'aria-pressed="false"' in markup(button)
    assert 'data-do="&quot;&gt;&lt;script&gt;"' in markup(button)


def test_a_store_is_data_that_cannot_end_its_script() -> None:
    found = markup(dcc.Store(id="reading", data={"name": "</script><!-- ü"}))
    assert found == (
        '<script type="application/json" id="first-reading">{"name": "\\u003c/script>\\u003c!-- ü"}</script>'
    )


def test_a_slider_has_the_frame_that_dash_gives_it() -> None:
    found = markup(dcc.Input(id="opacity", type="range", min=0, max=1, step=0.01, value=0.6))
    assert found.startswith('<div class="dash-input-container"><input ')
    assert all(part in found for part in ('type="range"', 'min="0"', 'value="0.6"', 'class="dash-input-element"'))
