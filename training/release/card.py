"""MODEL_CARD.md: the metrics of bundle.json in words and tables, and nothing that is not in it."""

from diagnosis_tool.cxr.bundle import BundleMetadata, EvaluationRecord, Localisation
from diagnosis_tool.cxr.calibration import Activation, CalibrationMethod
from diagnosis_tool.cxr.findings import OutputKind
from training.datasets.nih import subset_note
from training.evaluate.metrics import in_words, markdown_table


def model_card(metadata: BundleMetadata, notes: tuple[str, ...], *, weights_bytes: int) -> str:
    """The card of a bundle, Markdown. notes: what calibration could not do."""
    parts = [_head(metadata, weights_bytes), _data(metadata)]
    parts += [_metrics(metadata, evaluation) for evaluation in reversed(metadata.evaluations)]  # test before validation
    parts += [_thresholds(metadata), _precision(metadata), _limits(metadata, notes), _again(metadata)]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _head(metadata: BundleMetadata, weights_bytes: int) -> str:
    network, spec = metadata.network, metadata.preprocess
    names, count = ", ".join(output.name for output in metadata.outputs), len(metadata.outputs)
    exclusive = metadata.activation is Activation.SOFTMAX
    said = " Exclusive classes (softmax): their probabilities sum to 1." if exclusive else ""
    return f"""
# {metadata.name} {metadata.version}

**For research. Not a medical device: no decision about a patient may rest on it.**

Reads one frontal chest radiograph and answers {count} output{"s" if count > 1 else ""}: {names}.{said}

- Network: {network.architecture}, {network.in_channels} input channels; weights {weights_bytes / 1e6:.1f} MB, float16.
- Input: {spec.size_px} x {spec.size_px} px, {spec.geometry}, {spec.interpolation}; grey values between the
  {spec.window_low_percentile:g}th and {spec.window_high_percentile:g}th percentile become 0 to 255.
- Allowed views: {", ".join(metadata.allowed_views)}.
- Heatmaps: {metadata.explanation.method}.
"""


def _data(metadata: BundleMetadata) -> str:
    record = metadata.training
    return f"""
## Where it comes from

- Data: {record.dataset}; {record.train_images} images of {record.train_patients} patients trained it,
  {record.validation_images} images of {record.validation_patients} other patients chose the epoch and fitted the
  calibration and thresholds. Images of the test split took no part in either.
- Start weights: {record.start_weights}.
- Recipe `{record.recipe}`, {record.epochs} epochs, seed {record.seed}; released from commit {metadata.git_commit}.
- Splits (sha256 of the sorted image lists): train `{record.train_split_sha256[:16]}`, validation
  `{record.validation_split_sha256[:16]}`, test `{record.test_split_sha256[:16]}`.
"""


def _metrics(metadata: BundleMetadata, evaluation: EvaluationRecord) -> str:
    fitted = evaluation.split == "validation"
    remark = (
        "The epoch, the calibration and the thresholds were chosen on these images: the figures flatter."
        if fitted
        else "No weight, epoch, calibration or threshold was chosen on these images."
    )
    subset = subset_note(evaluation.dataset, evaluation.images)
    remark += f" {subset}" if subset else ""
    absences = ", ".join(output.name for output in metadata.outputs if output.kind is OutputKind.ABSENCE)
    apart = f" ({absences} apart)" if absences else ""
    rows = ([name, in_words(value)] for name, value in evaluation.auc.items())
    return f"""
## {evaluation.dataset}, {evaluation.split}: {evaluation.images} images of {evaluation.patients} patients

{remark} Intervals: 95%, patients drawn with replacement.

**Mean AUC of the findings{apart}: {in_words(evaluation.mean_auc)}.** Mean expected calibration error:
{evaluation.mean_ece:.3f} (15 bins of equal mass).

{markdown_table(["output", "AUC"], rows)}
{_located(evaluation.localisation)}"""


def _located(found: Localisation | None) -> str:
    """A table on where the heatmaps point, or nothing where the data set has no boxes."""
    if found is None:
        return ""
    metrics = {"pointing": (found.pointing, found.pointing_blind)}
    metrics |= {f"IoU >= {t}": (found.iou[t], found.iou_blind[t]) for t in found.iou}
    head = ["finding", "boxes", *(text for metric in metrics for text in (metric, "blind"))]
    rows = (
        [
            name,
            str(found.boxes.get(name, sum(found.boxes.values()))),
            *(f"{shares[name]:.3f}" for pair in metrics.values() for shares in pair),
        ]
        for name in found.pointing
    )
    return f"""
Heatmaps against readers' boxes. Pointing: the maximum lies inside of the box. IoU: of the box with the heatmap's region
above {found.box_threshold:g} of its maximum. Blind: a location prior that never looks at the image (other patients'
boxes of the finding).

{markdown_table(head, rows)}
"""


def _thresholds(metadata: BundleMetadata) -> str:
    calibration = metadata.calibration
    how = (
        "not calibrated: scores are no probabilities"
        if calibration.method is CalibrationMethod.NONE
        else (f"{calibration.method}, fitted on {calibration.fitted_on}")
    )
    head = ["output", "criterion", "threshold", "sensitivity", "specificity"]
    rows = (
        [p.output, p.criterion, f"{p.threshold:.3f}", in_words(p.sensitivity), in_words(p.specificity)]
        for p in metadata.operating_points
    )
    source = ", ".join(sorted({p.source for p in metadata.operating_points}))
    return f"""
## Probabilities and operating points

Calibration: {how}.

Operating points were chosen on {source}. youden: the threshold of the largest sensitivity + specificity - 1; the tool
calls a finding 'above its operating point' by this one. sensitivity_90: the highest threshold that still finds at least
90% of the positives there, at the price of more false alarms; on other patients it may find fewer.
Intervals: 95%, patients drawn with replacement, the threshold held fixed.

{markdown_table(head, rows)}
"""


def _precision(metadata: BundleMetadata) -> str:
    if not metadata.admitted:
        said = "No lower precision was proved to be as good on this model: every engine computes in float32."
    else:
        said = "A lower precision was proved beside float32 on the same images, and may be used:\n\n" + "\n".join(
            f"- {a.engine} in {a.precision}: {a.images} images ({a.source}); probabilities moved by {a.mean_abs_dp:.2g}"
            f" in the mean, {a.calls_changed:.2%} of the calls at operating points changed, the mean AUC moved by "
            f"{a.auc_moved:.2g}."
            for a in metadata.admitted
        )
    return f"""
## Precision

All figures are of float32. {said}
"""


def _limits(metadata: BundleMetadata, notes: tuple[str, ...]) -> str:
    lines = "\n".join(f"- {text}" for text in (*metadata.training.limits, *notes)) or "- None were stated."
    return f"""
## Limits

{lines}
"""


def _again(metadata: BundleMetadata) -> str:
    bundle = f"models/{metadata.name}-{metadata.version}"
    record = metadata.training
    return f"""
## To reproduce

Start weights and data: docs/training.md.

    python -m training train training/recipes/{record.recipe}.toml
    python -m training calibrate runs/{record.recipe}
    python -m training release runs/{record.recipe}
    python -m training evaluate --bundle {bundle} --dataset {record.dataset} --data DIR --split test --json FILE
"""
