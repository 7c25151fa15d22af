"""How a bundle explains an answer: the method by name, and what is done with its raw map. Torch-free.

Why not the raw map: a small network gathers its answer in the middle of the feature map, where receptive fields
overlap most, so the maximum of plain Grad-CAM stands on the spine whatever the film (docs/results/heatmaps.md).
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from diagnosis_tool.errors import BundleInvalid


class Explanation(StrEnum):
    """Methods over the last feature map; diagnosis_tool.cxr.gradcam runs them."""

    GRADCAM = "gradcam"
    """Selvaraju et al. 2017. With a pooled linear head HiResCAM is the same map."""
    GRADCAM_PLUS_PLUS = "gradcam++"
    """Chattopadhay et al. 2018."""
    HIRESCAM = "hirescam"
    """Draelos and Carin 2020: gradient times activation, cell by cell."""
    LAYERCAM = "layercam"
    """Jiang et al. 2021: as HiResCAM, with positive gradients alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplanationSpec:
    """Everything that decides a heatmap beside the network. No field has a default.

    mean_maps: (outputs, h, w) raw maps of the average training film, subtracted from a film's own: what stays says
        'more evidence here than in the average film'. Empty for none.
    opposite: part (0..1) of the evidence at the mirrored place that is subtracted: a chest is nearly symmetric; what
        stands on both sides alike, or in the middle, points nowhere. 0 for none.
    smoothing_cells: standard deviation of a Gaussian, in cells of the feature map; 0 for none. Outside of the film
        there is no evidence, so a lone border cell loses.
    box_threshold: part (0..1) of a heatmap's maximum above which a cell counts to the region that it marks.
    """

    method: Explanation
    mean_maps: tuple[tuple[tuple[float, ...], ...], ...]
    opposite: float
    smoothing_cells: float
    box_threshold: float

    def problems(self, outputs: int) -> tuple[str, ...]:
        """What is wrong with it, for a model of so many outputs; empty when nothing is."""
        rules = {
            "explanation.opposite must lie in [0, 1]": 0 <= self.opposite <= 1,
            "explanation.smoothing_cells must be finite and not negative": 0 <= self.smoothing_cells < np.inf,
            "explanation.box_threshold must lie between 0 and 1": 0 < self.box_threshold < 1,
            "explanation.mean_maps must be empty or have one map an output": len(self.mean_maps) in (0, outputs),
            "explanation.mean_maps must all have the same rows and columns": len(
                {tuple(len(row) for row in map_hw) for map_hw in self.mean_maps}
            )
            <= 1,
        }
        return tuple(text for text, holds in rules.items() if not holds)


def refined(maps_Khw: NDArray[np.float32], spec: ExplanationSpec) -> NDArray[np.float32]:
    """Signed raw maps of one film (outputs, h, w) -> evidence (outputs, h, w), not below 0, in units of the logit.

    Raises BundleInvalid when the mean maps are of another size.
    """
    if spec.mean_maps:
        mean_Khw = np.asarray(spec.mean_maps, dtype=np.float32)
        if mean_Khw.shape != maps_Khw.shape:
            raise BundleInvalid(f"explanation.mean_maps are {mean_Khw.shape}, the network's maps {maps_Khw.shape}.")
        maps_Khw = maps_Khw - mean_Khw
    maps_Khw = np.maximum(maps_Khw - np.float32(spec.opposite) * maps_Khw[:, :, ::-1], 0)
    if spec.smoothing_cells:
        rows, columns = (_gaussian(size, spec.smoothing_cells) for size in maps_Khw.shape[1:])
        maps_Khw = (rows @ maps_Khw @ columns).astype(np.float32)
    return maps_Khw


def _gaussian(size: int, deviation: float) -> NDArray[np.float32]:
    """(size, size), symmetric: row i weighs the cells for cell i. Weights beyond the border are lost, not moved in."""
    cells = np.arange(size)
    far = np.arange(-np.ceil(6 * deviation), np.ceil(6 * deviation) + 1)
    total = np.exp(-((far / deviation) ** 2) / 2).sum()
    weights = np.exp(-(((cells[:, None] - cells[None]) / deviation) ** 2) / 2) / total
    return np.asarray(weights, dtype=np.float32)
