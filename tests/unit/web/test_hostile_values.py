"""Values that no page of ours sends, wherever a request can carry one: refused with words, or answered, never a 500.

One app for all, so that what one of them stored would break a page for the others: the last test looks at all of them.
"""

import json
import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from diagnosis_tool.app import create_app
from diagnosis_tool.domain.jobs import WorkerState
from diagnosis_tool.services.submit import MAX_FILES
from diagnosis_tool.settings import Settings
from testing.stores import open_store
from tests import predicting
from tests.conftest import phantom_png
from tests.fakes.classifier import FakeClassifier
from tests.unit.web.conftest import SignedInBrowser

TEXTS: Final[dict[str, str | bytes]] = {
    "NUL": "a\0b",
    "invalid UTF-8": b"\xff\xfe\xed\xa0\x80",
    "huge whole number": "9" * 3000,
    "64 bits and one": "9223372036854775808",
    "32 bits": "2147483648",
    "negative": "-1",
    "infinity": "-1e999",
    "no number": "NaN",
    "another digit": "٣",
    "format": "%s%(x)s%{0.__class__}",
    "SQL": "' OR 1=1; --",
    "direction and line": "\u202e\u2028\r\nX: y",
    "path": "../../etc/passwd",
    "no date": "2026-02-30",
    "first date": "0001-01-01",
    "last date": "9999-12-31",
    "beyond the planes": "\U0010ffff\ufffe",
    "empty": "",
    "colons": ":::",
}
LONG: Final = "x" * 1_000_000
QUERY: Final = ("study", "instance", "finding", "row", "q", "state", "from", "to", "reader", "sort", "after", "before",
                "order", "silence", "blend", "next", "v", "changed")  # fmt: skip
ODD: Final[tuple[Any, ...]] = (
    None, 1, -1, 1.5, True, "", "x", "\0", [], {}, [[]], [{}], [None], {"a": 1}, [1], ["a"] * 3, "?instance=%00",
    "?instance=" + "x" * 100_000, "?" + "a=1&" * 50_000, [["location.search"]],
    {"id": "x", "property": "y"}, [[[[{}]]]],
)  # fmt: skip


class Attacker:
    """Somebody with a valid sign-in, and a study with a read image and a refused one. faults: what should not be."""

    def __init__(self, folder: Path) -> None:
        self.context = open_store(folder)
        self.app: Flask = create_app(Settings.from_env({"DATA_DIR": str(folder), "MODELS_DIR": str(folder)}))
        self.context.jobs.heartbeat("w", WorkerState.READY, "fake-1")
        self.browser = SignedInBrowser(self.app)
        files = [(BytesIO(phantom_png(1)), "a.png"), (BytesIO(b"text"), "b.txt")]
        answer = self.browser.post("/studies", data={"files": files})
        self.study = answer.headers["Location"].rsplit("/", 1)[-1]
        predicting.predict_all(self.context, FakeClassifier())
        status = self.browser.get(f"/studies/{self.study}/status.json").json
        assert status is not None
        self.image = status["instances"][0]["uid"]
        self.faults: list[str] = []
        self.asked = 0

    def ask(self, what: str, address: str, method: str = "GET", **sent: Any) -> TestResponse:
        """Sends it; whatever is ours to blame is noted under the name `what`."""
        headers = {"X-CSRFToken": self.browser.token, **sent.pop("headers", {})}
        with self.browser.client.open(address, method=method, headers=headers, **sent) as answer:
            self.asked += 1
            if answer.status_code >= 500:
                self.faults.append(f"{answer.status_code} {method} {address[:70]} {what}")
            elif answer.status_code >= 400 and method != "HEAD" and not answer.data.strip():
                self.faults.append(f"no words: {answer.status_code} {method} {address[:70]} {what}")
            return answer

    def rules(self) -> Iterator[tuple[str, str, str]]:
        """(rule, method, argument) of all routes with arguments."""
        for rule in self.app.url_map.iter_rules():
            for method in sorted((rule.methods or set()) - {"OPTIONS", "HEAD"}):
                for argument in sorted(rule.arguments):
                    yield rule.rule, method, argument

    def address(self, rule: str, argument: str, value: str) -> str:
        """The rule's address with this value, already encoded, for the argument and good ones for the others."""
        good = {"uid": self.study if rule.startswith("/studies") else self.image, "instance_uid": self.image,
                "finding": "Mass", "name": "default", "version": "0" * 12, "package_name": "dash"}  # fmt: skip
        values = {**good, argument: value}
        return re.sub(r"<(?:[^<>]*:)?(\w+)>", lambda found: values.get(found[1], "x"), rule)

    def callback(self) -> dict[str, Any]:
        """A sound request of the viewer's."""
        known = self.browser.get("/viewer/_dash-dependencies").json
        assert known is not None
        wanted = next(c for c in known if not c["clientside_function"])
        places = [place.rsplit(".", 1) for place in wanted["output"].strip(".").split("...")]
        return {
            "output": wanted["output"],
            "outputs": [{"id": i, "property": p} for i, p in places],
            "inputs": [{**place, "value": None} for place in wanted["inputs"]],
            "state": wanted["state"],
            "changedPropIds": ["location.search"],
        }


@pytest.fixture(scope="module")
def attacker(tmp_path_factory: pytest.TempPathFactory) -> Attacker:
    return Attacker(tmp_path_factory.mktemp("hostile"))


@pytest.fixture(autouse=True)
def nothing_is_ours_to_blame(attacker: Attacker) -> Iterator[None]:
    attacker.faults.clear()
    before = attacker.asked
    yield
    assert attacker.faults == []
    assert attacker.asked > before


def test_in_paths(attacker: Attacker) -> None:
    for rule, method, argument in attacker.rules():
        for what, value in TEXTS.items():
            attacker.ask(what, attacker.address(rule, argument, quote(value, safe="")), method)
    for address in (
        "/%ff",
        "/%00",
        "//evil",
        "/viewer/../studies",
        "/" + "a/" * 2000,
        "/viewer/_dash-component-suites/x/y",
    ):
        for method in ("GET", "HEAD", "POST", "PUT", "ODD"):
            attacker.ask("no page", address, method)


@pytest.mark.parametrize(
    "path",
    ["/", "/worklist/changes.json", "/export/readings.csv", "/export/readings.json", "/export/reviews.csv",
     "/export/labels.csv", "/delete", "/viewer/", "/viewer/figures/{}.json", "/instances/{}/heatmaps/Mass.png",
     "/sign-in", "/account", "/viewer/plotly.min.js", "/texts/de.js"],
)  # fmt: skip
def test_in_queries(attacker: Attacker, path: str) -> None:
    address = path.format(attacker.image)
    for what, value in TEXTS.items():
        encoded = quote(value, safe="")
        for name in QUERY if path == "/" else ():
            attacker.ask(f"{name}: {what}", f"{address}?{name}={encoded}")
        attacker.ask(what, f"{address}?" + "&".join(f"{name}={encoded}&{name}={encoded}:1" for name in QUERY))
    attacker.ask("many", f"{address}?" + "&".join(f"study={k}&row={k}:1" for k in range(40_000)))
    attacker.ask("long", f"{address}?q={LONG}&study={LONG}&row={LONG}&instance={LONG}")
    attacker.ask("signs", f"{address}?" + "%" * 1000 + "&&==%zz=%zz")


FORMS: Final = {
    "/delete": ("study",),
    "/account/password": ("present", "password", "again"),
    "/account/tokens": ("name", "scope", "days"),
    "/account/tokens/1/revoke": ("x",),
    "/sign-in": ("name", "password", "next"),
    "/sign-in/once/x": ("password", "again"),
    "/sign-in/code": ("code", "next"),
    "/account/second-factor": ("present",),
    "/account/second-factor/confirm": ("code",),
    "/accounts": ("name", "role", "project"),
    "/accounts/projects": ("name",),
    "/accounts/1/tokens": ("name", "scope", "days"),
    "/studies": ("patient", "project"),
    "/instances/{}/retry": ("x",),
}


@pytest.mark.parametrize("path", FORMS)
def test_in_forms(attacker: Attacker, path: str) -> None:
    address, fields = path.format(attacker.image), FORMS[path]
    good = {"name": "n", "scope": "read", "days": "3", "password": "correct horse", "again": "correct horse"}
    for what, value in {**TEXTS, "long": LONG[:100_000]}.items():
        for field in fields:
            form = {**{name: good.get(name, "") for name in fields}, field: value}
            attacker.ask(f"{field}: {what}", address, "POST", data=form)
        films = {"files": (BytesIO(b"no film"), "a.png")} if path == "/studies" else {}
        attacker.ask(what, address, "POST", data={**dict.fromkeys(fields, value), **films, "odd": (BytesIO(b""), "")})
    bodies = (
        b"", b"study=%ff%fe&study=%ED%A0%80&" + b"a=1&" * 120_000, b"\xff" * 100, b"[" * 100_000, b"--b\r\n",
        b"--b\r\nContent-Disposition: form-data; name=files; filename*=utf-99''%ff%00\r\n\r\nx\r\n--b--",
        b'--b\r\nContent-Disposition: form-data; name="files"; filename="',
    )  # fmt: skip
    for kind in ("multipart/form-data", "multipart/form-data; boundary=b", 'multipart/form-data; boundary="',
                 "application/x-www-form-urlencoded; charset=utf-16", "application/json", "\xff"):  # fmt: skip
        for body in bodies:
            attacker.ask(kind, address, "POST", data=body, content_type=kind)


BOX: Final = b'{"revision":0,"boxes":[{"finding":"Mass","x":%s,"y":1,"width":1,"height":1}]}'
MALFORMED: Final = {
    "nothing": b"",
    "no JSON": b"x",
    "deep array": b"[" * 100_000,
    "deep object": b'{"a":' * 100_000,
    "deep and whole": b'{"revision":0,"verdicts":' + b'{"a":' * 500 + b"1" + b"}" * 501,
    "revision of 400 digits": b'{"revision":1' + b"0" * 400 + b"}",
    "revision of 5000 digits": b'{"revision":' + b"9" * 5000 + b"}",
    "half a character in the note": b'{"revision":0,"note":"\\ud800"}',
    "half a character in a name": b'{"revision":0,"verdicts":{"\\udfff":"agree"}}',
    "half a character in a finding": b'{"revision":0,"added":["\\ud800"]}',
    "another encoding": '{"revision":0}'.encode("utf-16"),
    "invalid UTF-8": b'{"revision":0,"note":"\xff"}',
    "a box of 400 digits": BOX % (b"1" + b"0" * 400),
    "a box at NaN": BOX % b"NaN",
    "a box at infinity": BOX % b"-Infinity",
    "a box beyond floats": BOX % b"1e400",
    "the same key twice": b'{"revision":0,"revision":1}',
}
SENSELESS: Final = (
    b"null", b"[]", b"1", b'"x"', b'{"revision":true}', b'{"revision":null}', b'{"revision":0.0}', b'{"revision":"0"}',
    b'{"revision":0,"verdicts":{"Mass":[]}}', b'{"revision":0,"verdicts":{"Mass":{"a":1}}}',
    b'{"revision":0,"added":[{}]}',
    b'{"revision":0,"added":["\\u0000"]}', b'{"revision":0,"boxes":[[]]}', BOX % b"true", BOX % b'"1"', BOX % b"-1",
    BOX % b"1e308", b'{"revision":0,"note":["x"]}', b'{"revision":0,"note":"' + b"x" * 900_000 + b'"}',
)  # fmt: skip


@pytest.mark.parametrize(
    "path", ["/instances/{}/review", "/instances/{}/review/sign", "/viewer/_dash-update-component"]
)
@pytest.mark.parametrize("accept", ["application/json", "text/html"])
def test_in_json(attacker: Attacker, path: str, accept: str) -> None:
    address = path.format(attacker.image)
    sent = {"content_type": "application/json", "headers": {"Accept": accept}}
    for what, body in MALFORMED.items():
        answer = attacker.ask(what, address, "POST", data=body, **sent)
        assert answer.status_code == 400, what
    signs = path.endswith("/sign")  # which takes the revision and nothing else
    for body in SENSELESS if not signs else [body for body in SENSELESS if b":0," not in body]:
        answer = attacker.ask(body[:60].decode(), address, "POST", data=body, **sent)
        assert 400 <= answer.status_code < 500, body[:60]
    for kind in ("text/plain", "multipart/form-data; boundary=x", ""):
        assert 400 <= attacker.ask(kind, address, "POST", data=b"{}", content_type=kind).status_code < 500
    assert attacker.browser.get(f"/instances/{attacker.image}/review.json").json["revision"] == 0  # type: ignore[index]


def test_in_the_viewers_callback(attacker: Attacker) -> None:
    address, sound = "/viewer/_dash-update-component", json.dumps(attacker.callback())
    assert attacker.ask("sound", address, "POST", data=sound, content_type="application/json").status_code == 200

    def post(what: str, change: Any) -> None:
        body = json.loads(sound)
        change(body)
        attacker.ask(what, address, "POST", data=json.dumps(body), content_type="application/json")

    for odd in ODD:
        what = repr(odd)[:40]
        for key in (*json.loads(sound), "parsedChangedPropsIds", "cancelJob", "job", "endId"):
            post(f"{key}: {what}", lambda body, key=key, odd=odd: body.update({key: odd}))
        for part in ("inputs", "outputs"):
            for place in (0, 1):
                post(f"{part}: {what}", lambda body, part=part, at=place, odd=odd: body[part].__setitem__(at, odd))
                for key in ("id", "property", "value"):
                    post(
                        f"{part} {key}: {what}",
                        lambda body, part=part, at=place, key=key, odd=odd: body[part][at].update({key: odd}),
                    )
    for key in json.loads(sound):
        post(f"no {key}", lambda body, key=key: body.pop(key))


HEADERS: Final = ("Accept", "Accept-Language", "Accept-Encoding", "Authorization", "Content-Type", "Content-Length",
                  "Cookie", "Host", "If-Match", "If-Modified-Since", "If-None-Match", "If-Range", "Origin", "Range",
                  "Referer", "Sec-Fetch-Site", "X-Forwarded-Host", "X-Request-ID", "X-CSRFToken")  # fmt: skip
IN_HEADERS: Final = ("", "\xff\xfe", "x" * 8000, "bytes=5-1", "bytes=99999999999999999999-", "de-\x7f,en;q=nan",
                     "en;q=1e999", "Basic \xff", "Basic QQ==", "Bearer", "Bearer \xff", "Digest x=", '"',
                     "language=\xff",
                     "http://[::1", "[::1", "-1", "9" * 5000, "Thu, 99 Foo 99999", "a," * 2000,
                     "http://localhost/viewer/?instance=%ED%A0%80%00")  # fmt: skip


def test_in_headers(attacker: Attacker) -> None:
    for name in HEADERS:
        read = {"Referer": ["/viewer/_dash-layout", "/language/de"], "Origin": [], "Sec-Fetch-Site": []}
        for value in IN_HEADERS:
            for address in read.get(name, [f"/instances/{attacker.image}/original"]):
                attacker.ask(f"{name}: {value[:40]!r}", address, headers={name: value})
            attacker.ask(f"{name}: {value[:40]!r}", "/delete", "POST", data={}, headers={name: value})


def test_files_are_counted_as_they_arrive_whatever_they_are_called(attacker: Attacker) -> None:
    incoming = attacker.context.blobs._incoming
    most = 0
    pending = attacker.context.blobs.__class__.pending

    def counted(store: Any) -> Any:
        nonlocal most
        blob = pending(store)
        most = max(most, len(list(incoming.iterdir())))
        return blob

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attacker.context.blobs.__class__, "pending", counted)
        for name, field in (("", "files"), ("a.png", "files"), ("", "other")):
            parts = [(BytesIO(b"x"), name) for _ in range(MAX_FILES + 50)]
            answer = attacker.ask(name, "/studies", "POST", data={field: parts}, headers={"Accept": "application/json"})
            assert answer.status_code == 422
            assert str(MAX_FILES) in answer.text or field == "other"
    assert most <= MAX_FILES + 1
    assert list(incoming.iterdir()) == []


def test_no_form_fills_the_memory(attacker: Attacker) -> None:
    """Only files pass through without being held: a form of another kind, or of texts, is no way to send 2 GB."""
    texts = {f"text-{k}": "x" * 1000 for k in range(400)}
    sent: tuple[tuple[str, Any], ...] = (
        ("application/x-www-form-urlencoded", b"a=1&" * 500_000),
        ("multipart/form-data", {**texts, "files": (BytesIO(b"x"), "a.png")}),
        ("multipart/form-data", {"patient": "x" * 400_000, "files": (BytesIO(b"x"), "a.png")}),
    )
    for kind, data in sent:
        assert attacker.ask(kind, "/studies", "POST", data=data, content_type=kind).status_code == 413


def test_nothing_of_it_broke_a_page_or_an_export(attacker: Attacker) -> None:
    note = "a\0\x1b[31m\n\n" + "-" * 3000 + "\u202e\u2066" + "\U0001f600" * 2000 + "\u200d\n\t\ufffe"
    saved = attacker.ask("note", f"/instances/{attacker.image}/review", "POST", json={"revision": 0, "note": note})
    assert saved.status_code == 200
    assert "\0" not in saved.json["note"]  # type: ignore[index]
    for address in (
        "/", f"/studies/{attacker.study}", f"/studies/{attacker.study}.json", f"/studies/{attacker.study}.csv",
        "/export/reviews.csv", "/export/labels.csv", f"/export/readings.csv?study={attacker.study}", "/account",
        f"/viewer/?instance={attacker.image}", f"/instances/{attacker.image}/report.pdf", "/metrics",
        f"/instances/{attacker.image}/review.json", f"/instances/{attacker.image}/priors.json",
    ):  # fmt: skip
        assert attacker.ask("afterwards", address).status_code == 200, address
    assert attacker.context.audit.verify().problems == ()
