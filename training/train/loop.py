"""The training loop, to be read from top to bottom.

Everything random at optimizer step t is drawn from (seed, t): a run that was stopped and resumed takes the same steps
as one that was not, and several processes change the same images in the same way as one.
"""

import math
import time
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from diagnosis_tool.cxr.calibration import Activation
from diagnosis_tool.cxr.findings import OutputKind
from diagnosis_tool.cxr.network import ChestNetwork, build_network
from training.errors import TrainingFailed
from training.evaluate.metrics import auc, mean_defined, per_output
from training.prepare.data import Samples, TrainingData, fetched
from training.prepare.pixel_statistics import with_pixel_statistics
from training.provenance import git_commit
from training.recipes.config import HeadBias, LoopConfig, Recipe
from training.start_weights.unpack import load_start_weights
from training.train.augment import BatchPart, augment
from training.train.devices import autocast, moved, use_channels_last
from training.train.distributed import ALONE, ProcessGroup
from training.train.freeze import first_stages, freeze, frozen_stages_at, scale_stochastic_depth, train_mode
from training.train.interrupts import Stop, Stopped, ask_to_stop, failures_named
from training.train.location_loss import last_layer, location_loss
from training.train.losses import Loss, build_loss
from training.train.optim import AveragedWeights, build_optimizer, rate_factor, set_rate
from training.train.run_folder import EpochRecord, RunFolder, RunInfo
from training.train.sampling import epoch_order
from training.train.selection import answer_metrics, best_epoch, check_select
from training.train.state import TrainingState, resume, save_checkpoint
from training.train.warm_start import warm_start

_Batch = tuple[NDArray[np.int64], tuple[torch.Tensor, torch.Tensor]]
"""Which training images, and what Samples.batch gave for them."""
_SAVE_EVERY_S = 300.0  # so much work at most is lost to a power cut


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """What stays the same while training. steps: optimizer steps an epoch."""

    recipe: Recipe
    data: TrainingData
    run: RunFolder
    device: torch.device
    group: ProcessGroup
    loss_of: Loss
    stop: Stop
    steps: int

    @property
    def loop(self) -> LoopConfig:
        return self.recipe.loop


def train(
    recipe: Recipe, data: TrainingData, run: RunFolder, device: torch.device, group: ProcessGroup = ALONE
) -> TrainingState:
    """Trains, or goes on where the run's last checkpoint stands, until the last epoch or early stopping.

    group: the processes that divide each batch; the first of them alone validates and writes.
    Raises RecipeInvalid when the loss, the selection or the number of processes does not fit; TrainingFailed for a loss
    that is not finite, a checkpoint of another recipe, memory or disk that ran out; Stopped after the first Ctrl-C.
    """
    loss_of = build_loss(recipe.loss, data.train.labels_nK, data.activation)
    check_select(recipe.loop.select, data.outputs, data.validation.labels_nK)
    recipe = with_pixel_statistics(recipe, data.train)
    batches = epoch_order(data.train.labels_nK, recipe.sampling, recipe.loop.batch_size, recipe.seed, 0)
    group.check(len(batches[0]))
    steps = max(1, len(batches) // recipe.loop.accumulate)
    steps = min(steps, recipe.loop.max_steps) if recipe.loop.max_steps else steps
    state = _build(recipe, data, device, group)
    if data.boxed:
        last_layer(state.network)  # complains of a head that boxes cannot supervise
    checkpoint = run.last()
    if checkpoint is None:
        _begin(state, recipe, data, run, group)
    else:
        resume(state, checkpoint, recipe, run)
    with failures_named(recipe), ask_to_stop() as stop:
        job = _Job(
            recipe=recipe, data=data, run=run, device=device, group=group, loss_of=loss_of, stop=stop, steps=steps
        )
        while not finished(state.history, recipe.loop):
            started = time.monotonic()
            images_per_s = _train_epoch(state, job)
            _close_epoch(state, job, images_per_s, started)
    return state


def finished(history: list[EpochRecord], loop: LoopConfig) -> bool:
    """Whether all epochs are done, or early stopping has waited long enough for a better one."""
    best = best_epoch(history, loop.select)
    waited = loop.early_stop and best and len(history) - best.epoch >= loop.early_stop
    return bool(waited) or len(history) >= loop.epochs


def _build(recipe: Recipe, data: TrainingData, device: torch.device, group: ProcessGroup) -> TrainingState:
    torch.manual_seed(recipe.seed)
    network = build_network(recipe.network, len(data.outputs)).to(device)
    for epoch, _ in ((0, 0), *recipe.freeze.stages):
        freeze(network, _frozen(recipe, epoch))  # a name that the network does not have is found now
    scale_stochastic_depth(network.features, recipe.loop.stochastic_depth)
    group.prepared(network, device)
    use_channels_last(network)
    average = AveragedWeights(network, recipe.loop.ema_decay) if recipe.loop.ema_decay and group.leads else None
    optimizer = build_optimizer(network, recipe.optimizer)
    return TrainingState(network=network, optimizer=optimizer, average=average, forward=network)


def _begin(state: TrainingState, recipe: Recipe, data: TrainingData, run: RunFolder, group: ProcessGroup) -> None:
    """Puts the start weights in, and notes where they come from and what the run will see."""
    origin = (
        warm_start(state.network, recipe, data)
        if recipe.start.trained
        else load_start_weights(state.network, recipe.network.architecture, recipe.start)
    )
    if recipe.start.head_bias is HeadBias.PRIOR:
        set_prior_bias(state.network, data.train.labels_nK, data.activation)
    if state.average:
        state.average = AveragedWeights(state.network, recipe.loop.ema_decay)
    if group.leads:
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


def _thaw(state: TrainingState, job: _Job) -> None:
    """Freezes what this epoch freezes, and makes state.forward anew where that changes who learns."""
    freeze(state.network, _frozen(job.recipe, state.epoch))
    train_mode(state.network)
    learns = frozenset(name for name, value in state.network.named_parameters() if value.requires_grad)
    if learns != state.learns:
        state.forward, state.learns = job.group.wrapped(state.network), learns


def _train_epoch(state: TrainingState, job: _Job) -> float:
    """One pass over the training images; returns images per second, of all processes together."""
    loop, samples, seed = job.loop, job.data.train, job.recipe.seed
    batches = epoch_order(samples.labels_nK, job.recipe.sampling, loop.batch_size, seed, state.epoch)
    if job.data.boxed:
        batches = job.data.boxed.among(batches, job.recipe.boxes.images, _seed_of(seed + 2, state.epoch))
    first = state.step_in_epoch
    todo = [job.group.share(batch) for batch in batches[first * loop.accumulate : job.steps * loop.accumulate]]
    started = saved = time.monotonic()
    _thaw(state, job)
    title = f"epoch {state.epoch + 1}/{loop.epochs}"
    with tqdm(total=job.steps, initial=first, unit="step", desc=title, disable=not job.group.leads) as bar:
        stream = zip(todo, fetched(samples, todo), strict=True)
        for _ in range(first, job.steps):
            micro = [batch for _, batch in zip(range(loop.accumulate), stream, strict=False)]
            loss, stop = _step(state, job, micro)
            bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
            bar.update()
            if job.group.leads and (stop or time.monotonic() - saved > _SAVE_EVERY_S):
                save_checkpoint(state, job.recipe, job.run)
                saved = time.monotonic()
            if stop:
                raise Stopped(f"Stopped in epoch {state.epoch + 1} after step {state.step}; the same command goes on.")
    return (job.steps - first) * loop.accumulate * loop.batch_size / max(1e-9, time.monotonic() - started)


def _step(state: TrainingState, job: _Job, micro: list[_Batch]) -> tuple[float, bool]:
    """One optimizer step over `accumulate` batches; returns its mean loss, and whether somebody asked to stop."""
    recipe, network = job.recipe, state.network
    losses = [item.validation_loss for item in state.history]
    set_rate(state.optimizer, rate_factor(recipe.schedule, state.step, job.steps, job.loop.epochs * job.steps, losses))
    state.optimizer.zero_grad(set_to_none=True)
    summed, stop = job.group.agreed(_gradients(state, job, micro), job.stop.asked, job.device)
    if not math.isfinite(summed):
        raise TrainingFailed(
            f"The loss is {summed} in epoch {state.epoch + 1} at step {state.step}. Lower optimizer.learning_rate, set "
            "optimizer.clip_norm, or say loop.precision=f32. The last good checkpoint was kept."
        )
    if recipe.optimizer.clip_norm:
        torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.optimizer.clip_norm)
    state.optimizer.step()
    if state.average:
        state.average.update(network, state.step)
    state.step += 1
    state.step_in_epoch += 1
    state.loss_sum += summed
    return summed, stop


def _gradients(state: TrainingState, job: _Job, micro: list[_Batch]) -> float:
    """Fills the gradients of the mean loss over all batches of a step; returns that loss over this process's images."""
    recipe, network, group, summed = job.recipe, state.network, job.group, 0.0
    generator = torch.Generator().manual_seed(_seed_of(recipe.seed, state.step))
    # dropout draws from the global generator; each process has other images, so other masks
    torch.manual_seed(_seed_of(recipe.seed + 1, state.step, *([group.rank] if group.rank else [])))
    for number, (chosen_B, (x_BHW, labels_BK)) in enumerate(micro, start=1):
        part = group.part(len(x_BHW) * group.size)
        masks_BHW = _masks(job, chosen_B, generator, part)
        x = augment(moved(x_BHW, job.device), recipe.preprocess.size_px, recipe.augment, generator, part)
        with group.averaging(state.forward, last=number == len(micro)):
            with autocast(job.device, recipe.loop.precision):
                logits_BK, features_BChw = state.forward(x)
            loss = job.loss_of(logits_BK.float(), moved(labels_BK, job.device)) / len(micro)
            if job.data.boxed and masks_BHW is not None:
                away = location_loss(features_BChw, last_layer(network), masks_BHW, job.data.boxed.columns)
                mean = away * group.size / recipe.boxes.images  # of the whole batch, however many processes divide it
                loss = loss + recipe.boxes.weight * mean / len(micro)
            loss.backward()  # type: ignore[no-untyped-call]
        summed += float(loss.detach())
    return summed


def _masks(job: _Job, chosen_B: NDArray[np.int64], generator: torch.Generator, part: BatchPart) -> torch.Tensor | None:
    """The boxes of these films, moved as augment() will move the films next; None without boxes."""
    if job.data.boxed is None:
        return None
    moves = replace(job.recipe.augment, brightness=0.0, contrast=0.0)
    same = torch.Generator()
    same.set_state(generator.get_state())
    masks_BHW = moved(job.data.boxed.masks_of(chosen_B), job.device)
    return augment(masks_BHW, job.recipe.preprocess.size_px, moves, same, part)


def _seed_of(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


@torch.inference_mode()
def predict_logits(
    network: ChestNetwork, samples: Samples, batch_size: int, device: torch.device, *, mirrored: bool = False
) -> NDArray[np.float32]:
    """(n, K) logits of every image of `samples` as it lies in the cache, float32, nothing random.

    mirrored: the mean of the logits of the image and of its mirror image.
    """
    network.eval()
    batches = np.array_split(np.arange(len(samples)), max(1, math.ceil(len(samples) / batch_size)))
    stream = tqdm(fetched(samples, batches), total=len(batches), unit="batch", desc="validating", leave=False)
    sides = (False, True) if mirrored else (False,)
    logits = [
        torch.stack([network((x_BHW.flip(2) if side else x_BHW).to(device))[0].float().cpu() for side in sides]).mean(0)
        for x_BHW, _ in stream
    ]
    return np.asarray(torch.cat(logits).numpy())


def _validate(state: TrainingState, job: _Job, images_per_s: float) -> tuple[EpochRecord, NDArray[np.float32]]:
    recipe, data = job.recipe, job.data
    own = {name: value.clone() for name, value in state.network.state_dict().items()} if state.average else None
    state.network.load_state_dict(state.kept_weights())
    logits_nK = predict_logits(state.network, data.validation, 2 * recipe.loop.batch_size, job.device)
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
        validation_loss=float(job.loss_of(torch.from_numpy(logits_nK), torch.from_numpy(labels_nK))),
        mean_auc=mean_defined(findings),
        auc={output.name: value for output, value in zip(data.outputs, values, strict=True)},
        images_per_s=images_per_s,
        seconds=0.0,
        answers=answer_metrics(logits_nK, labels_nK, data.outputs, data.activation),
    )
    return record, logits_nK


def _close_epoch(state: TrainingState, job: _Job, images_per_s: float, started: float) -> None:
    """Validates and, where this process leads, writes what the epoch leaves; all processes learn the record."""
    validated = _validate(state, job, images_per_s) if job.group.leads else None
    record = job.group.told(replace(validated[0], seconds=time.monotonic() - started) if validated else None)
    if record is None or not math.isfinite(record.validation_loss):
        raise TrainingFailed(f"The validation loss is not finite after epoch {state.epoch + 1}.")
    state.history.append(record)
    state.epoch, state.step_in_epoch, state.loss_sum = state.epoch + 1, 0, 0.0
    if validated:
        _write_epoch(state, job, record, validated[1])


def _write_epoch(state: TrainingState, job: _Job, record: EpochRecord, logits_nK: NDArray[np.float32]) -> None:
    data, run = job.data, job.run
    if best_epoch(state.history, job.loop.select) is record:
        run.write_best(state.kept_weights())
        run.write_validation(data.validation_predictions(logits_nK, job.recipe.name))
    run.write_history(state.history)
    save_checkpoint(state, job.recipe, run)
    mean = "n/a" if record.mean_auc is None else f"{record.mean_auc:.4f}"
    tqdm.write(
        f"epoch {record.epoch}: train loss {record.train_loss:.4f}, validation loss {record.validation_loss:.4f}, "
        f"mean AUC {mean}, {record.images_per_s:.1f} images/s, {record.seconds:.0f} s"
    )
