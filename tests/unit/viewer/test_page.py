"""The viewer's page and what it fetches, by a browser that is signed in."""

import json
import re
from pathlib import Path
from urllib.parse import urljoin

from flask import Flask
from flask.testing import FlaskClient

from diagnosis_tool import resources
from diagnosis_tool.domain.access import ALL_PROJECTS, Role
from diagnosis_tool.services.context import Context
from diagnosis_tool.services.submit import Upload, submit_study
from diagnosis_tool.viewer import ids, links
from testing.accounts import browser_of, csrf_token
from tests.conftest import phantom_png
from tests.fakes.classifier import FakeClassifier
from tests.predicting import predict_all
from tests.unit.viewer.looking import Study, facts_of


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
    assert stores[ids.FACTS] == facts_of(context, uid)
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
    predict_all(context, FakeClassifier())
    client = browser_of(app)
    assert "<b>" not in client.get(f"/viewer/?instance={instance.uid}").text
    name = "script><b>{{ dash }}.png"  # the path's last part
    assert json.dumps(name) in json.dumps(json.loads(asked(client, f"?instance={instance.uid}")))


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
