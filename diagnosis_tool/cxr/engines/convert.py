"""Converts a bundle's network for OpenVINO in a process of its own.

Converting traces the network in torch and takes three times its memory, which a process that goes on for weeks would
keep; and what the tracer leaves behind ended a long test run in its garbage collector.
"""

import subprocess
import sys
from pathlib import Path

_TIMEOUT_S = 900.0  # B7 at 600 px takes 18 s alone on a core


def convert_bundle(bundle: Path, file: Path) -> None:
    """Writes <file>.xml and its .bin: uint8 (1, size, size) -> logits, feature map, float32.

    Raises RuntimeError, with the last thing that was said, when it fails.
    """
    command = [sys.executable, "-m", __name__, str(bundle), str(file)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"converting took more than {_TIMEOUT_S:.0f} s") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise RuntimeError(f"the network cannot be converted: {lines[-1]}")


def main(arguments: list[str]) -> int:
    """The other process: arguments are the bundle's folder and the file to write."""
    from diagnosis_tool.cxr.bundle import open_bundle
    from diagnosis_tool.cxr.engines import openvino_engine as ov
    from diagnosis_tool.cxr.weights import load_network

    folder, file = (Path(argument) for argument in arguments)
    bundle = open_bundle(folder)
    ov.save(ov.converted(load_network(bundle), bundle.metadata.preprocess.size_px), file)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
