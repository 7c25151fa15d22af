"""A request's head: whose it is, and what of it goes on."""

import h11
import pytest
from werkzeug.middleware.proxy_fix import ProxyFix

from diagnosis_tool.front.request import Head, Refused, parsed


def read(lines: str, proxies: int = 0) -> Head:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(lines.replace("\n", "\r\n").encode() + b"\r\n\r\n")
    request = connection.next_event()
    assert isinstance(request, h11.Request)
    return parsed(request, peer="192.0.2.1", proxies=proxies)


@pytest.mark.parametrize(
    ("said", "proxies", "address"),
    [
        ("", 0, "192.0.2.1"),
        ("\nX-Forwarded-For: 198.51.100.1", 0, "192.0.2.1"),
        ("\nX-Forwarded-For: 198.51.100.1", 1, "198.51.100.1"),
        ("\nX-Forwarded-For: 203.0.113.9, 198.51.100.1", 1, "198.51.100.1"),
        ("\nX-Forwarded-For: 203.0.113.9\nX-Forwarded-For: 198.51.100.1, 10.0.0.1", 2, "198.51.100.1"),
        ("\nX-Forwarded-For: 198.51.100.1", 2, "192.0.2.1"),
        ("", 1, "192.0.2.1"),
    ],
)
def test_only_what_trusted_proxies_wrote_counts(said: str, proxies: int, address: str) -> None:
    assert read("GET / HTTP/1.1\nHost: a" + said, proxies).address == address


@pytest.mark.parametrize("begun", ['"', '"x', 'x, "y', '"a\\\\"', "\\"])
def test_no_quote_of_a_client_hides_its_address_from_the_web_process(begun: str) -> None:
    """A proxy that adds to what came gives `"x, 198.51.100.1`, which is one text in quotes to who reads quotes."""
    head = read(f"GET / HTTP/1.1\nHost: a\nX-Forwarded-For: {begun}, 198.51.100.1", proxies=1)
    assert head.address == "198.51.100.1"
    (said,) = [value.decode() for name, value in head.headers if name.lower() == b"x-forwarded-for"]
    environ = {"REMOTE_ADDR": "192.0.2.1", "HTTP_X_FORWARDED_FOR": said}
    list(ProxyFix(lambda _environ, _start: [], x_for=1)(environ, lambda *_: None))  # type: ignore[arg-type, return-value]
    assert environ["REMOTE_ADDR"] == head.address


def test_what_belongs_to_the_connection_or_to_the_front_stays_here() -> None:
    head = read(
        "POST / HTTP/1.1\nHost: a\nConnection: keep-alive\nUpgrade: h2c\nTE: trailers\nExpect: 100-continue\n"
        "Content-Length: 3\nX-Front-Ask: may-come\nX_Front_Ask: may-come\nX-Request-ID: abc\nCookie: x=1"
    )
    assert [name for name, _ in head.headers] == [b"Host", b"X-Request-ID", b"Cookie"]
    assert (head.length, head.is_large, head.credentials) == (3, False, b"cookiex=1")


def test_large_is_what_has_no_length_or_a_large_one() -> None:
    assert read("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked").is_large
    assert read("POST / HTTP/1.1\nHost: a\nContent-Length: 65537").is_large
    assert not read("POST / HTTP/1.1\nHost: a\nContent-Length: 65536").is_large


def test_health_is_a_question_without_a_body() -> None:
    assert read("GET /healthz?x=1 HTTP/1.1\nHost: a").is_health
    assert not read("POST /healthz HTTP/1.1\nHost: a").is_health
    assert not read("GET /healthz HTTP/1.1\nHost: a\nContent-Length: 9").is_health
    assert not read("GET /healthz/ HTTP/1.1\nHost: a").is_health


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ("POST / HTTP/1.1\nHost: a\nContent-Length: 3\nTransfer-Encoding: chunked", 400),
        ("POST / HTTP/1.0\nHost: a\nTransfer-Encoding: chunked", 400),
        ("CONNECT a:443 HTTP/1.1\nHost: a", 405),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(lines: str, status: int) -> None:
    with pytest.raises(Refused) as refused:
        read(lines)
    assert refused.value.status == status
