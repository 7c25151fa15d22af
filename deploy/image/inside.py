"""What the smoke test does inside the container, where alone an image without a network can be reached.

Standard library only; run by the image's own Python. Reads one JSON object from standard input, writes one:
    link: the one-time link's path, or null to sign in by name; password: of the user `admin`
    films: [name, base64] to upload and wait for; sent: studies to wait for that were sent before
    batch: [name, base64] to upload last of all, without waiting
"""

import base64
import json
import os
import re
import socket
import sys
import time
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode

HERE = f"http://127.0.0.1:{os.environ['PORT']}"
DEADLINE_S = 300.0
OVER = {"done", "refused", "failed"}


class Browser:
    """Keeps cookies and the pages' CSRF token."""

    def __init__(self) -> None:
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))

    def ask(self, path: str, data: bytes | None = None, headers: dict[str, str] | None = None) -> tuple[str, bytes]:
        """The address where it ended, and what was answered."""
        request = urllib.request.Request(HERE + path, data, headers or {})  # noqa: S310  HERE is http
        with self._opener.open(request, timeout=60) as answer:
            return answer.url, answer.read()

    def sign_in(self, link: str | None, password: str) -> None:
        """By the one-time link, which sets the password; else by the password."""
        path = link or "/sign-in"
        words = {"csrf_token": self.token(path), "password": password}
        words |= {"again": password} if link else {"name": "admin"}
        url, page = self.ask(path, urlencode(words).encode())
        check("/sign-in" not in url and b"sign-out" in page, f"sign-in ended at {url}")

    def token(self, path: str) -> str:
        """The CSRF token in a page."""
        found = re.search(rb'name="csrf[-_]token" (?:content|value)="([^"]+)"', self.ask(path)[1])
        if found is None:
            raise SystemExit(f"{path} holds no CSRF token")
        return found[1].decode()

    def upload(self, files: list[list[str]]) -> str:
        """Sends them as one study; its uid."""
        edge = "edge-of-the-smoke-test"
        parts = [
            f'--{edge}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n'
            "Content-Type: image/png\r\n\r\n".encode()
            + base64.b64decode(content)
            + b"\r\n"
            for name, content in files
        ]
        headers = {"Content-Type": f"multipart/form-data; boundary={edge}", "X-CSRFToken": self.token("/")}
        return self.ask("/studies", b"".join(parts) + f"--{edge}--\r\n".encode(), headers)[0].rsplit("/", 1)[-1]

    def finished(self, uid: str) -> dict[str, Any]:
        """The study once all its images are read."""
        end = time.monotonic() + DEADLINE_S
        while time.monotonic() < end:
            study: dict[str, Any] = json.loads(self.ask(f"/studies/{uid}.json")[1])
            if all(image["state"] in OVER for image in study["instances"]):
                return study
            time.sleep(0.2)
        raise SystemExit(f"study {uid} was not read within {DEADLINE_S} s")

    def check_read(self, study: dict[str, Any]) -> None:
        """15 probabilities and 4 heatmaps each, which can be fetched."""
        for image in study["instances"]:
            check(image["state"] == "done", f"{image['file']}: {image['state']}, {image['error']}")
            check(len(image["findings"]) == 15, f"{image['file']} has {len(image['findings'])} probabilities")
            check(all(0 <= f["probability"] <= 1 for f in image["findings"]), f"{image['file']}: no probabilities")
            check(len(image["heatmaps"]) == 4, f"{image['file']} has {len(image['heatmaps'])} heatmaps")
            for path in image["heatmaps"].values():
                check(self.ask(path)[1].startswith(b"\x89PNG"), f"{path} is no picture")


def check(holds: bool, message: str) -> None:
    """Ends with the message when it does not hold."""
    if not holds:
        raise SystemExit(message)


def refused(path: str) -> int:
    """With which code a request without a cookie is refused; 0 when it is not."""
    try:
        Browser().ask(path)
    except HTTPError as error:
        return error.code
    return 0


def check_confinement() -> None:
    """Not root, no capability, nothing to gain, nothing to write but /data and /tmp, nowhere to call."""
    said = dict(line.split(":\t", 1) for line in Path("/proc/1/status").read_text().splitlines() if ":\t" in line)
    check(said["Uid"].split()[0] != "0", "it runs as root")
    check(int(said["CapBnd"], 16) == int(said["CapEff"], 16) == 0, f"it has capabilities: {said['CapBnd']}")
    check(said["NoNewPrivs"].strip() == "1", "it may gain privileges")
    for path in ("/written", "/app/written"):
        try:
            Path(path).write_text("")
        except OSError:
            continue
        raise SystemExit(f"{path} can be written")
    check(os.listdir("/sys/class/net") == ["lo"], "it has a network")
    with socket.socket() as out:
        out.settimeout(2)
        check(out.connect_ex(("192.0.2.1", 80)) != 0, "it reaches others")  # RFC 5737: nobody's address


def main() -> None:
    """One visit."""
    asked = json.load(sys.stdin)
    check_confinement()
    if asked["link"]:
        check(refused("/") == 503, "the page is served before there is an administrator")
    browser = Browser()
    browser.sign_in(asked["link"], asked["password"])
    uids = list(asked["sent"])
    started = time.monotonic()
    if asked["films"]:
        uids.append(browser.upload(asked["films"]))
    studies = {uid: browser.finished(uid) for uid in uids}
    seconds = time.monotonic() - started
    for study in studies.values():
        browser.check_read(study)
    batch = browser.upload(asked["batch"]) if asked["batch"] else None
    json.dump({"studies": studies, "seconds": round(seconds, 1), "batch": batch}, sys.stdout)


if __name__ == "__main__":
    main()
