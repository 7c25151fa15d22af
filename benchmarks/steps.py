"""What a training run does again and again, on its own: a loader's epoch, an optimizer step."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import torch

from benchmarks.record import interleaved_medians, record
from diagnosis_tool.cxr.calibration import Activation
from diagnosis_tool.cxr.network import build_network
from testing.bundles import network_spec
from training.prepare.data import Samples, fetched
from training.recipes.config import LossConfig, LossKind, OptimizerConfig, OptimizerKind, Recipe
from training.recipes.load import load_recipe
from training.train.augment import augment
from training.train.losses import build_loss
from training.train.optim import build_optimizer

SIDE_PX: Final = 224
_RECIPE: Final = Path(__file__).resolve().parents[1] / "training" / "recipes" / "nih14-resnet_50-adam-step.toml"


def recipe() -> Recipe:
    """The starred ResNet-50 of NIH: cached at 256 px, flip and rotation, 224 px."""
    return load_recipe(_RECIPE)


def load(samples: Samples, images: int, batch: int) -> None:
    """Reads so many images of the cache in random order and augments them, as the loop does."""
    config, size_px = recipe().augment, recipe().preprocess.size_px
    random, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    batches = [random.integers(0, len(samples), batch) for _ in range(images // batch)]
    for x_BHW, _ in fetched(samples, batches):
        augment(x_BHW, size_px, config, generator)


def device() -> torch.device:
    """The accelerator where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def conditions() -> str:
    """On what it was measured, for the record."""
    where = device()
    return torch.cuda.get_device_name() if where.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"


def training_step(architecture: str, batch: int, *, bf16: bool) -> Callable[[], None]:
    """A function that takes one step: forward, BCE over 15 outputs, backward, Adam. channels_last, random weights."""
    torch.manual_seed(0)
    where = device()
    network = (
        build_network(network_spec(architecture, size_px=SIDE_PX), 15)
        .to(where)
        .to(memory_format=torch.channels_last)
        .train()
    )  # type: ignore[call-overload]
    optimizer = build_optimizer(network, OptimizerConfig(kind=OptimizerKind.ADAM, learning_rate=1e-4))
    labels_BK = torch.randint(0, 2, (batch, 15)).float()
    loss_of = build_loss(LossConfig(kind=LossKind.BCE), labels_BK.numpy(), Activation.SIGMOID)
    x_BHW, labels_BK = (255 * torch.rand(batch, SIDE_PX, SIDE_PX)).to(where), labels_BK.to(where)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(where.type, torch.bfloat16, enabled=bf16):
            logits_BK, _ = network(x_BHW)
        loss_of(logits_BK.float(), labels_BK).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if where.type == "cuda":
            torch.cuda.synchronize()

    return step


def measure_networks(architectures: tuple[str, ...], batch: int, rounds: int) -> None:
    """Records train_<network>_<precision> for each of them, its precisions in turns."""
    for architecture in architectures:
        steps = {name: training_step(architecture, batch, bf16=name == "bf16") for name in ("f32", "bf16")}
        seconds = interleaved_medians(steps, rounds)
        for precision, value in seconds.items():
            how = f"{SIDE_PX} px, batch {batch}, forward + backward + Adam, channels_last; {conditions()}"
            record(f"train_{architecture}_{precision}", batch / value, "images/s", how)
