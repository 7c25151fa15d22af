"""What a reader decided, as ones and zeros."""

import pytest

from diagnosis_tool.cxr.findings import NO_FINDING
from diagnosis_tool.domain.labels import decided_labels
from diagnosis_tool.domain.reviews import Opinion, Verdict
from tests.fakes.predictions import output, prediction

READ = prediction(output("Mass", 0.9), output("Edema", 0.1), output(NO_FINDING, 0.2))
AGREE, DISAGREE, UNSURE = Verdict.AGREE, Verdict.DISAGREE, Verdict.UNSURE


@pytest.mark.parametrize(
    ("mass", "edema", "labels"),
    [
        (AGREE, AGREE, {"Mass": 1, "Edema": 0, NO_FINDING: 0}),
        (DISAGREE, AGREE, {"Mass": 0, "Edema": 0, NO_FINDING: 1}),
        (DISAGREE, DISAGREE, {"Mass": 0, "Edema": 1, NO_FINDING: 0}),
        (UNSURE, AGREE, None),
        (AGREE, UNSURE, None),
    ],
)
def test_verdicts(mass: Verdict, edema: Verdict, labels: dict[str, int] | None) -> None:
    opinion = Opinion(verdicts={"Mass": mass, "Edema": edema})
    assert decided_labels(READ, opinion, silence_agrees=False) == labels
    assert decided_labels(READ, opinion, silence_agrees=True) == labels


def test_silence_decides_nothing_unless_it_is_said_to_agree() -> None:
    assert decided_labels(READ, Opinion(verdicts={"Mass": AGREE}), silence_agrees=False) is None
    assert decided_labels(READ, Opinion(), silence_agrees=True) == {"Mass": 1, "Edema": 0, NO_FINDING: 0}


def test_an_added_finding_is_there_and_something_is_found() -> None:
    opinion = Opinion(verdicts={"Mass": DISAGREE}, added=("Edema",))
    assert decided_labels(READ, opinion, silence_agrees=False) == {"Mass": 0, "Edema": 1, NO_FINDING: 0}
    other = Opinion(verdicts={"Mass": DISAGREE, "Edema": AGREE}, added=("Fracture",))
    assert decided_labels(READ, other, silence_agrees=False) == {"Mass": 0, "Edema": 0, NO_FINDING: 0}


def test_without_an_operating_point_agreeing_says_nothing() -> None:
    bare = prediction(output("Mass", 0.9, None))
    assert decided_labels(bare, Opinion(verdicts={"Mass": AGREE}), silence_agrees=True) is None
