"""Server, browser and page that the tests of one module share."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from testing.browser import NoBrowser, Watch, chromium, signed_in
from testing.serving import Server, serve
from testing.stores import DATABASE
from tests.conftest import phantom_png
from tests.dicom_files import dicom
from training.phantom import chest_phantom

expect.set_options(timeout=20_000)  # machines that build and train are slow


@pytest.fixture(scope="session")
def started(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all modules, with random weights."""
    with serve(tmp_path_factory.mktemp("e2e") / "data", tiny_bundle) as running:
        yield running


@pytest.fixture(scope="module")
def server(started: Server) -> Server:
    """The server without studies: those of the modules before are deleted."""
    with closing(sqlite3.connect(started.data_dir / DATABASE)) as db:
        studies = [("study", uid) for (uid,) in db.execute("SELECT uid FROM studies")]
    if studies:
        urlopen(started.request("/delete", urlencode(studies).encode()), timeout=60).close()
    return started


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for all modules, whose tests have sessions of their own; skips where the system has none."""
    try:
        with chromium() as running:
            yield running
    except NoBrowser as error:
        pytest.skip(str(error))


@pytest.fixture
def unwatched_page(browser: Browser, server: Server) -> Iterator[Page]:
    """A page of its own session, for tests in which the server says no."""
    with signed_in(browser, server) as session:
        page = session.new_page()
        page.set_default_timeout(20_000)
        yield page


@pytest.fixture
def page(unwatched_page: Page, server: Server) -> Iterator[Page]:
    """A page of its own session that must end without a fault."""
    watch = Watch(unwatched_page, server.url)
    yield unwatched_page
    assert watch.faults == []


@pytest.fixture(scope="module")
def uids(server: Server) -> list[str]:
    """Three images of one patient, oldest first, 12 bits deep, of a study that stands before another one."""
    deep = chest_phantom(seed=5, height_px=700, width_px=500).astype(np.uint16) * 12 + 300
    common: dict[str, Any] = {"PatientID": "P1", "BitsStored": 12, "HighBit": 11, "PixelSpacing": [0.4, 0.4]}
    films = [
        (f"{k}.dcm", dicom(deep + np.uint16(20 * k), AcquisitionDate=day, **common))
        for k, day in enumerate(("20200105", "20230301", "20260710"))
    ]
    _, images = server.predicted(films)
    server.predicted([("plain.png", phantom_png(4, 512))])
    return images
