from pathlib import Path

import pytest
from flask import Flask

from diagnosis_tool.app import create_app
from diagnosis_tool.cxr.findings import NIH_OUTPUTS
from diagnosis_tool.dicom.decode import HereDecoder
from diagnosis_tool.domain.access import ALL_PROJECTS
from diagnosis_tool.services.context import Context
from diagnosis_tool.settings import Settings
from tests.fakes.classifier import FakeClassifier
from tests.predicting import predict_all
from tests.stores import send
from tests.unit.viewer.looking import Study


@pytest.fixture
def study(context: Context) -> Study:
    """Stores files, lets some be read; gives the instances' uids."""

    def make(*files: bytes, read: bool = True, outputs: tuple[str, ...] = NIH_OUTPUTS) -> list[str]:
        uid = send(context, *files)
        if read:
            predict_all(context, FakeClassifier(outputs=outputs))
        return [instance.uid for instance in context.studies.study(uid, ALL_PROJECTS).instances]

    return make


@pytest.fixture
def app(context: Context, tmp_path: Path) -> Flask:
    settings = Settings.from_env({"DATA_DIR": str(tmp_path), "MODELS_DIR": str(tmp_path)})
    return create_app(settings, HereDecoder())
