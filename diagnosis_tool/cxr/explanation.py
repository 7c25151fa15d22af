"""How a bundle explains an answer: the method by name. Torch-free."""

from dataclasses import dataclass
from enum import StrEnum


class Explanation(StrEnum):
    """Methods over the last feature map; diagnosis_tool.cxr.gradcam runs them. What else was tried, and why this one
    stayed, stands in docs/results/heatmaps.md.
    """

    GRADCAM = "gradcam"
    """Selvaraju et al. 2017. With a pooled linear head HiResCAM is the same map."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplanationSpec:
    """Everything that decides a heatmap beside the network. No field has a default.

    mean_maps, opposite, smoothing_cells: what older bundles did with the raw map; always (), 0 and 0 now.
    box_threshold: part (0..1) of a heatmap's maximum above which a cell counts to the region that it marks.
    """

    method: Explanation
    mean_maps: tuple[tuple[tuple[float, ...], ...], ...]
    opposite: float
    smoothing_cells: float
    box_threshold: float

    def problems(self) -> tuple[str, ...]:
        """What is wrong with it; empty when nothing is."""
        rules = {
            "explanation.mean_maps, opposite and smoothing_cells must be [], 0 and 0, for maps are shown as they are: "
            "release the run again (python -m training release), or use a later version of the bundle": (
                not self.mean_maps and self.opposite == 0 and self.smoothing_cells == 0
            ),
            "explanation.box_threshold must lie between 0 and 1": 0 < self.box_threshold < 1,
        }
        return tuple(text for text, holds in rules.items() if not holds)
