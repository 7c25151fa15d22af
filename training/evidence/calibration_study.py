"""Which calibration to take, judged on validation patients alone: fitted on one half of them, measured on the other.

ECE of few images is above 0 even for a perfect calibration: `floor` is what labels drawn from the very probabilities
would give, so that parts of different sizes can be compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from diagnosis_tool.cxr.calibration import CalibrationMethod, probabilities
from diagnosis_tool.cxr.findings import OutputKind
from diagnosis_tool.cxr.types import ViewPosition
from training.calibrate.fit import fit_calibration
from training.calibrate.ward import calibration_weights
from training.datasets.base import Record
from training.evaluate.metrics import Array, Labels, expected_calibration_error, mean_defined, per_output
from training.evaluate.predictions import Predictions
from training.recipes.config import CalibrationConfig, Weighting

SPLITS: Final = 10
ISOTONIC: Final = "isotonic"
TOGETHER: Final = "platt, slopes drawn together"
SLOPE_SPREAD: Final = 0.3
METHODS: Final = (CalibrationMethod.TEMPERATURE.value, CalibrationMethod.PLATT.value, TOGETHER, ISOTONIC)
ALL, WARD_PART = "all", "AP or late"
"""Names of parts; the second is what a choice for a ward goes by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Means over findings and splits. ece: mean expected calibration error; floor: of labels drawn from the
    probabilities; gap: stated minus observed share, below 0 where too little is stated.
    """

    ece: float
    floor: float
    gap: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One calibration, by part of the images that it was not fitted on."""

    method: str
    weighting: Weighting
    by_part: dict[str, Measured]


def parts_of(records: Sequence[Record], ward: CalibrationConfig) -> dict[str, NDArray[np.bool_]]:
    """(N,) masks of all images, AP films, late ones (the ward's last band of follow-up numbers), and either of both."""
    is_ap_n = np.array([record.view_position is ViewPosition.AP for record in records])
    late_n = np.array([(record.follow_up or 0) >= ward.follow_up_from[-1] for record in records])
    return {ALL: np.ones(len(records), dtype=bool), "AP": is_ap_n, "late": late_n, WARD_PART: is_ap_n | late_n}


def study(said: Predictions, records: Sequence[Record], ward: CalibrationConfig) -> tuple[Candidate, ...]:
    """Every method, unweighted and weighted to the ward. said: uncalibrated logits of `records`, in their order."""
    chosen = [k for k, output in enumerate(said.outputs) if output.kind is OutputKind.FINDING]
    said = replace(
        said,
        outputs=tuple(said.outputs[k] for k in chosen),
        labels_NK=said.labels_NK[:, chosen],
        scores_NK=said.scores_NK[:, chosen],
    )
    parts = parts_of(records, ward)
    _, patient_n = np.unique(said.patients, return_inverse=True)
    found: dict[tuple[str, Weighting], dict[str, list[Measured]]] = {}
    for seed in range(SPLITS):
        rng = np.random.default_rng(seed)
        half_n = (rng.permutation(patient_n.max() + 1) % 2)[patient_n]
        for method in METHODS:
            for weighting in Weighting:
                config = ward if weighting is Weighting.WARD else CalibrationConfig()
                stated_NK = _stated(said, records, half_n, method, config)
                rows = found.setdefault((method, weighting), {name: [] for name in parts})
                for name, mask_n in parts.items():
                    rows[name].append(_measured(stated_NK[mask_n], said.labels_NK[mask_n], rng))
    return tuple(
        Candidate(method=method, weighting=weighting, by_part={name: _mean(each) for name, each in rows.items()})
        for (method, weighting), rows in found.items()
    )


def best_for_ward(candidates: Sequence[Candidate]) -> Candidate:
    """The one with the smallest ECE on AP or late films."""
    return min(candidates, key=lambda candidate: candidate.by_part[WARD_PART].ece)


def _stated(
    said: Predictions, records: Sequence[Record], half_n: NDArray[np.int64], method: str, config: CalibrationConfig
) -> Array:
    """(N, K) probabilities, each image's from the fit on the half that it is not in."""
    stated_NK = np.zeros_like(said.scores_NK)
    for half in (0, 1):
        fit, rest = np.flatnonzero(half_n == half), np.flatnonzero(half_n != half)
        weights_n = calibration_weights([records[int(n)] for n in fit], config)
        logits_nK, labels_nK = said.scores_NK[fit], said.labels_NK[fit]
        if method == ISOTONIC:
            stated_NK[rest] = _isotonic(logits_nK, labels_nK, weights_n, said.scores_NK[rest])
        else:
            calibration, _ = fit_calibration(
                logits_nK,
                labels_nK,
                said.outputs,
                said.activation,
                "one half",
                method=CalibrationMethod.PLATT if method == TOGETHER else CalibrationMethod(method),
                weights_n=weights_n,
                slope_spread=SLOPE_SPREAD if method == TOGETHER else 0.0,
            )
            stated_NK[rest] = probabilities(said.scores_NK[rest], said.activation, calibration)
    return stated_NK


def _isotonic(logits_nK: Array, labels_nK: Labels, weights_n: Array, others_mK: Array) -> Array:
    """Source: Zadrozny and Elkan 2002, 'Transforming classifier scores into accurate multiclass probabilities'."""
    from sklearn.isotonic import IsotonicRegression  # takes a while to import: only this study waits

    fits = [
        IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(logits_nK[:, k], labels_nK[:, k], weights_n)
        for k in range(logits_nK.shape[1])
    ]
    return np.stack([fit.predict(others_mK[:, k]) for k, fit in enumerate(fits)], axis=1)


def _measured(stated_NK: Array, labels_NK: Labels, rng: np.random.Generator) -> Measured:
    drawn_NK = (rng.random(stated_NK.shape) < stated_NK).astype(np.uint8)
    return Measured(
        ece=_mean_ece(stated_NK, labels_NK),
        floor=_mean_ece(stated_NK, drawn_NK),
        gap=float(stated_NK.mean() - labels_NK.mean()),
    )


def _mean_ece(stated_NK: Array, labels_NK: Labels) -> float:
    return mean_defined(per_output(expected_calibration_error, stated_NK, labels_NK)) or 0.0


def _mean(each: Sequence[Measured]) -> Measured:
    ece, floor, gap = np.mean([(one.ece, one.floor, one.gap) for one in each], axis=0)
    return Measured(ece=float(ece), floor=float(floor), gap=float(gap))


def study_markdown(title: str, sizes: dict[str, int], candidates: Sequence[Candidate]) -> str:
    """The table of one run. sizes: images of each part."""
    best = best_for_ward(candidates)
    head = "".join(f" {name} ({size} images) |" for name, size in sizes.items())
    lines = []
    for one in candidates:
        cells = "".join(f" {m.ece:.4f} / {m.floor:.4f} / {m.gap:+.4f} |" for m in one.by_part.values())
        mark = " **(chosen)**" if one is best else ""
        lines.append(f"| {one.method}, {one.weighting.value}{mark} |{cells}")
    rows = "\n".join(lines)
    return f"""## {title}

Fitted on one half of the validation patients, measured on the other, both ways, {SPLITS} divisions. Each cell: mean ECE
of the findings / what a perfect calibration would show on as many images / stated minus observed share.

| method, weighting |{head}
|---|{"---|" * len(sizes)}
{rows}
"""
