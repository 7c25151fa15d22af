import numpy as np
import pytest
import torch

from diagnosis_tool.cxr.network import build_network
from tests.recipes import tiny_recipe
from training.recipes.config import OptimizerConfig, OptimizerKind, ScheduleConfig, ScheduleKind
from training.train.optim import AveragedWeights, build_optimizer, parameter_groups, rate_factor, set_rate


def _factors(config, steps_per_epoch=10, epochs=4, losses=()):
    total = steps_per_epoch * epochs
    return [rate_factor(config, step, steps_per_epoch, total, losses) for step in range(total)]


def test_cosine_with_warm_up():
    factors = _factors(ScheduleConfig(kind=ScheduleKind.COSINE, warmup=0.1))
    assert factors[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert factors[22] == pytest.approx(0.5)
    assert 0 < factors[-1] < 0.01
    assert factors[4:] == sorted(factors[4:], reverse=True)


def test_step_and_exponential_fall_at_epoch_ends():
    step = _factors(ScheduleConfig(kind=ScheduleKind.STEP, gamma=0.1, step_epochs=2))
    assert (step[0], step[19], step[20], step[39]) == pytest.approx((1.0, 1.0, 0.1, 0.1))
    exponential = _factors(ScheduleConfig(kind=ScheduleKind.EXPONENTIAL, gamma=0.5))
    assert [exponential[n] for n in (0, 10, 20, 30)] == pytest.approx([1, 0.5, 0.25, 0.125])


def test_plateau_falls_when_validation_waits():
    config = ScheduleConfig(kind=ScheduleKind.PLATEAU, gamma=0.1, patience=1)
    assert rate_factor(config, 30, 10, 40, [1.0, 0.9, 0.8]) == 1.0
    assert rate_factor(config, 30, 10, 40, [1.0, 1.1]) == 1.0
    assert rate_factor(config, 30, 10, 40, [1.0, 1.1, 1.2]) == pytest.approx(0.1)
    assert rate_factor(config, 30, 10, 40, [1.0, 1.1, 1.2, 0.9, 1.0, 1.0]) == pytest.approx(0.01)


def test_one_cycle_starts_low_peaks_and_ends_at_nothing():
    factors = _factors(ScheduleConfig(kind=ScheduleKind.ONE_CYCLE, warmup=0.3))
    assert factors[0] < 0.15
    assert max(factors) == pytest.approx(1.0)
    assert factors[-1] < 0.01
    assert set(_factors(ScheduleConfig(kind=ScheduleKind.CONSTANT))) == {1.0}


def test_groups_cover_every_parameter_once_and_spare_one_dimensional_ones():
    network = build_network(tiny_recipe().network, 15)
    config = OptimizerConfig(kind=OptimizerKind.ADAMW, learning_rate=1e-3, weight_decay=0.1, head_multiplier=5.0)
    groups = parameter_groups(network, config)
    listed = [parameter for group in groups for parameter in group["params"]]
    assert len(listed) == len({id(p) for p in listed}) == len(list(network.parameters()))
    for group in groups:
        assert (group["weight_decay"] == 0) == all(p.ndim <= 1 for p in group["params"])
    head = {id(p) for p in network.head.parameters()}
    assert all(group["lr"] == (5e-3 if id(group["params"][0]) in head else 1e-3) for group in groups)


@pytest.mark.parametrize("kind", list(OptimizerKind))
def test_every_optimizer_lowers_a_loss_at_the_rate_that_was_set(kind):
    network = build_network(tiny_recipe().network, 2).eval()
    optimizer = build_optimizer(network, OptimizerConfig(kind=kind, learning_rate=0.01, head_multiplier=2.0))
    assert set_rate(optimizer, 0.5) == pytest.approx(0.005)
    assert {group["lr"] for group in optimizer.param_groups} == {0.005, 0.01}
    x, y = torch.randint(0, 256, (4, 32, 32), generator=torch.Generator().manual_seed(0)), torch.ones(4, 2)
    losses = []
    for _ in range(3):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(network(x)[0], y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_average_moves_towards_the_network_and_copies_counters():
    network = torch.nn.BatchNorm1d(2)
    average = AveragedWeights(network, decay=0.9)
    with torch.no_grad():
        network.weight.fill_(2.0)
        network.num_batches_tracked.fill_(7)
    average.update(network, step=10_000)
    torch.testing.assert_close(average.state["weight"], torch.full((2,), 1.1))
    assert int(average.state["num_batches_tracked"]) == 7
    average.update(network, step=0)  # early steps move it almost all the way
    torch.testing.assert_close(average.state["weight"], torch.full((2,), 1.91))


def _torch_rates(make, epochs, losses=None):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer)
    rates = []
    for epoch in range(epochs):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step(*([losses[epoch]] if losses else []))
    return rates


def test_schedules_by_epoch_agree_with_torch():
    of = torch.optim.lr_scheduler
    step = _factors(ScheduleConfig(kind=ScheduleKind.STEP, gamma=0.3, step_epochs=3), epochs=10)[::10]
    assert step == pytest.approx(_torch_rates(lambda o: of.StepLR(o, 3, gamma=0.3), 10))
    exponential = _factors(ScheduleConfig(kind=ScheduleKind.EXPONENTIAL, gamma=0.5), epochs=10)[::10]
    assert exponential == pytest.approx(_torch_rates(lambda o: of.ExponentialLR(o, 0.5), 10))
    cosine = _factors(ScheduleConfig(kind=ScheduleKind.COSINE), steps_per_epoch=1, epochs=10)
    assert cosine == pytest.approx(_torch_rates(lambda o: of.CosineAnnealingLR(o, 10), 10))


@pytest.mark.parametrize("patience", [0, 1, 2])
def test_plateau_agrees_with_torch(patience):
    losses = [1.0, 0.9, 0.95, 0.92, 0.91, 0.89, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9]
    config = ScheduleConfig(kind=ScheduleKind.PLATEAU, gamma=0.5, patience=patience)
    ours = [rate_factor(config, 10 * n, 10, 10 * len(losses), losses[:n]) for n in range(len(losses))]
    of = torch.optim.lr_scheduler
    theirs = _torch_rates(
        lambda o: of.ReduceLROnPlateau(o, factor=0.5, patience=patience, threshold=0.0), len(losses), losses
    )
    assert ours == pytest.approx(theirs)


def test_one_cycle_is_linear_then_cosine():
    factors = _factors(ScheduleConfig(kind=ScheduleKind.ONE_CYCLE, warmup=0.3), steps_per_epoch=10, epochs=10)
    steps = np.arange(100)
    rise, fall = 1 / 25 + 24 / 25 * (steps + 1) / 30, 0.5 * (1 + np.cos(np.pi * (steps - 30) / 70))
    np.testing.assert_allclose(factors, np.where(steps < 30, rise, fall))


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_with_momentum_by_its_formula(nesterov):
    network = build_network(tiny_recipe().network, 2)
    config = OptimizerConfig(kind=OptimizerKind.SGD, learning_rate=0.1, momentum=0.8, nesterov=nesterov)
    optimizer = build_optimizer(network, config)
    weight = network.head[-1].bias
    expected, velocity = weight.detach().clone(), torch.zeros(2)
    for step in range(3):
        for parameter in network.parameters():
            parameter.grad = torch.full_like(parameter, step + 1.0)
        optimizer.step()
        velocity = 0.8 * velocity + step + 1.0
        expected -= 0.1 * (step + 1.0 + 0.8 * velocity if nesterov else velocity)
        torch.testing.assert_close(weight.detach(), expected)


def test_frozen_parameters_stay_also_under_weight_decay_until_they_thaw():
    network = build_network(tiny_recipe().network, 2).eval()
    config = OptimizerConfig(kind=OptimizerKind.ADAMW, learning_rate=0.01, weight_decay=0.5)
    for parameter in network.features.parameters():
        parameter.requires_grad = False
    optimizer = build_optimizer(network, config)
    first = network.features[0][0].weight
    before = first.detach().clone()
    for thawed in (False, True):
        for parameter in network.features.parameters():
            parameter.requires_grad = thawed
        optimizer.zero_grad()
        network(torch.full((2, 32, 32), 100))[0].sum().backward()
        optimizer.step()
        assert torch.equal(first.detach(), before) is not thawed
