import numpy as np
import pytest

from diagnosis_tool.cxr.findings import OutputKind
from diagnosis_tool.cxr.types import Heatmap, PredictedOutput
from diagnosis_tool.domain.tiers import Tier, tier_of, tier_shape


def output(probability: float, threshold: float | None, kind: OutputKind = OutputKind.FINDING) -> PredictedOutput:
    empty = Heatmap(values=np.zeros((2, 2), np.uint8), scale=0.0)
    return PredictedOutput(name="Mass", kind=kind, logit=0, probability=probability, threshold=threshold, heatmap=empty)


@pytest.mark.parametrize(
    ("probability", "screening", "tier"),
    [
        (0.5, 0.2, Tier.POSITIVE),
        (0.499, 0.2, Tier.UNSURE),
        (0.2, 0.2, Tier.UNSURE),
        (0.199, 0.2, Tier.NEGATIVE),
        (0.499, None, Tier.NEGATIVE),
        (0.499, 0.6, Tier.NEGATIVE),  # a bundle whose operating point keeps nine of ten by itself
        (0.55, 0.6, Tier.POSITIVE),  # the operating point decides what is positive, as everywhere in the tool
    ],
)
def test_tiers(probability: float, screening: float | None, tier: Tier) -> None:
    assert tier_of(output(probability, 0.5), screening) is tier


def test_without_an_operating_point_there_is_no_tier() -> None:
    assert tier_of(output(0.9, None), 0.2) is None


def test_saying_that_nothing_was_found_has_no_tier() -> None:
    assert tier_of(output(0.9, 0.5, OutputKind.ABSENCE), 0.2) is None


def test_each_tier_has_a_shape_of_its_own() -> None:
    assert len({tier_shape(tier) for tier in Tier}) == 3
