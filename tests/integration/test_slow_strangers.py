"""Strangers that take their time, against the server as `make run` and the image start it."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit

import pytest

from diagnosis_tool.domain.access import Role
from diagnosis_tool.front.guests import PER_ADDRESS
from diagnosis_tool.front.pace import Patience
from testing import accounts
from testing.serving import Server, free_port, serve, wait_for
from testing.slow import STRANGERS, Slow, is_over, longest_s, said, slow_strangers
from testing.stores import open_store
from tests.conftest import phantom_png

WAIT_S = 1.0
"""The promise."""


@pytest.fixture(scope="module")
def server(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {"TORCH_THREADS": "1", "QUOTA_GB": "1"}
    with serve(tmp_path_factory.mktemp("slow") / "data", tiny_bundle, settings) as running:
        yield running


def head(server: Server, path: str, *lines: str, method: str = "POST", token: bool = True) -> bytes:
    own = (f"Authorization: Bearer {server.token}",) if token else ()
    text = "\r\n".join((f"{method} {path} HTTP/1.1", "Host: localhost", *own, *lines))
    return f"{text}\r\n\r\n".encode()


def test_sixty_slow_strangers_keep_nobody_waiting(server: Server) -> None:
    """Health, a reader who was there before, and one who comes anew meanwhile, each on a new connection."""
    reader = accounts.account(server.context, Role.VIEWER)
    anew = [accounts.cookie_of(server.context, reader, server.data_dir)["value"] for _ in range(4)]

    def page_of(cookie: str) -> None:
        request = urllib.request.Request(server.url + "/", headers={"Cookie": f"diagnosis_tool={cookie}"})
        with urllib.request.urlopen(request, timeout=20) as page:
            assert b"sign-out" in page.read()

    def health() -> None:
        with urllib.request.urlopen(server.url + "/healthz", timeout=20) as answer:
            assert answer.status == 200

    def waits(cookie: str) -> list[float]:
        return [longest_s(lambda: page_of(cookie), 1), longest_s(lambda: page_of(anew[0]), 3), longest_s(health, 3)]

    page_of(anew[0])
    usual_s = max(waits(anew[0]))  # on a machine that has other things to do as well
    with slow_strangers(server.url, 60):
        waited = []
        for cookie in anew[1:]:
            waited.append(waits(cookie))
            time.sleep(0.5)
    assert max(map(max, waited)) < WAIT_S + 3 * usual_s, (usual_s, waited)


def test_who_is_too_slow_is_told_and_hung_up_on(server: Server) -> None:
    patience, begin = Patience(), time.monotonic()
    ended: dict[str, float] = {}
    answers: dict[str, bytes] = {}

    def look(kind: str, connection: socket.socket) -> None:
        connection.settimeout(60)
        answer = b""
        with suppress(OSError):
            while data := connection.recv(65536):
                answer += data
        ended[kind], answers[kind] = time.monotonic() - begin, answer.split(b"\r\n")[0]

    with Slow(server.url, len(STRANGERS)) as slow:
        threads = [threading.Thread(target=look, args=pair) for pair in slow.connections]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert max(ended.values()) < 2 * max(patience.idle_s, patience.head_s, patience.window_s)
    for kind, answer in answers.items():
        expected = b"401" if "upload" in kind else b"" if kind == "nothing at all" else b"408"
        assert expected in answer, (kind, answer)
        if expected == b"401":  # it is not drained
            assert ended[kind] < patience.window_s, (kind, ended)


def test_what_may_not_come_is_refused_before_it_comes(server: Server) -> None:
    """401, 403, 413 and 507 are the answer to the headers; of the bodies nothing is sent at all."""
    viewer = accounts.token_of(server.context, accounts.account(server.context, Role.VIEWER))
    looks = f"Authorization: Bearer {viewer}"
    form = "Content-Type: multipart/form-data; boundary=x"
    for expected, request in (
        (401, head(server, "/studies", form, "Content-Length: 5000000", token=False)),
        (401, head(server, "/studies", form, "Transfer-Encoding: chunked", token=False)),
        (
            403,
            head(server, "/studies", form, "Content-Length: 5000000", looks, token=False),
        ),
        (413, head(server, "/studies", form, "Content-Length: 3000000000")),
        (413, head(server, "/sign-in", "Content-Length: 100000", token=False)),
        (413, head(server, "/viewer/_dash-update-component", "Content-Length: 5000000")),
        (507, head(server, "/studies", form, "Content-Length: 1500000000")),
        (401, head(server, "/studies", form, "Content-Length: 5000000", "Expect: 100-continue", token=False)),
    ):
        begin = time.monotonic()
        answer = said(server.url, request)
        assert answer.startswith(f"HTTP/1.1 {expected} ".encode()), (expected, answer[:300])
        assert b"connection: close" in answer.lower()
        assert time.monotonic() - begin < Patience().window_s


def test_two_ways_to_read_a_request_are_none(server: Server) -> None:
    """Request smuggling: what could be read in two ways is refused, and no second request is found in it."""
    inside = b"0\r\n\r\nGET /sign-in HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for lines in (
        ("Content-Length: 4", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "Content-Length: 4"),
        ("Content-Length: 4", "Content-Length: 60"),
        ("Content-Length: 4, 60",),
        ("Content-Length: +4",),
        ("Transfer-Encoding: xchunked",),
        ("Transfer-Encoding: chunked, identity",),
        ("Transfer-Encoding : chunked",),
    ):
        answer = said(server.url, head(server, "/sign-in", *lines, token=False) + inside)
        assert answer.count(b"HTTP/1.1 ") == 1, (lines, answer)
        assert answer.split()[1] in {b"400", b"501"}, (lines, answer)


def test_nobody_speaks_for_the_front_or_for_a_proxy(server: Server) -> None:
    """Who asks is the connection's address, whatever a client says; the cookie is no secure one either."""
    lines = (
        "X-Front-Key: guessed", "X-Front-Peer: 192.0.2.7", "X_Front_Peer: 192.0.2.7", "X-Front-Ask: may-come",
        "X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: https", "X-Forwarded-Protocol: ssl", "SCRIPT_NAME: /other",
    )  # fmt: skip
    answer = said(server.url, head(server, "/sign-in", *lines, "Connection: close", method="GET", token=False))
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"strict-transport-security" not in answer.lower()
    assert b"x-front-" not in answer.lower()
    assert b'action="/sign-in"' in answer
    said(server.url, head(server, "/studies/none.json", *lines, "Connection: close", method="GET"))
    addresses = repr(list(server.context.audit.lines()))
    assert "127.0.0.1" in addresses
    assert "192.0.2.7" not in addresses


def test_http_goes_on_as_it_was(server: Server, film_files: list[Path]) -> None:
    """Kept connections, pipelining, 100-continue, chunks, HEAD, 304, an original as it was sent."""
    at = urlsplit(server.url)
    film = phantom_png(5, 1500)
    parts = (
        b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n' + film + b"\r\n--x--\r\n"
    )  # over 1 MB: it goes through a file
    form = {"Content-Type": "multipart/form-data; boundary=x", "Authorization": f"Bearer {server.token}"}
    connection = http.client.HTTPConnection(at.netloc, timeout=60)

    def ask(*request: object, **more: object) -> http.client.HTTPResponse:
        connection.request(*request, **more)  # type: ignore[arg-type]
        answer = connection.getresponse()
        answer.body = answer.read()  # type: ignore[attr-defined]
        return answer

    pieces = [parts[k : k + 100_000] for k in range(0, len(parts), 100_000)]
    answer = ask("POST", "/studies", iter(pieces), form, encode_chunked=True)
    assert answer.status == 303
    own = connection.sock
    uid = str(answer.headers["Location"]).rsplit("/", 1)[-1]
    server.finished(uid)
    (image,) = server.image_uids(uid)
    original = ask("GET", f"/instances/{image}/original", headers=form)
    assert original.body == film  # type: ignore[attr-defined]
    again = ask("GET", f"/instances/{image}/original", headers={**form, "If-None-Match": original.headers["ETag"]})
    assert (again.status, again.body) == (304, b"")  # type: ignore[attr-defined]
    only_head = ask("HEAD", f"/instances/{image}/original", headers=form)
    assert (only_head.status, only_head.body) == (200, b"")  # type: ignore[attr-defined]
    assert only_head.headers["Content-Length"] == original.headers["Content-Length"]
    assert connection.sock is own  # all on one connection
    connection.close()

    get = head(server, "/", method="GET")
    two = said(server.url, get + head(server, "/healthz", "Connection: close", method="GET"))
    assert two.count(b"HTTP/1.1 ") == 2
    with socket.create_connection((str(at.hostname), int(at.port or 0)), timeout=60) as waits:
        lines = (form["Content-Type"], f"Content-Length: {len(parts)}", "Expect: 100-continue", "Connection: close")
        waits.sendall(head(server, "/studies", f"Content-Type: {lines[0]}", *lines[1:]))
        assert waits.recv(100).startswith(b"HTTP/1.1 100 ")
        waits.sendall(parts)
        answer_line = b""
        while data := waits.recv(65536):
            answer_line += data
        assert answer_line.startswith(b"HTTP/1.1 303 ")


def test_an_address_keeps_few_connections_and_its_readers_are_not_among_them(server: Server) -> None:
    """Strangers' connections are bounded; those of who is signed in are not, though they are as slow."""
    upload = head(server, "/studies", "Content-Type: multipart/form-data; boundary=x", "Content-Length: 1000000")
    with (
        Slow(server.url, PER_ADDRESS + 20, {"upload": upload + b"--x\r\n"}) as readers,
        Slow(server.url, 2 * PER_ADDRESS, {"half": STRANGERS["half a header"]}) as strangers,
    ):
        wait_for(lambda: _over(strangers) >= PER_ADDRESS or None, "nobody was hung up on", 5)
        assert _over(readers) == 0
        server.get("/")


def _over(slow: Slow) -> int:
    return sum(is_over(connection) for _, connection in slow.connections)


def test_the_front_is_started_again(server: Server) -> None:
    (pid,) = server.front_pids()
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: _answers(server), "the front did not come back", 30)
    (again,) = server.front_pids()
    assert again != pid


def _answers(server: Server) -> bool | None:
    try:
        return True if server.get("/") else None
    except OSError:
        return None


def test_what_runs_is_finished_and_nobody_outlives_the_stop(tiny_bundle: Path, tmp_path: Path) -> None:
    """An upload that is half here when SIGTERM comes is answered; a slow stranger holds nothing up."""
    film = phantom_png(6, 700)
    parts = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n' + film + b"\r\n--x--\r\n"
    with serve(tmp_path / "data", tiny_bundle) as server:
        at = urlsplit(server.url)
        (front,) = server.front_pids()
        with (
            Slow(server.url, 6),
            socket.create_connection((str(at.hostname), int(at.port or 0)), timeout=60) as upload,
        ):
            lines = ("Content-Type: multipart/form-data; boundary=x", f"Content-Length: {len(parts)}")
            upload.sendall(head(server, "/studies", *lines) + parts[:-100_000])
            time.sleep(0.5)
            server.process.send_signal(signal.SIGTERM)
            begin = time.monotonic()
            time.sleep(1)
            upload.sendall(parts[-100_000:])
            assert upload.recv(65536).startswith(b"HTTP/1.1 303 ")
            server.process.wait(30)
            assert time.monotonic() - begin < 10  # then docker kills
    assert not Path(f"/proc/{front}").exists()
    assert not list(Path(server.data_dir).glob(".upload-*"))


def test_behind_a_proxy_its_clients_are_told_apart(tiny_bundle: Path, tmp_path: Path) -> None:
    """One address sends everything; X-Forwarded-For says for whom, and only its last entry is the proxy's word."""
    half = "POST /sign-in HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 198.51.100.9, {}\r\nContent-Length: 9\r\n\r\n"
    with serve(tmp_path / "data", tiny_bundle, {"TORCH_THREADS": "1", "TRUSTED_PROXIES": "1"}) as server:
        with (
            Slow(server.url, 2 * PER_ADDRESS, {"one": half.format("192.0.2.1").encode()}) as flood,
            Slow(server.url, 5, {"other": half.format("192.0.2.2").encode()}) as other,
        ):
            wait_for(lambda: _over(flood) >= PER_ADDRESS or None, "nobody was hung up on", 5)
            assert _over(other) == 0
        request = server.request("/studies/none.json", headers={"X-Forwarded-For": "203.0.113.5, 192.0.2.3"})
        with pytest.raises(HTTPError):
            urllib.request.urlopen(request, timeout=60)
        addresses = repr(list(server.context.audit.lines()))
        assert "192.0.2.3" in addresses
        assert "203.0.113.5" not in addresses


def test_pages_without_workers_have_the_same_front(tmp_path: Path) -> None:
    """`diagnosis-tool web`, whose web process then hangs: health says so in time, and the end is in time, too."""
    store, port = open_store(tmp_path), free_port()
    token = accounts.token_of(store, accounts.account(store, Role.VIEWER))
    env = {**os.environ, "PORT": str(port), "DATA_DIR": str(tmp_path)}
    url = f"http://127.0.0.1:{port}"
    page = urllib.request.Request(url + "/", headers={"Authorization": f"Bearer {token}"})

    def ask(of: urllib.request.Request) -> int:
        try:
            with urllib.request.urlopen(of, timeout=60) as answer:
                return int(answer.status)
        except HTTPError as error:
            return error.code
        except OSError:
            return 0

    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "diagnosis_tool.cli", "web"], env=env, stdout=log, stderr=log)
    try:
        wait_for(lambda: True if ask(page) == 200 else None, "web did not start", 60)
        with slow_strangers(url, 60):
            assert longest_s(lambda: ask(page), 5) < 5 * WAIT_S  # without a front: for ever
        (master,) = [pid for pid in _children(process.pid) if b"gunicorn" in _command(pid)]
        (web,) = _children(master)
        os.kill(web, signal.SIGSTOP)
        begin = time.monotonic()
        assert ask(urllib.request.Request(url + "/healthz")) == 503
        assert time.monotonic() - begin < 20
        os.kill(web, signal.SIGCONT)
    finally:
        process.terminate()
        process.wait(30)
    assert process.returncode == 0


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _command(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()
