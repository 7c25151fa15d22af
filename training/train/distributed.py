"""One run by several processes (torchrun): every batch is divided evenly, gradients are averaged, the first one writes.

A batch, its augmentation and its loss are those of a run by one process. Not the same are the masks of dropout and
stochastic depth, and on the CPU the statistics of BatchNorm, which see a process's part only (on CUDA they are
synchronised; torch has no such thing for the CPU).
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from training.errors import RecipeInvalid
from training.train.augment import BatchPart
from training.train.devices import AUTO, pick_device

_T = TypeVar("_T")
_PATIENCE: Final = timedelta(hours=6)  # the others wait while the first fills a cache of 112,120 images, or validates


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessGroup:
    """The processes of one run, and which of them this is."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process validates, writes and speaks for all."""
        return self.rank == 0

    def check(self, batch_size: int) -> None:
        """Raises RecipeInvalid when a batch cannot be divided evenly: the mean of means would not be the mean."""
        if batch_size % self.size:
            raise RecipeInvalid(f"A batch of {batch_size} cannot be divided evenly by {self.size} processes.")

    def share(self, batch_B: NDArray[np.int64]) -> NDArray[np.int64]:
        """This process's part of a batch."""
        part = self.part(len(batch_B))
        return batch_B[part.first : part.first + len(batch_B) // self.size]

    def part(self, batch_size: int) -> BatchPart:
        """Where this process's part lies in a batch."""
        return BatchPart(first=self.rank * (batch_size // self.size), whole=batch_size)

    def prepared(self, network: nn.Module, device: torch.device) -> None:
        """Puts SyncBatchNorm in place where the device has it; weights and their names stay."""
        if self.size > 1 and device.type == "cuda":
            nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]

    def wrapped(self, network: nn.Module) -> nn.Module:
        """The network with gradients averaged over all processes. Wrap anew when other parameters learn."""
        return DistributedDataParallel(network) if self.size > 1 else network

    def averaging(self, wrapped: nn.Module, *, last: bool) -> contextlib.AbstractContextManager[None]:
        """Within: backward averages the gradients over all processes if this is the step's last batch."""
        if last or not isinstance(wrapped, DistributedDataParallel):
            return contextlib.nullcontext()
        return wrapped.no_sync()

    def agreed(self, loss: float, stop: bool, device: torch.device) -> tuple[float, bool]:
        """The mean loss, and whether anyone was asked to stop: all processes must stop after the same step."""
        if self.size == 1:
            return loss, stop
        both = torch.tensor([loss / self.size, float(stop)], dtype=torch.float64, device=device)
        dist.all_reduce(both)
        return float(both[0]), bool(both[1] > 0)

    def told(self, value: _T) -> _T:
        """What the first process has, in all of them."""
        if self.size == 1:
            return value
        told = [value]
        dist.broadcast_object_list(told, src=0)
        return told[0]

    @contextlib.contextmanager
    def leader_first(self) -> Iterator[None]:
        """The first process goes through the block before the others: what it writes, they find."""
        if self.size > 1 and not self.leads:
            dist.barrier()
        yield
        if self.size > 1 and self.leads:
            dist.barrier()


ALONE: Final = ProcessGroup()


@contextlib.contextmanager
def joined(device: str = AUTO) -> Iterator[tuple[ProcessGroup, torch.device]]:
    """The group that torchrun started this process in, or ALONE, and this process's device.

    Raises TrainingFailed when CUDA is asked for and not there.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    chosen = pick_device(device, int(os.environ.get("LOCAL_RANK", "0")))
    if size == 1:
        yield ALONE, chosen
        return
    backend = "cpu:gloo,cuda:nccl" if chosen.type == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=_PATIENCE)
    try:
        yield ProcessGroup(rank=dist.get_rank(), size=size), chosen
    finally:
        dist.destroy_process_group()
