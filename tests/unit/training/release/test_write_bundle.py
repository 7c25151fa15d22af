"""What a bundle stores of a run's weights."""

import pytest
import torch

from training.errors import TrainingFailed
from training.release.write_bundle import as_released


def test_weights_are_halved_but_what_lies_beyond_float16_and_counters_stay() -> None:
    assert as_released("w", torch.tensor([0.5, -2.0])).dtype == torch.float16
    variance = torch.tensor([1.0, 1e5])
    assert torch.equal(as_released("running_var", variance), variance)
    assert as_released("num_batches_tracked", torch.tensor(3)).dtype == torch.int64


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_run_that_diverged_is_not_released(value: float) -> None:
    with pytest.raises(TrainingFailed, match="not finite"):
        as_released("w", torch.tensor([value]))
