"""A real browser goes to a provider and comes back: what cookies and the content policy have to let through."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from testing.browser import layout_faults
from testing.serving import serve
from tests.e2e.barriers import barriers
from tests.fakes.provider import CLIENT, running

pytestmark = [pytest.mark.e2e, pytest.mark.long]


def test_signing_in_at_a_provider_and_out_again(browser: Browser, tiny_bundle: Path, tmp_path: Path) -> None:
    groups = tmp_path / "groups.toml"
    groups.write_text('[groups.readers]\nrole = "radiologist"\nprojects = ["default"]\n')
    with running() as provider:
        provider.issuer = provider.issuer.replace("127.0.0.1", "localhost")  # another site than the server's
        own = {"OIDC_ISSUER": provider.issuer, "OIDC_CLIENT_ID": CLIENT[0], "OIDC_CLIENT_SECRET": CLIENT[1],
               "OIDC_GROUPS": str(groups), "OIDC_NAME": "The University Clinic of a rather long name",
               "LOCAL_SIGN_IN": "none", "NO_PROXY": "*"}  # fmt: skip
        with (
            serve(tmp_path / "data", tiny_bundle, {"TORCH_THREADS": "1", **own}) as server,
            browser.new_context(base_url=server.url) as session,
        ):
            page = session.new_page()
            page.set_viewport_size({"width": 390, "height": 844})
            page.goto("/?state=read")
            assert layout_faults(page) == []
            assert barriers(page) == []
            page.click("#sign-in-elsewhere")
            page.wait_for_url(f"{server.url}/?state=read")
            assert "Ada" in page.inner_text(".user-name")
            page.click(".user-name a")
            assert "You sign in at" in page.inner_text("main")
            assert barriers(page) == []
            page.click("#sign-out")
            page.wait_for_url("**/sign-in")
            provider.person["groups"] = []
            page.click("#sign-in-elsewhere")
            page.wait_for_selector("#problem")
            assert "none of your groups" in page.inner_text("#problem")
            assert barriers(page) == []
