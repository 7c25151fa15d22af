"""bundle.json: a bundle, or BundleInvalid that names what is wrong; what is taken is shown on the model's page."""

import json
import shutil
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from diagnosis_tool.app import create_app
from diagnosis_tool.cxr.bundle import BUNDLE_FILE, open_bundle
from diagnosis_tool.errors import BundleInvalid
from diagnosis_tool.settings import Settings
from testing import accounts
from testing.stores import open_store
from tests.fuzz.mutations import mutated_json
from tests.fuzz.running import BOTH, fuzz, words


class Opened:
    """Opens bundles in one folder."""

    def __init__(self, folder: Path, sound: Path) -> None:
        self.folder = Path(shutil.copytree(sound, folder / "models" / "tiny"))
        self.data_dir = folder / "data"
        open_store(self.data_dir)

    def promise(self, raw: bytes) -> None:
        (self.folder / BUNDLE_FILE).write_bytes(raw)
        try:
            open_bundle(self.folder)
        except BundleInvalid as error:
            words(error, 20_000)
        else:
            assert self.page().get("/models/default").status_code == 200

    def page(self) -> FlaskClient:
        env = {"DATA_DIR": str(self.data_dir), "MODELS_DIR": str(self.folder.parent), "BUNDLE": "tiny"}
        client = create_app(Settings.from_env(env)).test_client(use_cookies=False)
        accounts.carry_token(client)
        return client


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Path) -> Opened:
    return Opened(tmp_path_factory.mktemp("bundles"), tiny_bundle)


@BOTH
def test_any_bundle_json_is_read_or_refused(box: bool, opened: Opened, tiny_bundle: Path) -> None:
    sound = json.loads((tiny_bundle / BUNDLE_FILE).read_bytes())
    fuzz(mutated_json(sound), opened.promise, box=box, smoke=40)
