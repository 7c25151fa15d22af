import signal
from dataclasses import replace

import numpy as np
import pytest
import torch

from diagnosis_tool.cxr.calibration import Activation
from diagnosis_tool.cxr.network import build_network
from tests.recipes import tiny_recipe
from training.errors import RecipeInvalid, TrainingFailed
from training.prepare.data import fetched
from training.recipes.config import SamplingConfig
from training.train import loop
from training.train.interrupts import Stopped
from training.train.loop import set_prior_bias, train
from training.train.run_folder import RunFolder
from training.train.sampling import epoch_order
from training.train.selection import best_epoch

CPU = torch.device("cpu")


def _losses(run: RunFolder) -> list[float]:
    return [epoch.train_loss for epoch in run.history()]


def _weights(run: RunFolder) -> torch.Tensor:
    return torch.cat([value.flatten().float() for _, value in sorted(run.best().items())])


def test_loss_falls_and_the_run_leaves_what_release_needs(data, tmp_path):
    recipe = tiny_recipe(loop__epochs=6, start__head_bias="random")
    run = RunFolder(tmp_path)
    state = train(recipe, data, run, CPU)
    history = run.history()
    assert [item.epoch for item in history] == [1, 2, 3, 4, 5, 6]
    assert history[-1].train_loss < 0.6 * history[0].train_loss
    assert state.step == history[-1].step == 6 * (len(data.train) // 4)
    assert run.recipe() == recipe
    assert run.info().validation_images == tuple(record.image for record in data.validation.records)
    assert run.info().start_weights == "random initialisation"
    assert history[0].auc["Hernia"] is None
    assert 0 <= history[0].auc["Cardiomegaly"] <= 1
    assert set(run.best()) == set(build_network(recipe.network, 15).state_dict())


def test_the_same_seed_gives_the_same_run_and_another_does_not(data, tmp_path):
    curves = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(tiny_recipe(seed=seed), data, RunFolder(tmp_path / name), CPU)
        curves.append(_losses(RunFolder(tmp_path / name)))
    assert curves[0] == curves[1] != curves[2]


def test_a_stopped_run_goes_on_as_if_it_had_not_been_stopped(data, tmp_path, ctrl_c_at):
    straight, broken = RunFolder(tmp_path / "straight"), RunFolder(tmp_path / "broken")
    train(tiny_recipe(), data, straight, CPU)
    ctrl_c_at(4)  # in the middle of the second epoch
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(Stopped, match="epoch 2 after step 4"):
        train(tiny_recipe(), data, broken, CPU)
    assert signal.getsignal(signal.SIGINT) is handler
    train(tiny_recipe(), data, broken, CPU)
    assert _losses(broken) == _losses(straight)
    assert torch.equal(_weights(broken), _weights(straight))


def test_a_finished_run_does_nothing_more(data, tmp_path):
    run = RunFolder(tmp_path)
    train(tiny_recipe(loop__epochs=1), data, run, CPU)
    before = run.best_file.stat().st_mtime_ns
    train(tiny_recipe(loop__epochs=1), data, run, CPU)
    assert run.best_file.stat().st_mtime_ns == before


def test_another_recipe_may_not_go_on_with_a_checkpoint_but_another_name_may(data, tmp_path):
    train(tiny_recipe(loop__epochs=1), data, RunFolder(tmp_path), CPU)
    train(tiny_recipe(loop__epochs=1, release__version="0.2"), data, RunFolder(tmp_path), CPU)
    with pytest.raises(TrainingFailed, match="belongs to another recipe"):
        train(tiny_recipe(loop__epochs=1, network__head_hidden=[8]), data, RunFolder(tmp_path), CPU)


def test_a_damaged_checkpoint_is_named(data, tmp_path):
    run = RunFolder(tmp_path)
    train(tiny_recipe(loop__epochs=1), data, run, CPU)
    run.last_file.write_bytes(run.last_file.read_bytes()[:1000])
    with pytest.raises(TrainingFailed, match=r"last\.pt cannot be read"):
        train(tiny_recipe(loop__epochs=1), data, run, CPU)


def test_a_loss_that_is_not_finite_stops_with_advice(data, tmp_path):
    poisoned = replace(data, train=replace(data.train, labels_nK=np.full_like(data.train.labels_nK, np.nan)))
    with pytest.raises(TrainingFailed, match=r"loss is nan in epoch 1 at step 0.*learning_rate"):
        train(tiny_recipe(start__head_bias="random"), poisoned, RunFolder(tmp_path), CPU)
    assert not (tmp_path / "best.safetensors").exists()


def test_memory_that_ran_out_is_named(data, tmp_path, monkeypatch):
    def greedy(*_):
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate")

    monkeypatch.setattr(loop, "_step", greedy)
    with pytest.raises(TrainingFailed, match="batches of 4 at 32 px"):
        train(tiny_recipe(), data, RunFolder(tmp_path), CPU)


def test_validation_sees_the_cached_bytes_and_nothing_random(data, monkeypatch):
    monkeypatch.setattr(loop, "augment", lambda *_: pytest.fail("validation was augmented"))
    network = build_network(tiny_recipe().network, 15)
    one, again = (loop.predict_logits(network, data.validation, 3, CPU) for _ in range(2))
    np.testing.assert_array_equal(one, again)
    x, _ = data.validation.batch(np.arange(len(data.validation)))
    with torch.inference_mode():
        np.testing.assert_allclose(network.eval()(x)[0].numpy(), one, atol=1e-5)


def test_early_stopping_and_the_best_epoch(data, tmp_path):
    run = RunFolder(tmp_path)
    recipe = tiny_recipe(loop__epochs=30, loop__early_stop=2, loop__select="loss", optimizer__learning_rate=1e-9)
    train(recipe, data, run, CPU)
    history = run.history()
    best = best_epoch(history, "loss")
    assert best.validation_loss == min(item.validation_loss for item in history)
    assert len(history) < 30
    assert len(history) - best.epoch == 2


def test_accumulated_batches_are_one_larger_batch(data, tmp_path):
    """Without batch statistics, two batches of 2 must move the weights as one batch of 4 does."""
    moved = []
    for name, batch, accumulate in (("one", 4, 1), ("two", 2, 2)):
        recipe = tiny_recipe(
            loop__epochs=1, loop__batch_size=batch, loop__accumulate=accumulate, loop__ema_decay=0.0,
            optimizer__kind="sgd", network__head_dropout=0.0, augment={}, loop__max_steps=1,
        )  # fmt: skip
        seen = []
        step_of = loop._step

        def recorded(state, job, micro, seen=seen, step_of=step_of):
            state.network.eval()  # frozen batch statistics
            seen.append(torch.cat([x for _, (x, _) in micro]))
            return step_of(state, job, micro)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(loop, "_step", recorded)
            state = train(recipe, data, RunFolder(tmp_path / name), CPU)
        moved.append((seen[0], state.network.head[-1].weight.detach().clone()))
    assert torch.equal(moved[0][0], moved[1][0])
    torch.testing.assert_close(moved[0][1], moved[1][1], atol=1e-6, rtol=1e-4)


def test_bf16_trains_too(data, tmp_path):
    train(tiny_recipe(loop__epochs=1, loop__precision="bf16"), data, RunFolder(tmp_path), CPU)
    assert np.isfinite(RunFolder(tmp_path).history()[0].train_loss)


def test_the_head_starts_at_the_prior(data):
    network = build_network(tiny_recipe().network, 15)
    set_prior_bias(network, data.train.labels_nK, Activation.SIGMOID)
    share = torch.sigmoid(network.head[-1].bias.detach()).numpy()
    np.testing.assert_allclose(share, np.clip(data.train.labels_nK.mean(axis=0), 1e-4, 1), atol=1e-6)


def test_batches_come_in_order_and_belong_to_their_labels(data):
    batches = epoch_order(data.train.labels_nK, SamplingConfig(), 5, 0, 0)
    for (x, labels), chosen in zip(fetched(data.train, batches), batches, strict=True):
        np.testing.assert_array_equal(x.numpy(), data.train.pixels_NHW[data.train.rows_n[chosen]])
        np.testing.assert_array_equal(labels.numpy(), data.train.labels_nK[chosen])


def test_the_runs_own_pixel_statistics_are_saved_with_it(data, tmp_path):
    run = RunFolder(tmp_path)
    recipe = tiny_recipe(
        loop__epochs=1, data__normalise="training_set", network__mean=[], network__std=[], network__in_channels=1
    )
    state = train(recipe, data, run, CPU)
    pixels = data.train.pixels_NHW[data.train.rows_n] / 255
    np.testing.assert_allclose(
        (run.recipe().network.mean[0], run.recipe().network.std[0]), (pixels.mean(), pixels.std()), atol=1e-6
    )
    assert state.network.std.shape == (1, 1, 1, 1)
    assert train(recipe, data, run, CPU).step == state.step  # goes on with the same statistics


def test_a_resumed_run_draws_the_same_weighted_images(data, tmp_path, monkeypatch):
    recipe = tiny_recipe(sampling={"kind": "weighted"}, loop__epochs=2)
    straight, broken = RunFolder(tmp_path / "straight"), RunFolder(tmp_path / "broken")
    train(recipe, data, straight, CPU)
    save_of, saved = loop.save_checkpoint, []

    def lost(*arguments):
        save_of(*arguments)
        saved.append(1)
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "save_checkpoint", lost)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, data, broken, CPU)
    monkeypatch.undo()
    train(recipe, data, broken, CPU)
    assert _losses(broken) == _losses(straight)


@pytest.mark.parametrize("kind", ["focal", "bp_mll", "weighted_bce", "hamming", "focal_categorical"])
def test_other_losses_train_too(data, tmp_path, kind):
    run = RunFolder(tmp_path)
    if kind == "focal_categorical":
        train_side, validation = (
            replace(side, labels_nK=np.eye(15, dtype=np.float32)[side.labels_nK.argmax(axis=1)])
            for side in (data.train, data.validation)
        )
        data = replace(data, activation=Activation.SOFTMAX, train=train_side, validation=validation)
    train(tiny_recipe(loss={"kind": kind}), data, run, CPU)
    assert run.history()[-1].validation_loss < run.history()[0].validation_loss


def test_a_loss_that_does_not_fit_the_data_stops_before_anything_is_written(data, tmp_path):
    with pytest.raises(RecipeInvalid, match="independent labels"):
        train(tiny_recipe(loss={"kind": "cross_entropy"}), data, RunFolder(tmp_path / "run"), CPU)
    assert not (tmp_path / "run").exists()


def test_frozen_stages_do_not_move_until_the_schedule_thaws_them(data, tmp_path):
    moved = []
    for epochs in (1, 2):
        recipe = tiny_recipe(
            freeze={"names": ["features.1"], "stages": [[0, 9], [1, 8]]}, loop__epochs=epochs, loop__ema_decay=0.0
        )
        network = train(recipe, data, RunFolder(tmp_path / str(epochs)), CPU).network
        torch.manual_seed(recipe.seed)
        start = build_network(recipe.network, 15).state_dict()
        changed = {name for name, value in network.state_dict().items() if not torch.equal(value, start[name])}
        moved.append({name.split(".")[0] + name.split(".")[1] for name in changed})
    assert moved == [{"head3"}, {"head3", "features18"}]


def test_a_name_that_cannot_be_frozen_stops_before_anything_is_written(data, tmp_path):
    with pytest.raises(RecipeInvalid, match=r"no features\.99 to freeze"):
        train(tiny_recipe(freeze={"names": ["features.99"]}), data, RunFolder(tmp_path / "run"), CPU)
    with pytest.raises(RecipeInvalid, match="stages"):
        train(tiny_recipe(freeze={"stages": [[2, 10]]}), data, RunFolder(tmp_path / "run"), CPU)
    assert not (tmp_path / "run").exists()
