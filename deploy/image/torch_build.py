"""Run while the image is built: is this the CPU's build of torch, and did no CUDA package come with it?

Reads files only, so that it can be asked before torch's own dependencies are installed.
"""

import runpy
import sys
from importlib import metadata, util
from pathlib import Path

ADVICE = """
This image is for the CPU, and the build of torch that came is not: {why}.
With CUDA's packages it would take several GB more, which nothing would use.
 - Say where builds for the CPU are: --build-arg TORCH_INDEX=<the address that PyTorch's installation page
   gives for pip, Linux and CPU>
 - or point pip's own configuration at a registry that has them,
 - or, for a machine with an NVIDIA card, let any build pass: --build-arg TORCH_BUILD=any
"""


def complaint(cuda: str | None, installed: list[str]) -> str | None:
    """Why this is no CPU installation, or None. cuda: what torch was built for; installed: all packages' names."""
    if cuda is not None:
        return f"it was built for CUDA {cuda}"
    extra = sorted(name for name in installed if name.startswith(("nvidia-", "nvidia_", "cuda-", "triton")))
    return f"{', '.join(extra)} came with it" if extra else None


def built_for() -> str | None:
    """torch.version.cuda, without importing torch."""
    package = util.find_spec("torch")
    if package is None or package.origin is None:
        sys.exit("error: torch is not installed")
    constants = runpy.run_path(str(Path(package.origin).with_name("version.py")))
    cuda: str | None = constants["cuda"]
    return cuda


def main() -> None:
    """Ends with 1 and advice where it is not."""
    why = complaint(built_for(), [distribution.metadata["Name"].lower() for distribution in metadata.distributions()])
    if why and sys.argv[1:] != ["any"]:
        sys.exit(ADVICE.format(why=why))


if __name__ == "__main__":
    main()
