"""How much the answers move when the same film arrives a little differently; all variants go through the Classifier."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from diagnosis_tool.cxr.bundle import Interval, Output
from diagnosis_tool.cxr.findings import OutputKind
from diagnosis_tool.cxr.preprocess import window_to_uint8
from diagnosis_tool.cxr.types import Classifier
from diagnosis_tool.errors import UnreadableInput, UnsupportedImage
from training.datasets.base import Record, labels_NK, read_radiograph
from training.errors import DatasetInvalid
from training.evaluate.evaluation import common_columns
from training.evaluate.metrics import (
    SEED,
    Array,
    Labels,
    auc_with_replicates,
    mean_with_interval,
    patient_weights,
    with_interval,
)

Pixels = NDArray[np.uint8] | NDArray[np.uint16]
Change = Callable[[Pixels, np.random.Generator], Pixels]
"""(H, W) pixels to changed ones, bright = dense as before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What one change did. difference: of the mean AUC, changed minus unchanged, the same images and replicates.

    moved: |change of probability|, mean over findings and images.
    """

    change: str
    mean_auc: Interval | None
    difference: Interval | None
    moved: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Robustness:
    """judged: findings that have positives and negatives among these images; the mean AUC is over them.

    left_out: images of which some variant was refused.
    """

    images: int
    patients: int
    left_out: int
    judged: tuple[str, ...]
    mean_auc: Interval | None
    effects: tuple[Effect, ...]


def changes_at(size_px: int) -> dict[str, Change]:
    """All changes, by what the table calls them. size_px: side of the network's input."""
    kernels = {
        "nearest": Image.Resampling.NEAREST,
        "bicubic": Image.Resampling.BICUBIC,
        "box": Image.Resampling.BOX,
    }
    return {
        **{f"JPEG, quality {quality}": _jpeg(quality) for quality in (50, 75, 95)},
        **{f"resized first, {name}": _resized(size_px, kernel) for name, kernel in kernels.items()},
        **{f"turned by {degrees:+d}°": _turned(degrees) for degrees in (-5, 5)},
        **{f"brightness {percent:+d}%": _brightness(1 + percent / 100) for percent in (-10, 10)},
        "12 bits for 8": _other_depth,
    }


def _as_8_bit(pixels_HW: Pixels) -> NDArray[np.uint8]:
    # 16-bit files often use a fraction of their range
    return pixels_HW.astype(np.uint8) if pixels_HW.dtype == np.uint8 else window_to_uint8(pixels_HW, 0, 100)


def _jpeg(quality: int) -> Change:
    def change(pixels_HW: Pixels, _: np.random.Generator) -> Pixels:
        buffer = BytesIO()
        Image.fromarray(_as_8_bit(pixels_HW)).save(buffer, "JPEG", quality=quality)
        with Image.open(buffer, formats=("JPEG",)) as image:
            return np.array(image)

    return change


def _resized(size_px: int, kernel: Image.Resampling) -> Change:
    return lambda pixels_HW, _: _like(pixels_HW, _floats(pixels_HW).resize((size_px, size_px), kernel))


def _turned(degrees: int) -> Change:
    """About the centre; what comes into view from outside is black."""
    return lambda pixels_HW, _: _like(pixels_HW, _floats(pixels_HW).rotate(degrees, Image.Resampling.BILINEAR))


def _brightness(factor: float) -> Change:
    return lambda pixels_HW, _: _like(pixels_HW, pixels_HW.astype(np.float64) * factor)


def _other_depth(pixels_HW: Pixels, rng: np.random.Generator) -> Pixels:
    """12 bits of an 8-bit image: four random ones below each grey level. A 16-bit image becomes one of 8 bits."""
    if pixels_HW.dtype != np.uint8:
        return _as_8_bit(pixels_HW)
    return (pixels_HW.astype(np.uint16) * 16 + rng.integers(0, 16, pixels_HW.shape, dtype=np.uint16)).astype(np.uint16)


def _floats(pixels_HW: Pixels) -> Image.Image:
    return Image.fromarray(pixels_HW.astype(np.float32))


def _like(pixels_HW: Pixels, changed: "Image.Image | Array") -> Pixels:
    largest = np.iinfo(pixels_HW.dtype).max
    result: Pixels = np.clip(np.rint(np.asarray(changed)), 0, largest).astype(pixels_HW.dtype)
    return result


def measure(
    classifier: Classifier,
    answered: Sequence[Output],
    labelled: Sequence[Output],
    records: Sequence[Record],
    size_px: int,
) -> Robustness:
    """Reads every record once as it is and once for each change. Raises DatasetInvalid when none could be read."""
    changes = changes_at(size_px)
    read: list[Record] = []
    rows = []
    for record in tqdm(records, unit="image", desc="robustness"):
        rng = np.random.default_rng([SEED, len(read)])
        try:
            film = read_radiograph(record.path)
            films = [film, *(replace(film, pixels=change(film.pixels, rng)) for change in changes.values())]
            rows.append([[output.probability for output in classifier.predict(one).outputs] for one in films])
        except (UnreadableInput, UnsupportedImage, OSError):
            continue
        read.append(record)
    pairs = [(k, column) for k, column in common_columns(answered, labelled) if answered[k].kind is OutputKind.FINDING]
    if not read or not pairs:
        raise DatasetInvalid("No image was read, or the bundle answers no finding that this data set labels.")
    predicted_NCK = np.array(rows, dtype=np.float64)
    return _judged(
        [predicted_NCK[:, c][:, [k for k, _ in pairs]] for c in range(1 + len(changes))],
        labels_NK(tuple(read))[:, [column for _, column in pairs]],
        [record.patient for record in read],
        [answered[k].name for k, _ in pairs],
        tuple(changes),
        left_out=len(records) - len(read),
    )


def _judged(
    variants: Sequence[Array],
    truth_NK: Labels,
    patients: Sequence[str],
    findings: Sequence[str],
    changes: Sequence[str],
    *,
    left_out: int,
) -> Robustness:
    """variants: (N, K) probabilities, of the images as they are first."""
    weights_RN = patient_weights(patients)
    (base_K, base_RK), *changed = (auc_with_replicates(scores_NK, truth_NK, weights_RN) for scores_NK in variants)
    judged = [k for k, value in enumerate(base_K) if value is not None]
    effects = []
    for change, scores_NK, (auc_K, auc_RK) in zip(changes, variants[1:], changed, strict=True):
        moved_N = np.abs(scores_NK - variants[0]).mean(axis=1)
        differences = [(auc_K[k] or 0.0) - (base_K[k] or 0.0) for k in judged]
        effects.append(
            Effect(
                change=change,
                mean_auc=mean_with_interval([auc_K[k] for k in judged], auc_RK[:, judged]),
                difference=mean_with_interval(differences, (auc_RK - base_RK)[:, judged]),
                moved=with_interval(float(moved_N.mean()), weights_RN @ moved_N / weights_RN.sum(axis=1)),
            )
        )
    return Robustness(
        images=len(patients),
        patients=len(set(patients)),
        left_out=left_out,
        judged=tuple(findings[k] for k in judged),
        mean_auc=mean_with_interval([base_K[k] for k in judged], base_RK[:, judged]),
        effects=tuple(effects),
    )
