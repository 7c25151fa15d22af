from dataclasses import replace

import pytest

from diagnosis_tool.cxr.findings import NO_FINDING
from diagnosis_tool.domain import wording
from diagnosis_tool.domain.studies import Instance, InstanceState, Reason
from tests.fakes.predictions import output, prediction


def instance(state: InstanceState, error: str | None = None) -> Instance:
    return Instance(
        uid="u", study_uid="s", position=0, file_name="a.png", sha256="0" * 64, size_bytes=1, state=state,
        error=Reason(message=error) if error else None,
        width_px=None, height_px=None, has_thumbnail=False, prediction=None,
    )  # fmt: skip


def test_output_sentence() -> None:
    assert wording.output_sentence(output("Effusion", 0.641, 0.31)) == "Effusion 0.64, above the operating point 0.31"
    assert wording.output_sentence(output("Mass", 0.1, 0.31)) == "Mass 0.10, below the operating point 0.31"
    assert wording.output_sentence(output("Mass", 0.1, None)) == "Mass 0.10, no operating point"


def test_outcome_of_a_reading() -> None:
    read = prediction(output("Mass", 0.6), output("Edema", 0.9), output("Hernia", 0.1), output(NO_FINDING, 0.9))
    assert wording.prediction_outcome(read) == "Above the operating point: Edema 0.90, Mass 0.60."
    assert wording.prediction_outcome(prediction(output("Mass", 0.1))) == "No finding is above its operating point."
    assert "no operating points" in wording.prediction_outcome(prediction(output("Mass", 0.9, None)))


@pytest.mark.parametrize("state", [InstanceState.QUEUED, InstanceState.READING])
def test_an_unread_image_is_never_negative(state: InstanceState) -> None:
    assert "Nothing is known" in wording.outcome(instance(state))


def test_refused_and_failed_say_why() -> None:
    assert wording.outcome(instance(InstanceState.REFUSED, "Blank.")) == "Refused: Blank."
    assert wording.outcome(instance(InstanceState.FAILED, "Broke.")) == "Not read: Broke."
    assert wording.outcome(replace(instance(InstanceState.FAILED), error=None)).endswith("Send the file again.")


def test_every_state_has_its_own_shape() -> None:
    assert len({wording.state_shape(state) for state in InstanceState}) == len(InstanceState)


@pytest.mark.parametrize("words", ["detected", "disease", "negative", "healthy", "normal"])
def test_never_more_than_the_model_says(words: str) -> None:
    said = [wording.prediction_outcome(prediction(output("Mass", p))) for p in (0.1, 0.9)]
    assert all(words not in sentence.lower() for sentence in said)


def test_a_maps_words() -> None:
    empty = output("Mass", 0.6)
    full = replace(empty, heatmap=replace(empty.heatmap, scale=1.0))
    below = replace(full, probability=0.1)
    assert wording.map_note(empty) == "map is empty"
    assert wording.map_note(full) == "above operating point"
    assert wording.map_note(below) == "below operating point"
    assert wording.map_note(replace(full, threshold=None)) == "no operating point"
    assert wording.map_caption(empty).endswith("map is empty")
    assert wording.map_caption(full) == wording.output_sentence(full)
    assert wording.map_caption(below).endswith("map dimmed")
