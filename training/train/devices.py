"""The one place that knows which device trains, and what differs between devices."""

import contextlib

import torch

from diagnosis_tool.cxr.network import ChestNetwork
from training.errors import TrainingFailed
from training.recipes.config import Precision

AUTO = "auto"


def pick_device(name: str = AUTO, local_rank: int = 0) -> torch.device:
    """'auto' is CUDA where there is any, else the CPU. On several GPUs, process `local_rank` takes its own.

    Raises TrainingFailed when CUDA is asked for and not there.
    """
    if name == AUTO:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(name)
    if device.type != "cuda":
        return device
    index = local_rank if device.index is None else device.index
    if index >= torch.cuda.device_count():
        raise TrainingFailed(
            f"GPU {index} was asked for and there are {torch.cuda.device_count()}. Say --device cpu, or start as many "
            "processes as there are GPUs."
        )
    device = torch.device("cuda", index)
    torch.cuda.set_device(device)
    return device


def moved(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """The tensor on the device; the CPU does not wait for the copy."""
    return tensor.to(device, non_blocking=True)


def autocast(device: torch.device, precision: Precision) -> contextlib.AbstractContextManager[object]:
    """Arithmetic of the forward pass: bfloat16 where the recipe says so, on whatever device. Needs no loss scaling."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision is Precision.BF16)


def use_channels_last(network: ChestNetwork) -> None:
    """Pixels beside each other in memory instead of planes: faster convolutions on CPUs and on tensor cores."""
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
    # the network's own normalisation gives planes: mixed with such weights they are slower than either layout alone
    network.features.register_forward_pre_hook(
        lambda _, inputs: (inputs[0].contiguous(memory_format=torch.channels_last),)
    )
