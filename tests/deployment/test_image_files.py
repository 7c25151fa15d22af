"""What the image is built from: Dockerfile, and the scripts that run while it is built or tried out."""

import base64
import io
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deploy.image import slim, smoke, torch_build
from diagnosis_tool.settings import Settings
from tests.deployment.files import ROOT, dockerfile_environment

HADOLINT = Path(sys.executable).with_name("hadolint")


@pytest.mark.skipif(not HADOLINT.is_file(), reason="NOT LINTED: hadolint is missing: make install-dev brings it")
def test_the_dockerfile_is_clean() -> None:
    done = subprocess.run([HADOLINT, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_the_build_script_parses() -> None:
    subprocess.run(["bash", "-n", ROOT / "deploy" / "image" / "build.sh"], check=True)


def test_the_image_runs_confined() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    final = lines[max(k for k, line in enumerate(lines) if line.startswith("FROM ")) :]
    assert "USER 10001:10001" in final
    assert "VOLUME /data" in final
    assert any(line.startswith("HEALTHCHECK ") and "/healthz" in line for line in final)
    assert 'ENTRYPOINT ["diagnosis-tool"]' in final
    assert 'CMD ["serve"]' in final
    assert {line.split()[1] for line in lines if line.startswith("FROM ")} == {"python:3.11-slim-bookworm"}


def test_the_image_sets_what_the_settings_understand(tmp_path: Path) -> None:
    said = dockerfile_environment()
    settings = Settings.from_env({**said, "DATA_DIR": str(tmp_path)})
    assert (said["DATA_DIR"], settings.host, settings.port) == ("/data", "0.0.0.0", 8000)


@pytest.mark.parametrize(
    ("cuda", "installed", "why"),
    [
        (None, ["torch", "numpy"], None),
        ("13.0", ["torch"], "built for CUDA 13.0"),
        (None, ["torch", "nvidia-cudnn-cu13", "triton"], "nvidia-cudnn-cu13, triton came with it"),
    ],
)
def test_a_build_for_cuda_is_noticed(cuda: str | None, installed: list[str], why: str | None) -> None:
    said = torch_build.complaint(cuda, installed)
    assert said is why if why is None else why in (said or "")


def test_the_advice_names_the_argument() -> None:
    assert "--build-arg TORCH_INDEX=" in torch_build.ADVICE
    assert torch_build.built_for() is None or isinstance(torch_build.built_for(), str)


def test_what_is_taken_out_is_installed_at_all() -> None:
    pinned = {line.split("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines()}
    assert set(slim.UNUSED_PACKAGES) - {"setuptools"} <= pinned


def test_a_film_with_a_comment_is_the_same_film_and_another_file() -> None:
    for file in sorted((ROOT / "deploy" / "image" / "films").glob("*.png")):
        name, content = smoke.as_sent(file, "one")
        other = base64.b64decode(content)
        assert name == f"one{file.name}"
        assert other != file.read_bytes()
        with Image.open(io.BytesIO(other)) as changed, Image.open(file) as first:
            assert np.array_equal(np.asarray(changed), np.asarray(first))
            assert changed.text == {"Comment": "one"}
