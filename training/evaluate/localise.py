"""Where heatmaps point against the boxes that readers drew, beside a location prior that never looks at the image.

Source: Zhang et al. 2016, 'Top-down neural attention' (pointing game); Wang et al. 2017, 'ChestX-ray8' (intersection
over union at thresholds T).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from diagnosis_tool.cxr.bundle import Localisation
from diagnosis_tool.cxr.types import Heatmap
from training.datasets.base import AnnotatedBox
from training.evaluate.metrics import mean_defined

OVERLAPS: Final = (0.1, 0.25, 0.5)
"""T of Wang et al.: a box is found when intersection over union reaches it."""
_POINTING_PX: Final = 256  # a heatmap's maximum is sought on this grid: a box of 4% of the side still has 10 points
_REGION_PX: Final = 64

Map = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one heatmap was worth against one box. overlap: intersection over union with the region it marks."""

    pointed: bool
    overlap: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """A box of a film that was read, and what the heatmap of its finding was worth."""

    box: AnnotatedBox
    patient: str
    found: Found


def find(map_hw: Map, box: AnnotatedBox, threshold: float) -> Found:
    """Judges a map (any size, stretched over the film as the viewer shows it). An empty map points nowhere."""
    if map_hw.max() <= 0:
        return Found(pointed=False, overlap=0.0)
    x, y = _summit(map_hw)
    left, top, right, bottom = region(map_hw, threshold)
    wide = min(right, box.left + box.width) - max(left, box.left)
    high = min(bottom, box.top + box.height) - max(top, box.top)
    shared = max(wide, 0.0) * max(high, 0.0)
    union = (right - left) * (bottom - top) + box.width * box.height - shared
    return Found(pointed=box.holds(x, y), overlap=shared / union)


def locate(heatmap: Heatmap, box: AnnotatedBox, patient: str, threshold: float) -> Located:
    """Judges a heatmap against a box of its finding."""
    values = heatmap.values.astype(np.float32) * (heatmap.scale > 0)
    return Located(box=box, patient=patient, found=find(values, box, threshold))


def _summit(map_hw: Map) -> tuple[float, float]:
    large = _enlarged(map_hw, _POINTING_PX)
    row, column = np.unravel_index(int(np.argmax(large)), large.shape)
    return (float(column) + 0.5) / _POINTING_PX, (float(row) + 0.5) / _POINTING_PX


def _enlarged(map_hw: Map, side: int) -> Map:
    return np.asarray(Image.fromarray(map_hw).resize((side, side), Image.Resampling.BICUBIC))


def region(map_hw: Map, threshold: float) -> tuple[float, float, float, float]:
    """Left, top, right, bottom (parts of the sides) around the connected part of the map that holds its maximum and
    lies above `threshold` of it.
    """
    large = _enlarged(map_hw, _REGION_PX)
    above = large >= threshold * large.max()
    grown = np.zeros_like(above)
    grown.flat[int(np.argmax(large))] = True
    size = 0
    while (now := int(grown.sum())) > size:
        size = now
        padded = np.pad(grown, 1)
        grown = above & (
            grown | padded[2:, 1:-1] | padded[:-2, 1:-1] | padded[1:-1, 2:] | padded[1:-1, :-2]
        )  # four neighbours
    rows, columns = np.flatnonzero(grown.any(axis=1)), np.flatnonzero(grown.any(axis=0))
    ends = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    left, top, right, bottom = (float(end) / _REGION_PX for end in ends)
    return left, top, right, bottom


def blind(located: Sequence[Located], threshold: float) -> tuple[Located, ...]:
    """The same boxes judged on maps that never look at the image: how often other patients' boxes of the same finding
    cover each place. The only patient of a finding has an empty map.
    """
    answers = []
    for one in located:
        same = [other for other in located if other.box.finding == one.box.finding and other.patient != one.patient]
        prior_hw = np.zeros((1, 1), np.float32)
        for other in same:
            prior_hw = prior_hw + _covered(other.box).astype(np.float32)
        found = find(prior_hw, one.box, threshold)
        answers.append(Located(box=one.box, patient=one.patient, found=found))
    return tuple(answers)


def _covered(box: AnnotatedBox) -> NDArray[np.bool_]:
    middle = (np.arange(_REGION_PX) + 0.5) / _REGION_PX
    columns = (box.left <= middle) & (middle <= box.left + box.width)
    rows = (box.top <= middle) & (middle <= box.top + box.height)
    return rows[:, None] & columns[None]


def localisation(located: Sequence[Located], threshold: float) -> Localisation | None:
    """All metrics of these boxes, by finding and as their mean; None without boxes."""
    if not located:
        return None
    names = sorted({one.box.finding for one in located})
    priors = blind(located, threshold)
    return Localisation(
        boxes={name: sum(one.box.finding == name for one in located) for name in names},
        box_threshold=threshold,
        pointing=_shares(located, [one.found.pointed for one in located]),
        pointing_blind=_shares(priors, [one.found.pointed for one in priors]),
        iou={str(t): _shares(located, [one.found.overlap >= t for one in located]) for t in OVERLAPS},
        iou_blind={str(t): _shares(priors, [one.found.overlap >= t for one in priors]) for t in OVERLAPS},
    )


def _shares(located: Sequence[Located], hits: Sequence[bool]) -> dict[str, float]:
    by_finding: dict[str, list[bool]] = {}
    for one, hit in zip(located, hits, strict=True):
        by_finding.setdefault(one.box.finding, []).append(hit)
    shares = {name: float(np.mean(by_finding[name])) for name in sorted(by_finding)}
    return {**shares, "mean": mean_defined(list(shares.values())) or 0.0}
