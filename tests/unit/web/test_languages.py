import json

import pytest
from flask import Flask
from flask.testing import FlaskClient

from testing.accounts import browser_of


@pytest.mark.parametrize(
    ("wish", "code"),
    [("de", "de"), ("de-AT,de;q=0.9,en;q=0.8", "de"), ("fr", "en"), ("", "en"), ("en-GB,de;q=0.5", "en")],
)
def test_the_browsers_wish(client: FlaskClient, wish: str, code: str) -> None:
    page = client.get("/", headers={"Accept-Language": wish}).text
    assert f'<html lang="{code}">' in page
    assert ("Arbeitsliste" in page) == (code == "de")


def test_the_choice_stays_and_goes_back_to_where_it_was_made(app: Flask) -> None:
    client = browser_of(app)
    answer = client.get("/language/de", headers={"Referer": "http://localhost/?q=x"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/?q=x")
    assert "Keine Studie passt dazu." in client.get("/?q=x", headers={"Accept-Language": "en"}).text
    client.get("/language/en")
    assert "No study matches." in client.get("/?q=x", headers={"Accept-Language": "de"}).text


@pytest.mark.parametrize("referer", ["http://elsewhere.example/x", "", "//elsewhere.example/", "http://[bad"])
def test_it_never_leads_elsewhere(client: FlaskClient, referer: str) -> None:
    assert client.get("/language/de", headers={"Referer": referer}).headers["Location"] == "/"


def test_an_unknown_language_is_refused_and_an_unknown_choice_forgotten(app: Flask) -> None:
    client = app.test_client()
    assert client.get("/language/xx").status_code == 404
    client.set_cookie("language", "xx")
    assert '<html lang="en">' in client.get("/").text


def test_errors_are_translated(client: FlaskClient) -> None:
    page = client.get("/nothing", headers={"Accept-Language": "de"})
    assert page.status_code == 404
    assert "Diese Seite gibt es nicht." in page.text
    assert "Nicht gefunden" in page.text


def test_scripts_get_the_catalogue(client: FlaskClient) -> None:
    german = client.get("/texts/de.js")
    start = german.text.index("messages: ") + len("messages: ")
    messages = json.loads(german.text[start : german.text.rindex("}")])
    assert messages["Nothing was stored."] == "Nichts wurde gespeichert."
    assert messages["%(n)s file"] == ["%(n)s Datei", "%(n)s Dateien"]
    assert client.get("/texts/de.js", headers={"If-None-Match": german.headers["ETag"]}).status_code == 304
    assert "messages: {}" in client.get("/texts/en.js").text
    assert client.get("/texts/xx.js").status_code == 404
