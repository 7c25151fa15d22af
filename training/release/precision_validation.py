"""Proves, or not, that a bundle may be read in bf16: beside the float32 reference, on validation images.

Rounding moves a trained network's answers by an amount that only a comparison shows; random weights moved far more.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from diagnosis_tool.cxr.bundle import Bundle, BundleMetadata, PrecisionValidation
from diagnosis_tool.cxr.calibration import probabilities
from diagnosis_tool.cxr.classifier import BundleClassifier
from diagnosis_tool.cxr.engines import Engine
from diagnosis_tool.cxr.engines.convert import convert_bundle
from diagnosis_tool.cxr.engines.openvino_cache import MODEL_FILE
from diagnosis_tool.cxr.golden import golden_radiographs
from diagnosis_tool.cxr.preprocess import preprocess
from diagnosis_tool.errors import UnreadableInput, UnsupportedImage
from training.datasets.base import Record, read_radiograph
from training.evaluate.metrics import mean_auc

_BF16: Final = "bf16"
MAX_MEAN_ABS_DP: Final = 0.005
MAX_CALLS_CHANGED: Final = 0.005
MAX_AUC_MOVED: Final = 0.001
"""What readers would not notice, against intervals of some 0.02 of the metrics themselves."""
_GOLDEN_MARGIN: Final = 2.0
"""The golden tolerance is so many times the largest difference of any logit that was seen here: another processor
rounds otherwise but by as much, a wrong weight or layout moves logits by far more."""
MAX_GOLDEN_TOLERANCE: Final = 1.0
"""With more than this the golden inputs would prove nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnginePair:
    """Logits (N, K) of the same images by the reference and by the candidate; labels_NK: 0 or 1.

    golden_*: the same of the bundle's golden inputs, which have no labels.
    """

    reference_NK: NDArray[np.float32]
    candidate_NK: NDArray[np.float32]
    golden_reference_GK: NDArray[np.float32]
    golden_candidate_GK: NDArray[np.float32]
    labels_NK: NDArray[np.uint8]


def validate_precisions(
    classifier: BundleClassifier, records: Sequence[Record], *, source: str
) -> tuple[PrecisionValidation, ...]:
    """Reads the records with the classifier's engine, which is the reference, and by OpenVINO in bf16.

    records: labelled in the order of the bundle's outputs. Empty where bf16 moves too much, or this processor has none.
    """
    from diagnosis_tool.cxr.engines import openvino_engine as ov

    if not records or not ov.computes(_BF16):
        print("bf16 is not admitted: this processor has no bf16, or there is no image to try it on")
        return ()
    bundle = classifier.bundle
    try:
        with tempfile.TemporaryDirectory() as scratch:
            file = Path(scratch) / MODEL_FILE
            convert_bundle(bundle.path, file)
            candidate = ov.OpenVINOEngine(file, precision=_BF16, threads=0)
    except RuntimeError as error:
        print(f"bf16 is not admitted: OpenVINO cannot run this network: {error}")
        return ()
    validation = precision_validation(
        compare_engines(bundle, classifier.engine, candidate, records),
        bundle.metadata,
        candidate,
        source=f"{source}; {ov.processor()}",
    )
    verdict = "admitted" if passes(validation) else "not admitted"
    print(
        f"bf16 is {verdict}: probabilities moved by {validation.mean_abs_dp:.2g} in the mean, "
        f"{validation.calls_changed:.2%} of the calls, mean AUC by {validation.auc_moved:.2g}"
    )
    return (validation,) if passes(validation) else ()


def compare_engines(bundle: Bundle, reference: Engine, candidate: Engine, records: Sequence[Record]) -> EnginePair:
    """Both engines over every record that can be read, and over the golden inputs."""
    pairs, labels = [], []
    for record in tqdm(records, unit="image", desc="bf16 beside f32"):
        try:
            x_HW = preprocess(read_radiograph(record.path), bundle.metadata.preprocess)
        except (UnreadableInput, UnsupportedImage, OSError):
            continue  # evaluation names it
        pairs.append((reference.run(x_HW[None])[0][0], candidate.run(x_HW[None])[0][0]))
        labels.append(record.labels)
    golden = [
        (reference.run(x_HW[None])[0][0], candidate.run(x_HW[None])[0][0]) for _, x_HW in golden_radiographs(bundle)
    ]
    both_N2K, golden_G2K = np.array(pairs), np.array(golden)
    return EnginePair(
        reference_NK=both_N2K[:, 0],
        candidate_NK=both_N2K[:, 1],
        golden_reference_GK=golden_G2K[:, 0],
        golden_candidate_GK=golden_G2K[:, 1],
        labels_NK=np.array(labels, dtype=np.uint8),
    )


def precision_validation(
    pair: EnginePair, metadata: BundleMetadata, candidate: Engine, *, source: str
) -> PrecisionValidation:
    """What the candidate moved, whether or not it passes."""
    before_NK = probabilities(pair.reference_NK, metadata.activation, metadata.calibration)
    after_NK = probabilities(pair.candidate_NK, metadata.activation, metadata.calibration)
    thresholds = [metadata.threshold(output.name) for output in metadata.outputs]
    called = [k for k, threshold in enumerate(thresholds) if threshold is not None]
    points_k = np.array([thresholds[k] for k in called], dtype=np.float64)
    changed = (before_NK[:, called] >= points_k) != (after_NK[:, called] >= points_k)
    before, after = (mean_auc(scores_NK, pair.labels_NK, metadata.outputs) for scores_NK in (before_NK, after_NK))
    moved_logit = np.concatenate(
        [np.abs(pair.candidate_NK - pair.reference_NK), np.abs(pair.golden_candidate_GK - pair.golden_reference_GK)]
    ).max()
    return PrecisionValidation(
        engine=candidate.name,
        precision=candidate.precision,
        mean_abs_dp=float(np.abs(after_NK - before_NK).mean()),
        calls_changed=float(changed.mean()) if called else 0.0,
        auc_moved=np.nan if before is None or after is None else abs(after - before),
        images=len(before_NK),
        source=source,
        golden_tolerance=_GOLDEN_MARGIN * float(moved_logit),
    )


def passes(validation: PrecisionValidation) -> bool:
    """Whether the engine may read in this precision; never where a metric is not a number."""
    return (
        validation.mean_abs_dp <= MAX_MEAN_ABS_DP
        and validation.calls_changed <= MAX_CALLS_CHANGED
        and validation.auc_moved < MAX_AUC_MOVED
        and validation.golden_tolerance <= MAX_GOLDEN_TOLERANCE
    )
