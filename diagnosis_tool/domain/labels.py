"""A signed review as labels for training: 1 and 0 for what the reader decided. Pure."""

from diagnosis_tool.cxr.findings import OutputKind
from diagnosis_tool.cxr.types import PredictedOutput, Prediction
from diagnosis_tool.domain.reviews import Opinion, Verdict


def decided_labels(prediction: Prediction, opinion: Opinion, *, silence_agrees: bool) -> dict[str, int] | None:
    """Each output's label, in the bundle's order; None when the reader left one of them undecided.

    1: the reader agrees with a finding above its operating point, disagrees with one below it, or added it.
    silence_agrees: a signed finding without a verdict counts as agreed with; otherwise it is undecided. 'Unsure' always
    is. 'No Finding' follows from the findings.
    """
    labels: dict[str, int] = {}
    for output in prediction.outputs:
        if output.kind is OutputKind.FINDING:
            label = _label(output, opinion, silence_agrees)
            if label is None:
                return None
            labels[output.name] = label
    nothing = int(not any(labels.values()) and not opinion.added)
    return {o.name: labels.get(o.name, nothing) for o in prediction.outputs}


def _label(output: PredictedOutput, opinion: Opinion, silence_agrees: bool) -> int | None:
    if output.name in opinion.added:
        return 1
    verdict = opinion.verdicts.get(output.name, Verdict.AGREE if silence_agrees else None)
    if verdict in {None, Verdict.UNSURE} or output.threshold is None:
        return None
    return int(output.is_above_threshold == (verdict is Verdict.AGREE))
