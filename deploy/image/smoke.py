"""Tries an image out as docs/deploy.md runs it: read-only, without network or capabilities.

    python3 deploy/image/smoke.py IMAGE ENGINE...     ENGINE: `docker run`, or podman's words up to the image's name

Signs in by the one-time link, uploads three films, sends a batch, stops in the midst of it, starts again on the same
volume, signs in by password, and finds all of it. Needs Python's standard library only.
"""

import base64
import json
import re
import secrets
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
REAL = HERE.parents[1].parent / "shared" / "data" / "nih-1024"
STOP_S = 10.0
READY_S = 240.0
BATCH = 60
CONFINED = (
    *("--read-only", "--tmpfs", "/tmp", "--network", "none"),  # noqa: S108  inside the container
    *("--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
)


class Smoke:
    """One volume and the containers that use it, one after the other."""

    def __init__(self, image: str, engine: list[str]) -> None:
        at = engine.index("run")
        self._tool, options = engine[:at], engine[at + 1 :]
        if "--network" in options:  # what the builder suggests; here there is none
            network = options.index("--network")
            del options[network : network + 2]
        self._image, self._options = image, options
        self._name = f"diagnosis-tool-smoke-{secrets.token_hex(4)}"

    def start(self) -> float:
        """Starts a container and waits until it can read; the seconds that took."""
        began = time.monotonic()
        own = ["--detach", "--name", self._name, "--volume", f"{self._name}:/data"]
        self._run("run", *self._options, *own, *CONFINED, self._image)
        asks = "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ['PORT'] + '/readyz')"
        while self._try("exec", self._name, "python", "-c", asks).returncode:
            if self._run("inspect", "--format", "{{.State.Running}}", self._name).strip() != "true":
                sys.exit(f"smoke: FAILED: the container ended.\n{self.log()}")
            if time.monotonic() - began > READY_S:
                sys.exit(f"smoke: FAILED: not ready within {READY_S:.0f} s.\n{self.log()}")
            time.sleep(0.5)
        return time.monotonic() - began

    def log(self) -> str:
        """Standard output and standard error of the container."""
        done = self._try("logs", self._name)
        return done.stdout + done.stderr

    def health(self) -> None:
        """Runs the image's own HEALTHCHECK."""
        said = json.loads(self._run("image", "inspect", self._image))[0]
        check = said.get("HealthCheck") or said.get("Healthcheck") or said["Config"]["Healthcheck"]
        self._run("exec", self._name, *check["Test"][1:])

    def visit(self, **asked: Any) -> dict[str, Any]:
        """Runs inside.py in the container."""
        code = (HERE / "inside.py").read_text()
        done = self._try("exec", "--interactive", self._name, "python", "-c", code, stdin=json.dumps(asked))
        if done.returncode:
            sys.exit(f"smoke: FAILED: {done.stderr}\nThe container's log:\n{self.log()}")
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def stop(self) -> float:
        """SIGTERM, and no more than that; the seconds it took to end."""
        began = time.monotonic()
        self._run("kill", "--signal", "TERM", self._name)
        code = self._run("wait", self._name).strip()
        seconds = time.monotonic() - began
        if code != "0" or seconds > STOP_S:
            sys.exit(f"smoke: FAILED: stopped after {seconds:.1f} s with code {code}.\n{self.log()}")
        self._run("rm", self._name)
        return seconds

    def clean(self) -> None:
        """Leaves nothing behind."""
        self._try("rm", "--force", self._name)
        self._try("volume", "rm", "--force", self._name)

    def _run(self, *words: str) -> str:
        done = self._try(*words)
        if done.returncode:
            sys.exit(f"smoke: FAILED: {words[0]}: {done.stderr}")
        return done.stdout

    def _try(self, *words: str, stdin: str | None = None) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([*self._tool, *words], input=stdin, capture_output=True, text=True, check=False)


def films() -> tuple[str, list[Path]]:
    """Three real films where there are any, else phantoms."""
    real = sorted(REAL.glob("*.png"))[:3]
    return ("real films", real) if len(real) == 3 else ("phantoms", sorted((HERE / "films").glob("*.png")))


def as_sent(file: Path, comment: str = "") -> list[str]:
    """Name and content. comment: written into the PNG, so that the same film is another file, to be read anew."""
    content = file.read_bytes()
    if comment:
        body = b"tEXt" + b"Comment\0" + comment.encode("ascii")
        chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
        end = content.rindex(b"IEND") - 4  # the chunk's length stands before its name. Source: PNG specification, 5.3
        content = content[:end] + chunk + content[end:]
    return [f"{comment}{file.name}", base64.b64encode(content).decode()]


def main() -> None:
    """The whole story, a line a step."""
    smoke = Smoke(sys.argv[1], sys.argv[2:])
    kind, files = films()
    password = secrets.token_urlsafe(16)
    try:
        print(f"smoke: ready {smoke.start():.1f} s after the first start", flush=True)
        smoke.health()
        link = re.search(r"https?://[^\s/]+(/sign-in/once/\S+)", smoke.log())
        if link is None:
            sys.exit(f"smoke: FAILED: the log tells no one-time link.\n{smoke.log()}")
        batch = [as_sent(files[k % 3], f"batch-{k}-") for k in range(BATCH)]
        first = smoke.visit(
            link=link[1], password=password, films=[as_sent(file) for file in files], sent=[], batch=batch
        )
        print(f"smoke: signed in; three {kind} read in {first['seconds']} s, 15 probabilities and 4 heatmaps each")
        print(f"smoke: stopped by SIGTERM in {smoke.stop():.1f} s, with {BATCH} images just sent", flush=True)
        print(f"smoke: ready {smoke.start():.1f} s after the second start, on the same volume", flush=True)
        again = smoke.visit(link=None, password=password, films=[], sent=[*first["studies"], first["batch"]], batch=[])
        uid = next(iter(first["studies"]))
        if again["studies"][uid] != first["studies"][uid]:
            sys.exit("smoke: FAILED: the study is not what it was before the stop.")
        if len(again["studies"][first["batch"]]["instances"]) != BATCH:
            sys.exit("smoke: FAILED: images of the batch are missing.")
        print(f"smoke: found the study as it was, and all {BATCH} images of the batch read")
        print(f"smoke: stopped in {smoke.stop():.1f} s. PASSED, {kind}, image {smoke._image}")
    finally:
        smoke.clean()


if __name__ == "__main__":
    main()
