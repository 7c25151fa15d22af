"""What the viewer shows for an address, without a browser."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from urllib.parse import urljoin

import numpy as np
import pytest
from dash.development.base_component import Component
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image

from diagnosis_tool import resources
from diagnosis_tool.app import create_app
from diagnosis_tool.cxr.bundle import Interval
from diagnosis_tool.cxr.findings import NIH_OUTPUTS
from diagnosis_tool.domain.access import ALL_PROJECTS, PERMISSIONS, Role
from diagnosis_tool.domain.studies import Instance
from diagnosis_tool.services.context import Context
from diagnosis_tool.services.submit import Upload, submit_study
from diagnosis_tool.settings import Settings
from diagnosis_tool.viewer import callbacks, ids, layout, links
from diagnosis_tool.viewer.facts import Place
from testing.accounts import browser_of, csrf_token
from tests.conftest import phantom_png
from tests.dicom_files import FILM, dicom
from tests.fakes.classifier import FakeClassifier
from tests.predicting import predict_all

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
        uid = submit_study(context, uploads, user_id=1)
        if read:
            predict_all(context, FakeClassifier(outputs=outputs))
        return [instance.uid for instance in context.studies.study(uid, ALL_PROJECTS).instances]

    return make


def content(context: Context, search: str | None, role: Role = Role.ADMIN) -> tuple[list[Component], bool]:
    return callbacks.content(context, search, PERMISSIONS[role])


def found(children: list[Component]) -> dict[str, Component]:
    """All components that have a text id."""
    everything = [c for child in children for c in (child, *child._traverse())]
    return {c.id: c for c in everything if isinstance(getattr(c, "id", None), str)}


def row_of(children: list[Component], finding: str) -> Component:
    """The row of this finding."""
    everything = [c for child in children for c in (child, *child._traverse())]
    rows = [c for c in everything if "finding-row " in (getattr(c, "className", None) or "")]
    (row,) = [c for c in rows if c.to_plotly_json()["props"]["data-finding"] == finding]
    return row


def seen(context: Context, uid: str) -> tuple[Place, Instance]:
    instance = context.studies.instance(uid, ALL_PROJECTS)
    return Place(study=context.studies.study(instance.study_uid, ALL_PROJECTS), older=None, newer=None), instance


def text(children: list[Component]) -> str:
    return json.dumps([child.to_plotly_json() for child in children], default=lambda c: c.to_plotly_json())


def test_a_read_image_has_film_overlay_chart_and_top_four(context: Context, study: Study) -> None:
    first, second = study(phantom_png(1), phantom_png(2))
    children, is_final = content(context, f"?instance={second}")
    components = found(children)
    assert is_final
    parts = {ids.FACTS, ids.SELECTED, ids.VIEWPORT, ids.OPACITY, "save-heatmap", "film", "review"}
    assert parts <= set(components)
    facts = components[ids.FACTS].data
    assert len(facts["outputs"]) == 15
    assert set(facts["places"]) == {"anatomical", "probability"}
    assert components[ids.SELECTED].data == "Pneumothorax"
    shown = text(children)
    assert shown.count("Show the heatmap of") == 4
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
    children, is_final = content(context, f"?instance={uid}")
    components = found(children)
    assert is_final
    assert list(components[ids.FACTS].data["outputs"]) == list(outputs)
    assert components[ids.SELECTED].data == selected  # never "normal": it says that there is nothing to see
    assert text(children).count("Show the heatmap of") == maps


def test_the_address_may_name_a_finding(context: Context, study: Study) -> None:
    (uid,) = study(phantom_png(1))
    for wanted, selected in (("Mass", "Mass"), ("No Finding", "No Finding"), ("Gout", "Pneumothorax")):
        children, _ = content(context, f"?instance={uid}&finding={wanted}")
        assert found(children)[ids.SELECTED].data == selected


def test_below_its_operating_point_a_map_is_marked(context: Context, study: Study) -> None:
    (uid,) = study(phantom_png(1))
    facts = found(content(context, f"?instance={uid}")[0])[ids.FACTS].data
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
    children, is_final = content(context, f"?instance={uid}")
    assert is_final is read
    assert "row-bar" not in text(children)
    assert words in text(children)


@pytest.mark.parametrize("search", [None, "", "?", "?instance=", "?instance=none", "?instance=../../etc", "?x=%ff"])
def test_an_address_that_leads_nowhere_has_words(context: Context, search: str | None) -> None:
    children, is_final = content(context, search)
    assert is_final
    assert "To the worklist" in text(children)


def test_thumbnails_keep_their_proportions(context: Context, study: Study) -> None:
    (uid,) = study(phantom_png(1))
    assert '"--ratio": "1.000000"' in text(content(context, f"?instance={uid}")[0])


def test_each_row_says_probability_band_and_what_the_model_is_worth(context: Context, study: Study) -> None:
    (uid,) = study(phantom_png(1))
    place, instance = seen(context, uid)
    shown = callbacks.shown_of(context, place, instance)
    assert shown is not None
    assert (shown.auc, shown.screening) == ({}, {})  # no bundle of that hash is here: nothing is made up
    plain = text(layout.prediction_view(shown, None, PERMISSIONS[Role.ADMIN]))
    assert "AUC" not in plain
    assert "hatched" not in plain
    auc = Interval(value=0.834, low=0.8, high=0.868)
    rich = replace(shown, auc={"Mass": auc}, screening={"Mass": 0.1})
    assert "hatched: unsure" in text(layout.prediction_view(rich, None, PERMISSIONS[Role.ADMIN]))
    row = row_of(layout.prediction_view(rich, None, PERMISSIONS[Role.ADMIN]), "Mass")
    words = [span.children for span in row.children]
    assert words[2] == f"{instance.prediction.output('Mass').probability:.2f}" if instance.prediction else None
    assert words[3:] == ["◆ unsure", ".83 (.80–.87)"]
    assert "tier-unsure" in row.className
    bar = [(part.className, part.style) for part in row.children[1].children]
    probability = instance.prediction.output("Mass").probability if instance.prediction else 0
    assert bar == [
        ("value", {"width": f"{100 * probability:.4f}%"}),
        ("unsure", {"left": "10.0000%", "width": "40.0000%"}),
        ("tick", {"left": "50.0000%"}),
    ]
    plain_bar = row_of(layout.prediction_view(shown, None, PERMISSIONS[Role.ADMIN]), "Mass").children[1]
    assert [part.className for part in plain_bar.children] == ["value", "tick"]
    label = row.to_plotly_json()["props"]["aria-label"]
    assert all(part in label for part in ("Mass 0.", "below the operating point 0.50", "unsure", "AUC .83"))
    assert f"{instance.prediction.output('Mass').probability:.4f}" in row.title if instance.prediction else None
    assert "AUC 0.834 (95% interval 0.800 to 0.868)" in row.title


def test_next_and_previous_study(context: Context, study: Study) -> None:
    (first,), (second, third), (fourth,) = (
        study(phantom_png(1)),
        study(phantom_png(2), phantom_png(3)),
        study(phantom_png(4)),
    )
    moves = found(content(context, f"?instance={third}")[0])
    assert moves["go-previous-study"].href == links.viewer(fourth)  # the worklist's order: the newest first
    assert moves["go-next-study"].href == links.viewer(first)
    assert moves["go-previous"].href == links.viewer(second)
    assert "go-next" not in moves
    assert "go-next-study" not in found(content(context, f"?instance={first}")[0])


def test_earlier_images_of_the_patient_stand_beside(context: Context, study: Study) -> None:
    dates = ["20200101", "20230101", "20210101"]
    films = [dicom(FILM + np.uint8(k), PatientID="P", AcquisitionDate=day) for k, day in enumerate(dates)]
    oldest, newest, middle = study(*films)
    facts = found(content(context, f"?instance={newest}")[0])[ids.FACTS].data
    assert [prior["uid"] for prior in facts["priors"]] == [middle, oldest]
    assert facts["priors"][0]["title"] == "2021-01-01 · PA"
    assert len(facts["trends"]["Mass"]["data"][0]["x"]) == 3
    first = found(content(context, f"?instance={oldest}")[0])[ids.FACTS].data
    assert first["priors"] == []
    assert facts["near"] == [middle, oldest]


def test_sixty_priors(context: Context, study: Study) -> None:
    uids = study(*(dicom(FILM + np.uint8(k), PatientID="P", AcquisitionDate=f"{1960 + k}0101") for k in range(61)))
    children, _ = content(context, f"?instance={uids[-1]}")
    assert text(children).count("data-prior") == 60
    assert len(json.dumps(found(children)[ids.FACTS].data)) < 2_000_000


def test_an_image_one_pixel_wide_has_words(context: Context, study: Study) -> None:
    thin = BytesIO()
    Image.new("L", (1, 500)).save(thin, "PNG")
    (uid,) = study(thin.getvalue())
    shown = text(content(context, f"?instance={uid}")[0])
    assert "1 x 500 pixels" in shown
    assert "data-finding" not in shown


def test_a_failed_image_can_be_tried_again(context: Context, study: Study) -> None:
    (uid,) = study(phantom_png(1), read=False)
    predict_all(context, FakeClassifier(error=RuntimeError("broken")))
    components = found(content(context, f"?instance={uid}")[0])
    assert ids.RETRY in components
    assert components[ids.WAITING].data == {"uid": uid, "waits": False}


REVIEWING = ('"data-do": "save"', '"data-do": "sign"', "data-verdict-choice", "add-finding", "tool-box")


def test_each_role_is_offered_what_it_may_do(context: Context, study: Study) -> None:
    (read,) = study(phantom_png(1))
    (failed,) = study(phantom_png(2), read=False)
    predict_all(context, FakeClassifier(error=RuntimeError("broken")))
    for role, reviews, exports, uploads in (
        (Role.VIEWER, False, False, False),
        (Role.TECHNICIAN, False, False, True),
        (Role.RADIOLOGIST, True, True, True),
    ):
        children = content(context, f"?instance={read}", role)[0]
        shown, components = text(children), found(children)
        assert [part in shown for part in REVIEWING] == [reviews] * len(REVIEWING)
        assert (links.original(read) in shown) is exports
        assert links.report(read) in shown
        assert {"review", "review-state", "review-items", "review-words", "history", "note"} <= set(components)
        assert bool(getattr(components["note"], "readOnly", False)) is not reviews
        assert ("data-read-only" in components["review"].to_plotly_json()["props"]) is not reviews
        children = content(context, f"?instance={failed}", role)[0]
        assert (ids.RETRY in found(children)) is uploads
        assert (links.original(failed) in text(children)) is exports


def asked(client: FlaskClient, search: str | None) -> str:
    """The layout that Dash gets on the page of this query string; without one, its browser does not say."""
    headers = {} if search is None else {"Referer": f"http://localhost/viewer/{search}"}
    return client.get("/viewer/_dash-layout", headers=headers).text


def test_the_layout_comes_with_the_pages_content(app: Flask, context: Context, study: Study) -> None:
    (uid,) = study(phantom_png(1))
    client = browser_of(app)
    page = client.get(f"/viewer/?instance={uid}&finding=Mass").text
    for address in (f"/instances/{uid}/pixels", "/viewer/_dash-layout", "/viewer/_dash-dependencies"):
        assert f'<link rel="preload" as="fetch" crossorigin href="{address}">' in page
    frame = json.loads(asked(client, f"?instance={uid}&finding=Mass"))["props"]["children"]
    location, tick, shown, _ = [part["props"] for part in frame]
    assert location["search"] == f"?instance={uid}&finding=Mass"
    assert tick["disabled"] is True
    stores = {part["props"]["id"]: part["props"].get("data") for part in shown["children"] if part["type"] == "Store"}
    assert stores[ids.SELECTED] == "Mass"
    assert stores[ids.FACTS] == found(content(context, f"?instance={uid}")[0])[ids.FACTS].data
    assert asked(client, f"?instance={uid}").count('"finding-row ') == 15


def test_a_layout_is_kept_by_nobody(app: Flask, study: Study) -> None:
    """All images' layouts have one address: a browser that goes back would show another image's."""
    (uid,) = study(phantom_png(1))
    client = browser_of(app)
    for search in (f"?instance={uid}", ""):
        answer = client.get("/viewer/_dash-layout", headers={"Referer": f"http://localhost/viewer/{search}"})
        assert answer.headers["Cache-Control"] == "no-store"


def test_a_layout_for_no_image_has_words_or_waits_for_the_address(app: Flask, study: Study) -> None:
    (waiting,) = study(phantom_png(1), read=False)
    client = browser_of(app)
    for search in ("", "?instance=none"):
        assert 'preload" as="fetch" crossorigin href="/inst' not in client.get(f"/viewer/{search}").text
    assert "To the worklist" in asked(client, "?instance=none")
    for unsaid in (None, "", "?"):  # "": some browsers leave the query out
        frame = json.loads(asked(client, unsaid))["props"]["children"]
        assert frame[2]["props"]["children"] == []
        assert "search" not in frame[0]["props"]  # so Dash takes it from the address and asks the callback
    assert json.loads(asked(client, f"?instance={waiting}"))["props"]["children"][1]["props"]["disabled"] is False
    assert f"/instances/{waiting}/pixels" not in client.get(f"/viewer/?instance={waiting}").text


def test_who_only_looks_is_offered_no_review(app: Flask, study: Study) -> None:
    (uid,) = study(phantom_png(1))
    client = browser_of(app, Role.VIEWER)
    page = client.get(f"/viewer/?instance={uid}").text
    location = {"id": ids.LOCATION, "property": "search", "value": f"?instance={uid}"}
    body = {
        "output": f"..{ids.CONTENT}.children...{ids.TICK}.disabled..",
        "outputs": [{"id": ids.CONTENT, "property": "children"}, {"id": ids.TICK, "property": "disabled"}],
        "inputs": [location, {"id": ids.TICK, "property": "n_intervals", "value": 0}],
        "changedPropIds": [f"{ids.LOCATION}.search"],
    }
    made = client.post("/viewer/_dash-update-component", json=body, headers={"X-CSRFToken": csrf_token(page)})
    assert made.status_code == 200
    for shown in (made.text, asked(client, f"?instance={uid}")):
        assert "data-read-only" in shown
        assert "readOnly" in shown
        assert links.original(uid) not in shown
    assert 'id="help"' in page
    for dialog in ("sign-dialog", "conflict-dialog"):
        assert dialog not in page
        assert dialog in browser_of(app).get(f"/viewer/?instance={uid}").text


def test_the_frame_says_that_it_is_for_research() -> None:
    assert "Research use only, not a medical device." in text([layout.page([])])


def test_no_callback_writes_and_all_know_their_browser_function(app: Flask) -> None:
    script = (resources.static_dir() / "js" / "viewer" / "bootstrap.js").read_text()
    exported = re.findall(r"\w+", script.split("window.dash_clientside.viewer = {")[1].split("}")[0])
    dependencies = browser_of(app).get("/viewer/_dash-dependencies").json
    browser = [d["clientside_function"]["function_name"] for d in dependencies if d["clientside_function"]]
    assert set(browser) == set(exported)
    assert len([d for d in dependencies if not d["clientside_function"]]) == 1


def test_the_page_is_labelled_and_local(app: Flask) -> None:
    page = browser_of(app).get("/viewer/").text
    assert '<html lang="en">' in page
    assert re.search('<meta name="reader" content="[0-9]+">', page)
    assert '<html lang="de">' in browser_of(app).get("/viewer/", headers={"Accept-Language": "de"}).text
    modules = re.findall(r'<link rel="modulepreload" href="/static/[0-9a-f]{12}/js/viewer/([^"]+)"', page)
    assert set(modules) == {file.name for file in (resources.static_dir() / "js" / "viewer").glob("*.js")}
    assert re.search(r'<script type="module" src="/static/[0-9a-f]{12}/js/viewer/bootstrap.js">', page)
    assert "<title>" in page
    assert "https://" not in page


def test_what_a_module_imports_is_kept_by_its_content_too(app: Flask) -> None:
    client = browser_of(app)
    imported: set[str] = set()
    for address in re.findall('modulepreload" href="([^"]+)"', client.get("/viewer/").text):
        with client.get(address) as module:
            imported |= {urljoin(address, name) for name in re.findall(r'import [^"]*"(\.[^"]+)"', module.text)}
    assert {Path(address).name for address in imported} >= {"texts.js", "pixels.js", "viewport.js"}
    for address in imported:
        with client.get(address) as answer:
            assert "immutable" in answer.headers["Cache-Control"], address


def test_a_files_name_is_text_in_the_layout(app: Flask, context: Context) -> None:
    blob = context.blobs.pending()
    blob.write(phantom_png(1))
    name = "</script><b>{{ dash }}.png"
    uid = submit_study(context, [Upload(file_name=name, blob=blob)], user_id=1)
    (instance,) = context.studies.study(uid, ALL_PROJECTS).instances
    predict_all(context, FakeClassifier(outputs=NIH_OUTPUTS))
    client = browser_of(app)
    assert "<b>" not in client.get(f"/viewer/?instance={instance.uid}").text
    name = "script><b>{{ dash }}.png"  # the path's last part
    assert json.dumps(name) in json.dumps(json.loads(asked(client, f"?instance={instance.uid}")))


@pytest.fixture
def app(context: Context, tmp_path: Path) -> Flask:
    settings = Settings.from_env({"DATA_DIR": str(tmp_path), "MODELS_DIR": str(tmp_path)})
    return create_app(settings)


def test_charts_for_the_study_page(app: Flask, study: Study) -> None:
    (uid,) = study(phantom_png(1))
    client = browser_of(app)
    anatomical = client.get(f"/viewer/figures/{uid}.json").json
    by_probability = client.get(f"/viewer/figures/{uid}.json?order=probability").json
    assert len(anatomical["data"][1]["x"]) == 15
    assert by_probability["data"][1]["y"] == anatomical["data"][1]["y"]
    assert by_probability["data"][1]["x"] != anatomical["data"][1]["x"]
    assert client.get("/viewer/figures/none.json").status_code == 404
    with client.get("/viewer/plotly.min.js") as script:
        assert script.mimetype == "text/javascript"


def test_looking_changes_nothing_on_the_server(context: Context, study: Study) -> None:
    uids = study(*(phantom_png(seed) for seed in range(6)), read=False)
    children, _ = content(context, f"?instance={uids[4]}")
    assert found(children)[ids.WAITING].data == {"uid": uids[4], "waits": True}  # the page itself asks for it
    assert [job.instance_uid for job in context.jobs.claim("w", 1)] == [uids[0]]
