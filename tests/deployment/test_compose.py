"""`docker compose up` confines what it runs, and with compose.tls.yaml the tool reaches nobody."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deployment.files import ROOT, compose

CADDYFILE = ROOT / "deploy" / "tls" / "Caddyfile"


def test_the_tool_is_confined_and_on_this_machine_alone() -> None:
    said = compose("compose.yaml")
    app = said["services"]["app"]
    assert app["read_only"] is True
    assert app["cap_drop"] == ["ALL"]
    assert app["security_opt"] == ["no-new-privileges:true"]
    assert app["ports"] == ["${PUBLISH:-127.0.0.1:8000}:8000"]
    assert app["volumes"] == ["data:/data"]
    assert said["volumes"] == {"data": {"name": "${DATA_VOLUME:-diagnosis-tool-data}"}}
    assert "privileged" not in app
    assert app["environment"]["SECRET_KEY"] == "${SECRET_KEY:-}"  # no secret stands in a file


def test_behind_tls_the_tool_has_no_way_out() -> None:
    said = compose("compose.tls.yaml")
    app, proxy = said["services"]["app"], said["services"]["proxy"]
    assert app["ports"] == []
    assert app["networks"] == ["inside"]
    assert app["environment"]["TRUSTED_PROXIES"] == "1"
    assert said["networks"]["inside"] == {"internal": True}
    assert proxy["ports"] == ["80:80", "443:443"]
    assert proxy["read_only"] is True
    assert proxy["cap_drop"] == ["ALL"]


FILES = ["compose.yaml", "compose.tls.yaml", "compose.oidc.yaml"]


def test_only_who_signs_people_in_elsewhere_has_a_way_out() -> None:
    said = compose("compose.oidc.yaml")
    app = said["services"]["app"]
    assert app["networks"] == ["outside"]
    assert app["environment"]["OIDC_CLIENT_SECRET"] == "${OIDC_CLIENT_SECRET:-}"  # no secret stands in a file
    assert app["volumes"] == ["./oidc:/oidc:ro"]
    assert app["environment"]["OIDC_GROUPS"] == "/oidc/groups.toml"


@pytest.mark.parametrize("name", FILES)
def test_the_readme_explains_what_is_set(name: str) -> None:
    readme = (ROOT / "README.md").read_text()
    for key in compose(name)["services"]["app"]["environment"]:
        assert f"`{key}`" in readme


@pytest.mark.parametrize("name", FILES)
def test_what_is_mounted_lies_in_the_repository_or_is_told_of(name: str) -> None:
    mounts = re.findall(r"- (\./[^:\s]+):", (ROOT / name).read_text())
    for mount in mounts:
        assert (ROOT / mount).exists() or mount in {"./certs", "./oidc"}


@pytest.mark.skipif(shutil.which("caddy") is None, reason="NOT CHECKED: deploy/tls/Caddyfile needs caddy to be read")
def test_the_proxy_understands_its_file(tmp_path: Path) -> None:
    key, certificate = tmp_path / "tls.key", tmp_path / "tls.crt"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost",
         "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    done = subprocess.run(
        ["caddy", "validate", "--adapter", "caddyfile", "--config", CADDYFILE],
        env={**os.environ, "SITE": "localhost", "CERTS": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
