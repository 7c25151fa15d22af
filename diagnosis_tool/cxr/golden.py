"""The golden inputs: proof that an engine computes on this machine what the bundle was released with."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from diagnosis_tool.cxr.bundle import Bundle, GoldenInput
from diagnosis_tool.cxr.engines.protocol import Engine
from diagnosis_tool.errors import BundleInvalid


def golden_radiographs(bundle: Bundle) -> Iterator[tuple[GoldenInput, NDArray[np.uint8]]]:
    """Each golden input with its pixels (H, W), already at the network's input size."""
    for item in bundle.metadata.golden.inputs:
        with Image.open(bundle.path / item.file, formats=("PNG",)) as image:
            yield item, np.asarray(image.convert("L"))


def verify_golden(bundle: Bundle, engine: Engine) -> float:
    """Runs the golden inputs; returns the largest absolute difference from the released logits.

    Raises BundleInvalid when it exceeds what the bundle allows this engine and precision.
    """
    allowed = bundle.metadata.golden_tolerance(engine.name, engine.precision)
    worst = 0.0
    for item, x_HW in golden_radiographs(bundle):
        logits_BK, _ = engine.run(x_HW[None])
        difference = np.abs(logits_BK[0] - np.asarray(item.logits))
        worst = max(worst, float(np.where(np.isfinite(difference), difference, np.inf).max()))
    if worst > allowed:
        raise BundleInvalid(
            f"The bundle does not reproduce its golden logits with {engine.name} {engine.precision}: they differ by "
            f"{worst:.4g}, allowed is {allowed:.4g}. It must not be used on this machine."
        )
    return worst
