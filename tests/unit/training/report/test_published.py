import pytest

from diagnosis_tool.cxr.findings import NIH_FINDINGS
from training.report.published import published, published_on


@pytest.mark.parametrize(
    ("system", "mean"),
    [
        ("effnet_b7_adam_exponential", 0.754),
        ("wang2017_official", 0.738),
        ("swinchex", 0.810),
        ("chexnet_own", 0.841),
        ("torchxrayvision_resnet50_own", 0.811),
    ],
)
def test_the_columns_have_the_means_that_their_authors_state(system, mean):
    (found,) = (item for item in published() if item.system == system)
    assert found.mean_auc_stated == pytest.approx(mean)
    assert found.mean_auc_of(NIH_FINDINGS) == pytest.approx(mean, abs=6e-4)


def test_eleven_networks_stand_with_the_recipes_that_repeat_them():
    ours = [item for item in published_on("nih") if item.recipe]
    assert len(ours) == 11
    assert all(len(item.auc) == 15 for item in ours)
    assert len({item.recipe for item in ours}) == 11
    assert all(item.differs for item in published())


def test_the_other_forebears_figures():
    found = {(item.system, metric): value for item in published() for metric, value in item.metrics.items()}
    assert found == pytest.approx(
        {
            ("nih_sample_resnet50", "mean_accuracy"): 0.9491,
            ("kermany_vgg16", "accuracy"): 0.8125,
            ("rsna_resnet18", "accuracy"): 0.8487,
            ("rsna_resnet18", "f1"): 0.84,
            ("covidx_coatnet0", "accuracy"): 0.89,
            ("covidx_resnet", "accuracy"): 0.85,
        }
    )
