"""Uploads over a real connection: memory stays flat, and a refusal reaches the sender."""

import http.client
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from testing.serving import Server, serve, wait_for

_PART = b'--x\r\nContent-Disposition: form-data; name="files"; filename="%s"\r\n\r\n'
_END = b"\r\n--x--\r\n"


@pytest.fixture(scope="module")
def server(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("upload") / "data", tiny_bundle) as running:
        yield running


def post(server: Server, body: Iterator[bytes], length: int) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=120)
    headers = {
        "Content-Type": "multipart/form-data; boundary=x",
        "Content-Length": str(length),
        "Accept": "application/json",
        "Authorization": f"Bearer {server.token}",
    }
    connection.request("POST", "/studies", body, headers)
    answer = connection.getresponse()
    answer.body = answer.read()  # type: ignore[attr-defined]
    connection.close()
    return answer


def peak_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


def web_pids(server: Server) -> list[int]:
    """gunicorn's processes."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
            environment = (folder / "environ").read_bytes()
        except OSError:
            continue
        if b"gunicorn" in command and f"DATA_DIR={server.data_dir}".encode() in environment:
            found.append(int(folder.name))
    return found


def test_memory_stays_flat(server: Server) -> None:
    chunk, count = b"\0" * (1 << 20), 300
    head = _PART % b"large.bin"

    def body() -> Iterator[bytes]:
        yield head
        for _ in range(count):
            yield chunk
        yield _END

    pids = web_pids(server)
    assert len(pids) == 2
    before = sum(peak_kb(pid) for pid in pids)
    answer = post(server, body(), len(head) + count * len(chunk) + len(_END))
    assert answer.status == 303
    assert sum(peak_kb(pid) for pid in pids) - before < 30_000
    study = server.finished(str(answer.headers["Location"]).rsplit("/", 1)[-1])
    assert study["instances"][0]["state"] == "refused"
    assert not list((server.data_dir / "blobs" / "incoming").iterdir())


def test_the_sender_of_too_many_bytes_is_told(server: Server) -> None:
    count = 2_100

    def body() -> Iterator[bytes]:
        yield from (b"\0" * (1 << 20) for _ in range(count))

    answer = post(server, body(), count << 20)
    assert answer.status == 413
    assert b"2 GB" in answer.body  # type: ignore[attr-defined]


def test_the_sender_of_too_many_files_is_told(server: Server) -> None:
    part = _PART % b"a.png" + b"\0" * 200_000 + b"\r\n"
    parts = [part] * 230 + [b"--x--\r\n"]
    answer = post(server, iter(parts), sum(map(len, parts)))
    assert answer.status == 422
    assert b"More than 200 files" in answer.body  # type: ignore[attr-defined]
    assert not list((server.data_dir / "blobs" / "incoming").iterdir())


def test_an_upload_that_breaks_off_leaves_nothing(server: Server) -> None:
    address = urlsplit(server.url)
    head = (
        f"POST /studies HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        f"Authorization: Bearer {server.token}\r\nContent-Length: 10000000\r\n\r\n"
    ).encode()
    with socket.create_connection((str(address.hostname), int(address.port or 0))) as connection:
        connection.sendall(head + _PART % b"a.png" + b"\0" * 1_000_000)
    assert server.get("/healthz")
    incoming = server.data_dir / "blobs" / "incoming"
    wait_for(lambda: True if not list(incoming.iterdir()) else None, "the broken upload was left behind", 20)
