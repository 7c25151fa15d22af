"""What `pip install` brings works by itself, far from the checkout: pages, migrations, texts and models are in it."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHECKOUT = ("PYTHONPATH", "MODELS_DIR", "BUNDLE")
ASKS = """
from diagnosis_tool import resources
from diagnosis_tool.app import from_env
from diagnosis_tool.services.bundles import find_bundles
from diagnosis_tool.settings import Settings

for folder in (resources.templates_dir(), resources.static_dir(), resources.translations_dir(),
               resources.migrations_dir(), resources.models_dir()):
    assert folder.is_dir() and "site-packages" in folder.parts, folder
client = from_env().test_client()
page = client.get("/", follow_redirects=True, headers={"Accept": "text/html", "Accept-Language": "de"})
assert page.status_code == 200 and b'lang="de"' in page.data, page.data
assert client.get("/static/css/app.css").status_code == 200
assert client.get("/texts/de.js").status_code == 200
settings = Settings.from_env()
assert (settings.models_dir / "DEFAULT").is_file()
print("works")
"""


def built(checkout: Path, folder: Path) -> Path:
    """The wheel of this checkout, in this folder."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=checkout, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel whose weights are empty files: to compress the real ones takes most of the time that building takes."""
    checkout = tmp_path_factory.mktemp("checkout")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, checkout)
    for name in ("diagnosis_tool", "templates", "static", "migrations", "translations", "models"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("*.safetensors", "__pycache__"))
    for weights in ROOT.glob("models/*/*.safetensors"):
        (checkout / weights.relative_to(ROOT)).touch()
    return built(checkout, tmp_path_factory.mktemp("wheel"))


def environment(folder: Path, wheel: Path, *options: str) -> Path:
    """A new environment with the wheel in it; its bin folder."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "--quiet"]
    subprocess.run([*pip, *options, str(wheel)], check=True)
    return folder / "bin"


def run(binaries: Path, away: Path, *words: str) -> str:
    env = {key: value for key, value in os.environ.items() if key not in CHECKOUT}
    env["DATA_DIR"] = str(away / "data")
    command = [str(binaries / words[0]), *words[1:]]
    done = subprocess.run(command, cwd=away, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_serves_from_anywhere(wheel: Path, tmp_path: Path) -> None:
    binaries = environment(tmp_path / "env", wheel, "--no-deps", "--no-index")
    # the dependencies are those of the tests, behind the environment's own
    own = next((tmp_path / "env").glob("lib/python*/site-packages"))
    (own / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    away = tmp_path / "away"
    away.mkdir()
    run(binaries, away, "diagnosis-tool", "migrate")
    assert run(binaries, away, "python", "-c", ASKS).strip() == "works"


def test_the_wheel_holds_no_tests_and_no_training(wheel: Path) -> None:
    names = subprocess.run(
        [sys.executable, "-m", "zipfile", "-l", str(wheel)], capture_output=True, text=True, check=True
    )
    folders = {line.split("/")[0] for line in names.stdout.splitlines()[1:]}
    assert {folder for folder in folders if not folder.endswith(".dist-info")} == {"diagnosis_tool"}


@pytest.mark.long
def test_an_empty_environment_gets_all_it_needs(tmp_path: Path, film_files: list[Path]) -> None:
    wheel = built(ROOT, tmp_path / "wheel")
    binaries = environment(tmp_path / "env", wheel, "--constraint", str(ROOT / "constraints.txt"))
    away = tmp_path / "away"
    away.mkdir()
    shutil.copy(film_files[0], away / "film.png")
    assert "film.png" in run(binaries, away, "diagnosis-tool", "predict", "film.png", "--json")
    run(binaries, away, "diagnosis-tool", "migrate")
    assert run(binaries, away, "python", "-c", ASKS).strip() == "works"
