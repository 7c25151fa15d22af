from itertools import pairwise

import pytest

from diagnosis_tool.cxr.findings import NIH_OUTPUTS, NO_FINDING, anatomical_rank
from diagnosis_tool.cxr.types import Prediction
from diagnosis_tool.domain.bars import Bar, Order, bars, height_of, places
from diagnosis_tool.domain.tiers import Tier
from tests.fakes.predictions import output, prediction


@pytest.fixture
def nih() -> Prediction:
    return prediction(*(output(name, (k + 1) / 16, 0.5) for k, name in enumerate(NIH_OUTPUTS)))


def by_name(drawn: tuple[Bar, ...]) -> dict[str, Bar]:
    return {bar.output.name: bar for bar in drawn}


def test_no_finding_stands_apart_on_top_and_findings_keep_their_place(nih: Prediction) -> None:
    found = bars(nih, Order.ANATOMICAL)
    names = [bar.output.name for bar in found]
    assert names[0] == NO_FINDING
    assert names[1:] == sorted(names[1:], key=anatomical_rank)
    assert found[1].y - found[0].y > 1.5 > found[2].y - found[1].y


def test_by_probability(nih: Prediction) -> None:
    found = bars(nih, Order.PROBABILITY)
    values = [bar.output.probability for bar in found[1:]]
    assert found[0].output.name == NO_FINDING
    assert values == sorted(values, reverse=True)


def test_top_four_are_marked_with_their_rank(nih: Prediction) -> None:
    marked = {bar.label[-1]: bar.label[:-2] for bar in bars(nih) if bar.rank}
    assert marked == {"①": "Pneumothorax", "②": "Pneumonia", "③": "Pleural thickening", "④": "Nodule"}
    assert by_name(bars(nih))["Hernia"].label == "Hernia"


def test_positive_means_at_or_above_the_operating_point_and_no_finding_never_is() -> None:
    given = prediction(
        output("Mass", 0.5), output("Edema", 0.499), output("Hernia", 0.9, None), output(NO_FINDING, 0.99)
    )
    found = by_name(bars(given))
    assert [found[name].is_positive for name in ("Mass", "Edema", "Hernia", NO_FINDING)] == [True, False, False, False]
    assert [found[name].tier for name in ("Mass", "Edema", "Hernia", NO_FINDING)] == [
        Tier.POSITIVE, Tier.NEGATIVE, None, None,
    ]  # fmt: skip


def test_normal_says_that_nothing_is_there() -> None:
    given = prediction(output("normal", 0.8), output("pneumonia", 0.15, 0.1), output("COVID-19", 0.05))
    first, *others = bars(given, Order.PROBABILITY)
    assert (first.output.name, first.rank, first.is_absence) == ("normal", None, True)
    assert [(bar.output.name, bar.rank, bar.is_positive) for bar in others] == [
        ("pneumonia", 1, True),
        ("COVID-19", 2, False),
    ]
    assert given.top == ("pneumonia", "COVID-19")


def test_one_output_is_one_bar_in_the_middle() -> None:
    assert places(bars(prediction(output("Pneumonia", 0.7, 0.4)))) == {"Pneumonia": 0.5}


def test_the_unsure_zone_reaches_from_screening_to_the_operating_point() -> None:
    given = prediction(
        output("Mass", 0.1, 0.3), output("Edema", 0.1, 0.3), output("Hernia", 0.1, None), output(NO_FINDING, 0.1, 0.3)
    )
    # Edema's lies above its operating point: nothing is unsure there; 'No Finding' is never unsure
    screening = {"Mass": 0.2, "Edema": 0.4, "Hernia": 0.1, NO_FINDING: 0.1}
    found = by_name(bars(given, Order.ANATOMICAL, screening))
    assert [found[name].unsure for name in screening] == [(0.2, 0.3), None, None, None]
    assert [bar.unsure for bar in bars(given)] == [None] * 4


@pytest.mark.parametrize("order", Order)
def test_no_two_rows_lie_on_each_other(nih: Prediction, order: Order) -> None:
    drawn = bars(nih, order)
    middles = [places(drawn)[bar.output.name] for bar in drawn]
    assert all(b - a >= 1 / height_of(drawn) - 1e-9 for a, b in pairwise(middles))
    assert 0 < middles[0] < middles[-1] < 1
