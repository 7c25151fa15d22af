"""The words that pages and viewer use for the same things, in one place. Pure.

It never says more than the model does: a probability and on which side of its operating point, never that a disease
was detected or ruled out.
"""

from typing import Final

from diagnosis_tool.cxr.findings import OutputKind, display_name
from diagnosis_tool.cxr.types import OutputReading
from diagnosis_tool.domain.studies import Instance, InstanceState, Prediction, StudyProgress

RESEARCH_USE: Final = "Research use only, not a medical device."

_SHAPES: Final = {
    InstanceState.QUEUED: "○",
    InstanceState.READING: "◐",
    InstanceState.DONE: "●",
    InstanceState.REFUSED: "▲",
    InstanceState.FAILED: "✕",
}

_UNFINISHED: Final = {
    InstanceState.QUEUED: "Waiting to be read. Nothing is known about this image yet.",
    InstanceState.READING: "Being read now. Nothing is known about this image yet.",
}


def state_shape(state: InstanceState) -> str:
    """The sign that stands beside the state's word, so that colour is never alone."""
    return _SHAPES[state]


def probability(value: float) -> str:
    """Two digits, as printed everywhere."""
    return f"{value:.2f}"


def side_of_threshold(output: OutputReading) -> str:
    """'above the operating point 0.31', 'below …' or 'no operating point'."""
    if output.threshold is None:
        return "no operating point"
    side = "above" if output.is_above_threshold else "below"
    return f"{side} the operating point {probability(output.threshold)}"


def output_sentence(output: OutputReading) -> str:
    """For example 'Effusion 0.64, above the operating point 0.31'."""
    return f"{display_name(output.name)} {probability(output.probability)}, {side_of_threshold(output)}"


def outcome(instance: Instance) -> str:
    """What became of an uploaded file, in one or two sentences for the reader."""
    if instance.prediction is not None:
        return prediction_outcome(instance.prediction)
    if instance.state in _UNFINISHED:
        return _UNFINISHED[instance.state]
    refused = "Refused: " if instance.state is InstanceState.REFUSED else "Not read: "
    return refused + (instance.error or "no reason was recorded. Send the file again.")


def prediction_outcome(prediction: Prediction) -> str:
    """Which findings are above their operating points."""
    findings = [o for o in prediction.outputs if o.kind is OutputKind.FINDING]
    above = sorted((o for o in findings if o.is_above_threshold), key=lambda o: -o.probability)
    if above:
        names = ", ".join(f"{display_name(o.name)} {probability(o.probability)}" for o in above)
        return f"Above the operating point: {names}."
    if all(o.threshold is None for o in findings):
        return "This model has no operating points: its probabilities stand on their own."
    return "No finding is above its operating point."


def batch_summary(study: StudyProgress) -> str:
    """For example '5 of 24 finished: 4 read, 1 refused'."""
    total = study.total
    words = {InstanceState.DONE: "read", InstanceState.REFUSED: "refused", InstanceState.FAILED: "failed"}
    parts = [f"{n} {word}" for state, word in words.items() if (n := study.count(state))]
    head = f"{study.finished} of {total} finished" if study.finished < total else f"All {total} finished"
    return f"{head}: {', '.join(parts)}" if parts else head


def map_note(output: OutputReading) -> str:
    """What stands under a small heatmap beside name and probability. Every map is stretched to its own maximum."""
    if output.heatmap.scale == 0:
        return "map is empty"
    if output.threshold is None:
        return "no operating point"
    return "above operating point" if output.is_above_threshold else "below operating point"


def map_caption(output: OutputReading) -> str:
    """What stands under a large heatmap."""
    if output.heatmap.scale == 0:
        return f"{output_sentence(output)} – map is empty"
    return output_sentence(output) if output.is_above_threshold else f"{output_sentence(output)} – map dimmed"
