"""OpenVINO answers as torch does, for every kind of network, and never reaches for the network."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diagnosis_tool.cxr.bundle import open_bundle
from diagnosis_tool.cxr.engines import TorchEngine
from diagnosis_tool.cxr.engines import openvino_engine as ov
from diagnosis_tool.cxr.engines.convert import convert_bundle
from diagnosis_tool.cxr.weights import load_network
from testing.bundles import write_bundle
from tests.unit.cxr.test_gradcam import VGG_HEAD

SIZE_PX = 64
OUTPUTS = ("Effusion", "Mass", "No Finding")
CASES: list[Any] = [
    ("efficientnet_lite0", {"in_channels": 1}),
    ("vgg16", VGG_HEAD),
    ("coatnet_0", {}),
    *(
        pytest.param(architecture, changes, marks=pytest.mark.long)  # converting takes seconds each
        for architecture, changes in (
            ("mobilenet_v2", {}),
            ("efficientnet_b0", {"trunk_activation": "relu"}),
            ("resnet18", {"head_hidden": (16, 8), "head_activation": "gelu"}),
            ("resnet50_v2", {"head_hidden": (16,), "head_batch_norm": True}),
            ("densenet121", {}),
            ("googlenet", {}),
        )
    ),
]


def films(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, SIZE_PX, SIZE_PX), dtype=np.uint8)


@pytest.mark.parametrize(("architecture", "changes"), CASES)
def test_answers_as_torch_does(architecture: str, changes: dict[str, Any], tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "bundle", architecture=architecture, outputs=OUTPUTS, settled=True, **changes)
    convert_bundle(bundle, tmp_path / "model.xml")
    engine = ov.OpenVINOEngine(tmp_path / "model.xml", precision="f32", threads=1)
    x_BHW = films(8)  # of fewer, chance decides whose rounding is the larger
    network = load_network(open_bundle(bundle))
    exact = TorchEngine(network.double()).run(x_BHW)
    torch32, found = TorchEngine(network.float()).run(x_BHW), engine.run(x_BHW)
    for wanted, theirs, got in zip(exact, torch32, found, strict=True):
        assert got.dtype == np.float32
        # random weights amplify rounding: no further from exact than torch itself, or nearly exact
        allowed = max(2 * np.abs(theirs - wanted).max(), 1e-4 * max(1.0, float(np.abs(wanted).max())))
        np.testing.assert_allclose(got, wanted, rtol=0, atol=allowed)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("converted")
    convert_bundle(write_bundle(home / "bundle", outputs=OUTPUTS, settled=True), home / "model.xml")
    return home / "model.xml"


def test_what_cannot_be_converted_is_said(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"cannot be converted.*bundle\.json"):
        convert_bundle(tmp_path, tmp_path / "model.xml")


@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_same_bytes_same_answer_whatever_else_is_read(model: Path, precision: str) -> None:
    if not ov.computes(precision):
        pytest.skip(f"this processor has no {precision}")
    first, second = (ov.OpenVINOEngine(model, precision=precision, threads=1) for _ in range(2))
    assert first.precision == precision
    x_BHW = films(3)
    together = first.run(x_BHW)
    kept = [array.copy() for array in together]
    alone = second.run(x_BHW[2:])
    first.run(films(2, seed=1))
    for whole, before, one in zip(together, kept, alone, strict=True):
        np.testing.assert_array_equal(whole, before)  # what was handed out is not written over
        np.testing.assert_array_equal(whole[2:], one)


def test_the_file_does_not_stay_in_memory(model: Path, tmp_path: Path) -> None:
    file = tmp_path / "model.xml"
    for suffix in (".xml", ".bin"):
        shutil.copy(model.with_suffix(suffix), file.with_suffix(suffix))
    engine = ov.OpenVINOEngine(file, precision="f32", threads=1)
    assert np.isfinite(engine.run(films(1))[0]).all()
    blocks = Path("/proc/self/smaps").read_text().split(str(file.with_suffix(".bin")))[1:]
    resident_bytes = sum(1024 * int(re.findall(r"Rss: +([0-9]+) kB", block)[0]) for block in blocks)
    assert resident_bytes < file.with_suffix(".bin").stat().st_size / 2


def test_bf16_is_another_precision(model: Path) -> None:
    if not ov.computes("bf16"):
        pytest.skip("this processor has no bf16")
    exact, rounded = (ov.OpenVINOEngine(model, precision=p, threads=1).run(films(1))[1] for p in ("f32", "bf16"))
    assert np.abs(exact - rounded).max() > 1e-3 * np.abs(exact).max()


def test_a_signal_is_handled_after_engines_came_and_went(model: Path) -> None:
    """OpenVINO's Cores change the stack that signals are handled on: in a process of its own, which may die of it."""
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from diagnosis_tool.cxr.engines.openvino_engine import OpenVINOEngine, computes\n"
        "engines = [OpenVINOEngine(Path(sys.argv[1]), precision='f32', threads=1) for _ in range(2)]\n"
        "computes('bf16')\n"
        "while engines: engines.pop(0)\n"
        "signal.signal(signal.SIGUSR1, lambda *_: print('handled', flush=True))\n"
        "os.kill(os.getpid(), signal.SIGUSR1)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(model)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr


def test_loading_opens_no_socket(tmp_path: Any) -> None:
    program = (
        "import sys\n"
        "def watch(event, args):\n"
        "    if event in ('socket.connect', 'socket.getaddrinfo', 'socket.gethostbyname'):\n"
        "        print(event, args); sys.stdout.flush()\n"
        "sys.addaudithook(watch)\n"
        "from diagnosis_tool.cxr.engines import openvino_engine\n"
        "import openvino.tools.ovc, time; time.sleep(0.5)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env={"HOME": str(tmp_path)}
    )
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []
