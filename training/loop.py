"""The training loop, to be read from top to bottom.

Everything random at optimizer step t is drawn from (seed, t): a run that was stopped and resumed takes the same steps
as one that was not.
"""

import contextlib
import math
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from diagnosis_tool.cxr.calibration import Activation
from diagnosis_tool.cxr.findings import OutputKind
from diagnosis_tool.cxr.network import ChestNetwork, build_network
from training.augment import augment
from training.config import HeadBias, LoopConfig, Precision, Recipe, ReleaseConfig, Select
from training.data import Samples, TrainingData, fetched
from training.errors import TrainingFailed
from training.freeze import first_stages, freeze, frozen_stages_at, train_mode
from training.losses import Loss, build_loss
from training.metrics import auc, mean_defined, per_output
from training.optim import AveragedWeights, build_optimizer, rate_factor, set_rate
from training.predictions import logits_of
from training.provenance import git_commit
from training.recipe import recipe_to_json
from training.run_folder import EpochRecord, RunFolder, RunInfo, best_epoch
from training.sampling import epoch_order
from training.start_weights import load_start_weights
from training.statistics import with_pixel_statistics

_SAVE_EVERY_S = 300.0  # so much work at most is lost to a power cut


@dataclass
class State:
    """All that changes while training. step counts optimizer steps since the start; step_in_epoch within this one."""

    network: ChestNetwork
    optimizer: torch.optim.Optimizer
    average: AveragedWeights | None
    epoch: int = 0
    step: int = 0
    step_in_epoch: int = 0
    loss_sum: float = 0.0
    history: list[EpochRecord] = field(default_factory=list)

    def kept_weights(self) -> dict[str, torch.Tensor]:
        """What is validated, selected and released: the averaged weights where there are any."""
        return self.average.state if self.average else self.network.state_dict()


class Stopped(Exception):
    """The user asked to stop; the checkpoint is written."""


def train(recipe: Recipe, data: TrainingData, run: RunFolder, device: torch.device) -> State:
    """Trains, or goes on where the run's last checkpoint stands, until the last epoch or early stopping.

    Raises RecipeInvalid when the loss does not fit the data; TrainingFailed for a loss that is not finite, a checkpoint
    of another recipe, memory or disk that ran out; Stopped after the first Ctrl-C.
    """
    loss_of = build_loss(recipe.loss, data.train.labels_nK, data.activation)
    recipe = with_pixel_statistics(recipe, data.train)
    state = _build(recipe, data, device)
    checkpoint = run.last()
    if checkpoint is None:
        _begin(state, recipe, data, run)
    else:
        _resume(state, checkpoint, recipe, run)
    with _out_of_memory_named(recipe), _ask_to_stop() as stop:
        while not finished(state.history, recipe.loop):
            started = time.monotonic()
            images_per_s = _train_epoch(state, recipe, data.train, loss_of, run, stop, device)
            record, logits_nK = _validate(state, recipe, data, loss_of, device, images_per_s)
            _close_epoch(state, recipe, run, record, started, data, logits_nK)
    return state


def _build(recipe: Recipe, data: TrainingData, device: torch.device) -> State:
    torch.manual_seed(recipe.seed)
    network = build_network(recipe.network, len(data.outputs)).to(device)
    for epoch, _ in ((0, 0), *recipe.freeze.stages):
        freeze(network, _frozen(recipe, epoch))  # a name that the network does not have is found now
    if recipe.loop.channels_last:
        _use_channels_last(network)
    average = AveragedWeights(network, recipe.loop.ema_decay) if recipe.loop.ema_decay else None
    return State(network=network, optimizer=build_optimizer(network, recipe.optimizer), average=average)


def _begin(state: State, recipe: Recipe, data: TrainingData, run: RunFolder) -> None:
    """Puts the start weights in, and notes where they come from and what the run will see."""
    origin = load_start_weights(state.network, recipe.network.architecture, recipe.start)
    if recipe.start.head_bias is HeadBias.PRIOR:
        set_prior_bias(state.network, data.train.labels_nK, data.activation)
    if state.average:
        state.average = AveragedWeights(state.network, recipe.loop.ema_decay)
    run.write_recipe(recipe)
    run.write_info(_run_info(data, origin))


def _run_info(data: TrainingData, start_weights: str) -> RunInfo:
    return RunInfo(
        start_weights=start_weights,
        git_commit=git_commit(),
        dataset=data.dataset,
        train_images=tuple(record.image for record in data.train.records),
        validation_images=tuple(record.image for record in data.validation.records),
        test_images=data.test_images,
        train_patients=len(set(data.train.patients)),
        validation_patients=len(set(data.validation.patients)),
    )


def _use_channels_last(network: ChestNetwork) -> None:
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
    # the network's own normalisation gives planes: mixed with such weights they are slower than either layout alone
    network.features.register_forward_pre_hook(
        lambda _, inputs: (inputs[0].contiguous(memory_format=torch.channels_last),)
    )


def set_prior_bias(network: ChestNetwork, labels_nK: NDArray[np.float32], activation: Activation) -> None:
    """Sets the last layer's bias so that an uninformed network answers with the training set's label shares."""
    last = [module for module in network.head.modules() if isinstance(module, torch.nn.Linear)][-1]
    share_K = np.clip(labels_nK.mean(axis=0), 1e-4, 1 - 1e-4)
    bias_K = np.log(share_K) if activation is Activation.SOFTMAX else np.log(share_K / (1 - share_K))
    with torch.no_grad():
        last.bias.copy_(torch.from_numpy(bias_K))


def _frozen(recipe: Recipe, epoch: int) -> tuple[str, ...]:
    count = frozen_stages_at(epoch, recipe.freeze.stages)
    return (*recipe.freeze.names, *(first_stages(recipe.network.architecture, count) if count else ()))


def _train_epoch(
    state: State, recipe: Recipe, samples: Samples, loss_of: Loss, run: RunFolder, stop: "_Stop", device: torch.device
) -> float:
    """One pass over the training images; returns images per second."""
    loop = recipe.loop
    batches = epoch_order(samples.labels_nK, recipe.sampling, loop.batch_size, recipe.seed, state.epoch)
    steps = max(1, len(batches) // loop.accumulate)
    steps = min(steps, loop.max_steps) if loop.max_steps else steps
    first = state.step_in_epoch
    todo = batches[first * loop.accumulate : steps * loop.accumulate]
    started = saved = time.monotonic()
    freeze(state.network, _frozen(recipe, state.epoch))
    train_mode(state.network)
    with tqdm(total=steps, initial=first, unit="step", desc=f"epoch {state.epoch + 1}/{loop.epochs}") as bar:
        stream = fetched(samples, todo)
        for _ in range(first, steps):
            micro = [batch for _, batch in zip(range(loop.accumulate), stream, strict=False)]
            loss = _step(state, recipe, micro, loss_of, steps, device)
            bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
            bar.update()
            if stop.asked or time.monotonic() - saved > _SAVE_EVERY_S:
                _save(state, recipe, run)
                saved = time.monotonic()
            if stop.asked:
                raise Stopped(f"Stopped in epoch {state.epoch + 1} after step {state.step}; the same command goes on.")
    return (steps - first) * loop.accumulate * loop.batch_size / max(1e-9, time.monotonic() - started)


def _step(
    state: State,
    recipe: Recipe,
    micro: list[tuple[torch.Tensor, torch.Tensor]],
    loss_of: Loss,
    steps_per_epoch: int,
    device: torch.device,
) -> float:
    """One optimizer step over `accumulate` batches; returns its mean loss."""
    generator = torch.Generator().manual_seed(_seed_of(recipe.seed, state.step))
    torch.manual_seed(_seed_of(recipe.seed + 1, state.step))  # dropout draws from the global generator
    total = recipe.loop.epochs * steps_per_epoch
    losses = [item.validation_loss for item in state.history]
    set_rate(state.optimizer, rate_factor(recipe.schedule, state.step, steps_per_epoch, total, losses))
    state.optimizer.zero_grad(set_to_none=True)
    summed = 0.0
    for x_BHW, labels_BK in micro:
        x = augment(x_BHW.to(device), recipe.preprocess.size_px, recipe.augment, generator)
        with torch.autocast(device.type, torch.bfloat16, enabled=recipe.loop.precision is Precision.BF16):
            logits_BK, _ = state.network(x)
        loss = loss_of(logits_BK.float(), labels_BK.to(device)) / len(micro)
        loss.backward()  # type: ignore[no-untyped-call]
        summed += float(loss.detach())
    if not math.isfinite(summed):
        raise TrainingFailed(
            f"The loss is {summed} in epoch {state.epoch + 1} at step {state.step}. Lower optimizer.learning_rate, set "
            "optimizer.clip_norm, or say loop.precision=f32. The last good checkpoint was kept."
        )
    if recipe.optimizer.clip_norm:
        torch.nn.utils.clip_grad_norm_(state.network.parameters(), recipe.optimizer.clip_norm)
    state.optimizer.step()
    if state.average:
        state.average.update(state.network, state.step)
    state.step += 1
    state.step_in_epoch += 1
    state.loss_sum += summed
    return summed


def _seed_of(seed: int, step: int) -> int:
    return int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0] >> 1)


@torch.inference_mode()
def predict_logits(
    network: ChestNetwork, samples: Samples, batch_size: int, device: torch.device
) -> NDArray[np.float32]:
    """(n, K) logits of every image of `samples` as it lies in the cache, float32, nothing random."""
    network.eval()
    batches = np.array_split(np.arange(len(samples)), max(1, math.ceil(len(samples) / batch_size)))
    stream = tqdm(fetched(samples, batches), total=len(batches), unit="batch", desc="validating", leave=False)
    logits = [network(x_BHW.to(device))[0].float().cpu() for x_BHW, _ in stream]
    return np.asarray(torch.cat(logits).numpy())


def _validate(
    state: State, recipe: Recipe, data: TrainingData, loss_of: Loss, device: torch.device, images_per_s: float
) -> tuple[EpochRecord, NDArray[np.float32]]:
    own = {name: value.clone() for name, value in state.network.state_dict().items()} if state.average else None
    state.network.load_state_dict(state.kept_weights())
    logits_nK = predict_logits(state.network, data.validation, 2 * recipe.loop.batch_size, device)
    if own is not None:
        state.network.load_state_dict(own)
    labels_nK = data.validation.labels_nK
    values = per_output(auc, logits_nK.astype(np.float64), labels_nK.astype(np.uint8))
    findings = [v for v, output in zip(values, data.outputs, strict=True) if output.kind is OutputKind.FINDING]
    record = EpochRecord(
        epoch=state.epoch + 1,
        step=state.step,
        learning_rate=float(state.optimizer.param_groups[0]["lr"]),
        train_loss=state.loss_sum / max(1, state.step_in_epoch),
        validation_loss=float(loss_of(torch.from_numpy(logits_nK), torch.from_numpy(labels_nK))),
        mean_auc=mean_defined(findings),
        auc={output.name: value for output, value in zip(data.outputs, values, strict=True)},
        images_per_s=images_per_s,
        seconds=0.0,
    )
    return record, logits_nK


def _close_epoch(
    state: State,
    recipe: Recipe,
    run: RunFolder,
    record: EpochRecord,
    started: float,
    data: TrainingData,
    logits_nK: NDArray[np.float32],
) -> None:
    if not math.isfinite(record.validation_loss):
        raise TrainingFailed(f"The validation loss is {record.validation_loss} after epoch {record.epoch}.")
    record = replace(record, seconds=time.monotonic() - started)
    state.history.append(record)
    state.epoch, state.step_in_epoch, state.loss_sum = state.epoch + 1, 0, 0.0
    if best_epoch(state.history, recipe.loop.select is Select.LOSS) is record:
        run.write_best(state.kept_weights())
        run.write_validation(
            logits_of(data.validation.records, logits_nK, data.outputs, data.activation,
                      dataset=data.dataset, split="validation", recipe=recipe.name)
        )  # fmt: skip
    run.write_history(state.history)
    _save(state, recipe, run)
    mean = "n/a" if record.mean_auc is None else f"{record.mean_auc:.4f}"
    tqdm.write(
        f"epoch {record.epoch}: train loss {record.train_loss:.4f}, validation loss {record.validation_loss:.4f}, "
        f"mean AUC {mean}, {record.images_per_s:.1f} images/s, {record.seconds:.0f} s"
    )


def finished(history: list[EpochRecord], loop: LoopConfig) -> bool:
    """Whether all epochs are done, or early stopping has waited long enough for a better one."""
    best = best_epoch(history, loop.select is Select.LOSS)
    waited = loop.early_stop and best and len(history) - best.epoch >= loop.early_stop
    return bool(waited) or len(history) >= loop.epochs


def _save(state: State, recipe: Recipe, run: RunFolder) -> None:
    run.write_last(
        {
            "recipe": _trained_by(recipe),
            "network": state.network.state_dict(),
            "average": state.average.state if state.average else None,
            "optimizer": state.optimizer.state_dict(),
            "epoch": state.epoch,
            "step": state.step,
            "step_in_epoch": state.step_in_epoch,
            "loss_sum": state.loss_sum,
        }
    )


def _trained_by(recipe: Recipe) -> str:
    """All of a recipe that training depends on: what a release is called may change meanwhile."""
    return recipe_to_json(replace(recipe, release=ReleaseConfig(name="", version="")))


def _resume(state: State, checkpoint: dict[str, Any], recipe: Recipe, run: RunFolder) -> None:
    if checkpoint["recipe"] != _trained_by(recipe):
        raise TrainingFailed(
            f"{run.last_file} belongs to another recipe. Give a new --out, or the recipe it began with."
        )
    state.network.load_state_dict(checkpoint["network"])
    if state.average:
        state.average.state = {n: v.to(state.average.state[n].device) for n, v in checkpoint["average"].items()}
    state.optimizer.load_state_dict(checkpoint["optimizer"])
    for name in ("epoch", "step", "step_in_epoch", "loss_sum"):
        setattr(state, name, checkpoint[name])
    state.history = run.history()[: state.epoch]


@dataclass
class _Stop:
    asked: bool = False


@contextlib.contextmanager
def _ask_to_stop() -> Iterator[_Stop]:
    """The first Ctrl-C or SIGTERM is noted and obeyed between steps; the second acts at once."""
    stop = _Stop()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, frame: object) -> None:
        stop.asked = True
        for known, handler in before.items():
            signal.signal(known, handler)

    try:
        for number in before:
            signal.signal(number, note)
    except ValueError:  # not in the main thread: the caller stops us otherwise
        before.clear()
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _out_of_memory_named(recipe: Recipe) -> Iterator[None]:
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        text = str(error)
        if not isinstance(error, MemoryError | torch.OutOfMemoryError) and "not enough memory" not in text:
            raise
        raise TrainingFailed(
            f"Memory ran out with batches of {recipe.loop.batch_size} at {recipe.preprocess.size_px} px. Halve "
            "loop.batch_size and double loop.accumulate: the result is nearly the same."
        ) from error
