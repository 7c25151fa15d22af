"""What the viewer shows for an address, without a browser."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from dash.development.base_component import Component
from flask import Flask

from diagnosis_tool.app import create_app
from diagnosis_tool.cxr.findings import NIH_OUTPUTS
from diagnosis_tool.services.context import Context
from diagnosis_tool.services.submit import Upload, submit_study
from diagnosis_tool.settings import Settings
from diagnosis_tool.viewer import callbacks, ids, layout, links
from tests.conftest import phantom_png
from tests.fakes.classifier import FakeClassifier
from tests.reading import read_all

Study = Callable[..., list[str]]


@pytest.fixture
def study(context: Context) -> Study:
    """Stores files, lets some be read; gives the instances' uids."""

    def make(*files: bytes, read: bool = True, outputs: tuple[str, ...] = NIH_OUTPUTS) -> list[str]:
        uploads = []
        for number, data in enumerate(files):
            blob = context.blobs.pending()
            blob.write(data)
            uploads.append(Upload(file_name=f"{number}.png", blob=blob))
        stored = submit_study(context, uploads, user_id=1)
        if read:
            read_all(context, FakeClassifier(outputs=outputs))
        return [instance.uid for instance in stored.instances]

    return make


def found(children: list[Component]) -> dict[str, Component]:
    """All components that have a text id."""
    everything = [c for child in children for c in (child, *child._traverse())]
    return {c.id: c for c in everything if isinstance(getattr(c, "id", None), str)}


def text(children: list[Component]) -> str:
    return json.dumps([child.to_plotly_json() for child in children], default=lambda c: c.to_plotly_json())


def test_a_read_image_has_film_overlay_chart_and_top_four(context: Context, study: Study) -> None:
    first, second = study(phantom_png(1), phantom_png(2))
    children, is_final = callbacks.content(context, f"?instance={second}")
    components = found(children)
    assert is_final
    assert {ids.READING, ids.SELECTED, ids.STAGE, ids.OVERLAY, ids.OPACITY, ids.CHART, ids.SAVE_CHART} <= set(
        components
    )
    facts = components[ids.READING].data
    assert len(facts["outputs"]) == 15
    assert set(facts["figures"]) == {"anatomical", "probability"}
    assert components[ids.SELECTED].data == "Pneumothorax"
    shown = text(children)
    assert shown.count('"type": "map"') == 4
    assert "2 of 2" in shown
    assert links.viewer(first) in shown
    assert "fake-1" in shown
    assert "relative, this image only" in shown


@pytest.mark.parametrize(
    ("outputs", "maps", "selected"),
    [(("normal", "pneumonia", "COVID-19"), 2, "COVID-19"), (("Pneumonia",), 1, "Pneumonia")],
)
def test_a_bundle_of_three_outputs_or_of_one(
    context: Context, study: Study, outputs: tuple[str, ...], maps: int, selected: str
) -> None:
    (uid,) = study(phantom_png(1), outputs=outputs)
    children, is_final = callbacks.content(context, f"?instance={uid}")
    components = found(children)
    assert is_final
    assert list(components[ids.READING].data["outputs"]) == list(outputs)
    assert components[ids.SELECTED].data == selected  # never "normal": it says that there is nothing to see
    assert text(children).count('"type": "map"') == maps


def test_the_address_may_name_a_finding(context: Context, study: Study) -> None:
    (uid,) = study(phantom_png(1))
    for wanted, selected in (("Mass", "Mass"), ("No Finding", "No Finding"), ("Gout", "Pneumothorax")):
        children, _ = callbacks.content(context, f"?instance={uid}&finding={wanted}")
        assert found(children)[ids.SELECTED].data == selected


def test_below_its_operating_point_a_map_is_marked(context: Context, study: Study) -> None:
    (uid,) = study(phantom_png(1))
    facts = found(callbacks.content(context, f"?instance={uid}")[0])[ids.READING].data
    assert facts["outputs"]["Pneumothorax"]["below"] is False
    assert facts["outputs"]["Atelectasis"]["below"] is True
    assert "below the operating point 0.50" in facts["outputs"]["Atelectasis"]["caption"]


@pytest.mark.parametrize(
    ("data", "read", "words"), [(b"no image", True, "Refused: "), (b"x", False, "Waiting to be read")]
)
def test_an_image_without_a_prediction_has_words_and_no_chart(
    context: Context, study: Study, data: bytes, read: bool, words: str
) -> None:
    (uid,) = study(data, read=read)
    children, is_final = callbacks.content(context, f"?instance={uid}")
    assert is_final is read
    assert ids.CHART not in found(children)
    assert words in text(children)


@pytest.mark.parametrize("search", [None, "", "?", "?instance=", "?instance=none", "?instance=../../etc", "?x=%ff"])
def test_an_address_that_leads_nowhere_has_words(context: Context, search: str | None) -> None:
    children, is_final = callbacks.content(context, search)
    assert is_final
    assert "To the worklist" in text(children)


def test_films_keep_their_proportions(context: Context, study: Study) -> None:
    (uid,) = study(phantom_png(1))
    assert '"--ratio": "1.000000"' in text(callbacks.content(context, f"?instance={uid}")[0])


def test_the_frame_says_that_it_is_for_research() -> None:
    assert "Research use only, not a medical device." in text([layout.page()])


def test_no_callback_writes_and_all_know_their_browser_function(app: Flask) -> None:
    script = (Path(app.static_folder or "") / "js" / "viewer.js").read_text()
    exported = script.split("window.dash_clientside.viewer = {")[1].split("}")[0].replace(" ", "").split(",")
    dependencies = app.test_client().get("/viewer/_dash-dependencies").json
    browser = [d["clientside_function"]["function_name"] for d in dependencies if d["clientside_function"]]
    assert set(browser) == set(exported)
    assert len([d for d in dependencies if not d["clientside_function"]]) == 1


def test_the_page_is_labelled_and_local(app: Flask) -> None:
    page = app.test_client().get("/viewer/").text
    assert '<html lang="en">' in page
    assert "<title>" in page
    assert "https://" not in page.split("<script id=")[0]


@pytest.fixture
def app(context: Context, tmp_path: Path) -> Flask:
    settings = Settings.from_env({"DATA_DIR": str(tmp_path), "MODELS_DIR": str(tmp_path)})
    settings.database_file.symlink_to(tmp_path / "db.sqlite")
    return create_app(settings)


def test_figures_for_the_study_page(app: Flask, study: Study) -> None:
    (uid,) = study(phantom_png(1))
    client = app.test_client()
    anatomical = client.get(f"/viewer/figures/{uid}.json").json
    by_probability = client.get(f"/viewer/figures/{uid}.json?order=probability").json
    assert len(anatomical["data"][1]["x"]) == 15
    assert by_probability["data"][1]["y"] == anatomical["data"][1]["y"]
    assert by_probability["data"][1]["x"] != anatomical["data"][1]["x"]
    assert client.get("/viewer/figures/none.json").status_code == 404
    with client.get("/viewer/plotly.min.js") as script:
        assert script.mimetype == "text/javascript"


def test_an_image_open_in_the_viewer_is_read_first(context: Context, study: Study) -> None:
    uids = study(*(phantom_png(seed) for seed in range(6)), read=False)
    callbacks.content(context, f"?instance={uids[4]}")
    assert [job.instance_uid for job in context.jobs.claim("w", 2)] == [uids[4]]
