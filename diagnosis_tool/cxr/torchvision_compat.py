"""Makes torchvision importable beside a CPU build of torch. Import this before torchvision, timm or pytorch_grad_cam.

The registries' torchvision is linked to CUDA; beside CPU torch its C++ library does not load, and `import torchvision`
fails because two operators are missing. Declaring their schemas is enough for models, transforms and box arithmetic.
torchvision.ops.nms and torchvision.io then do not work; nothing here uses them. Where torchvision is whole, or torch
has CUDA, this is a no-op.

It is imported without torch's compiler, which one operator of its names and nobody needs to read an image: a second of
CPU time for each process.
"""

import importlib.util
import warnings
from pathlib import Path

import torch

from diagnosis_tool.cxr.lazy_import import lazy_import

_OPERATORS = ("nms", "qnms")
_library: torch.library.Library | None = None  # must outlive the process: dropping it removes the schemas


def declare_missing_operators() -> bool:
    """Declares torchvision::nms and ::qnms if torch has no CUDA and torchvision's own library cannot bring them.

    Returns True when the schemas were declared, False when nothing was to be done.
    """
    global _library
    if _library is not None or torch.version.cuda is not None or _own_library_loads():
        return False
    warnings.filterwarnings("ignore", message="Failed to load '(_C|image)' extension", category=UserWarning)
    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for name in _OPERATORS:
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")  # type: ignore[no-untyped-call]
    _library = library
    return True


def _own_library_loads() -> bool:
    spec = importlib.util.find_spec("torchvision")  # finds the package without importing it
    if spec is None or spec.origin is None:
        return True  # nothing to mend: the import itself will say that torchvision is missing
    try:
        torch.ops.load_library(Path(spec.origin).with_name("_C.so"))  # type: ignore[no-untyped-call]
    except OSError:
        return False
    return True


declare_missing_operators()
with lazy_import("torch._dynamo"):
    import torchvision  # noqa: F401
