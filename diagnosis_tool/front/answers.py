"""The front's own few answers, for who mostly reads none: plain text in both languages, since it has no catalogue."""

from http import HTTPStatus
from typing import Final

_WORDS: Final = {
    400: (
        "The request could not be understood, or broke off. Try again.",
        "Die Anfrage war nicht zu verstehen oder brach ab. Bitte noch einmal versuchen.",
    ),
    405: ("This cannot be done here.", "Das geht hier nicht."),
    408: (
        "The request came too slowly and was given up. Try again over a better connection.",
        "Die Anfrage kam zu langsam an und wurde abgebrochen. Bitte über eine bessere Verbindung wiederholen.",
    ),
    429: (
        "Too many connections from this address are not signed in. Wait a moment, then try again.",
        "Zu viele Verbindungen von dieser Adresse sind nicht angemeldet. Bitte warten und dann noch einmal versuchen.",
    ),
    431: ("The request's headers are too long.", "Die Kopfzeilen der Anfrage sind zu lang."),
    501: ("The request's body is encoded in an unknown way.", "Der Inhalt der Anfrage ist unbekannt kodiert."),
    503: (
        "The server is starting again. Try again in a moment.",
        "Der Server startet gerade neu. Bitte gleich noch einmal versuchen.",
    ),
}


def answer(status: int) -> tuple[bytes, list[tuple[bytes, bytes]], bytes]:
    """Reason, headers and body. The connection is closed after it."""
    body = "\n".join((*_WORDS.get(status, _WORDS[400]), "")).encode()
    headers = [
        (b"Content-Type", b"text/plain; charset=utf-8"),
        (b"Content-Length", str(len(body)).encode()),
        (b"Cache-Control", b"no-store"),
        (b"Content-Security-Policy", b"default-src 'none'"),
        (b"X-Content-Type-Options", b"nosniff"),
        (b"Connection", b"close"),
    ]
    if status in {429, 503}:
        headers.append((b"Retry-After", b"2"))
    return HTTPStatus(status).phrase.encode(), headers, body
