"""One run on several processes: each takes its share of every batch, and together they are one process.

What is promised: the batch size is the whole batch's, split over the processes, and the learning rate is the recipe's,
not scaled; batch normalisation uses the statistics of the whole batch; gradients are averaged before clipping and the
optimiser's step; losses and accuracies are exact sums over the processes; only process 0 writes. So the run takes the
steps that one process would take, up to the order of floating-point sums. Random numbers inside the network (drop path)
come from one seed: the n-th images of two shares are dropped alike.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

TIMEOUT = timedelta(minutes=30)


class OutOfStepError(RuntimeError):
    """Processes of one run do not hold the same parameters any more."""


@dataclass(frozen=True)
class Group:
    """The processes of one run.

    Attributes:
        rank: of this process; 0 writes.
        size: number of processes.
        local_rank: among those of this node; the index of its GPU.
        control: a gloo group for decisions on the host, so that no step waits for the device.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    control: Any = None

    @property
    def alone(self) -> bool:
        return self.size == 1

    def agree(self, *wishes: bool) -> tuple[bool, ...]:
        """For each wish, whether any process has it; the same answer everywhere."""
        if self.alone:
            return wishes
        votes = torch.tensor([int(wish) for wish in wishes])
        dist.all_reduce(votes, dist.ReduceOp.MAX, group=self.control)
        return tuple(bool(vote) for vote in votes)

    def from_first(self, value: Any) -> Any:
        """Process 0's value (anything that can be pickled), everywhere."""
        if self.alone:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0, group=self.control)
        return box[0]

    def totals(self, sums: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Every sum added up over the processes, in float64."""
        if self.alone or not sums:
            return dict(sums)
        names = sorted(sums)
        stacked = torch.stack([sums[name].to(torch.float64) for name in names])
        dist.all_reduce(stacked)
        return dict(zip(names, stacked.unbind(), strict=True))

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace every gradient by its average over the processes; call it between backward and step."""
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if self.alone or not gradients:
            return
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        dist.all_reduce(flat)
        flat /= self.size
        for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def check_same(self, module: nn.Module) -> None:
        """Raises OutOfStepError when a parameter, architecture parameters included, differs from process 0's."""
        if self.alone:
            return
        different = []
        for name, parameter in module.named_parameters():
            first = parameter.detach().clone()
            dist.broadcast(first, src=0)
            if not torch.equal(first, parameter.detach()):
                different.append(name)
        if any(self.agree(bool(different))):
            names = ", ".join(different[:3]) or "some"
            raise OutOfStepError(
                f"parameters differ between the processes of this run (here: {names}): a gradient was not averaged, or "
                "a random choice was not shared. Run it on one process, and report the method's name"
            )

    def check_shares(self, batch_size: int, images: int) -> None:
        """Raises ValueError when a batch, the last one of an epoch included, cannot be shared equally."""
        last = images % batch_size
        if batch_size % self.size or last % self.size:
            raise ValueError(
                f"batches of {batch_size} images, the last one of {last or batch_size}, cannot be shared equally by "
                f"{self.size} processes, and unequal shares would weigh images unequally; use another number of "
                "processes or another batch size"
            )


ALONE = Group()


def join(device_type: str) -> Group:
    """The group that the environment names (RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT: torchrun's names).

    Args:
        device_type: "cuda" uses NCCL, "cpu" gloo.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return ALONE
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    if device_type == "cuda":
        torch.cuda.set_device(local_rank % torch.cuda.device_count())
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device_type == "cuda" else "gloo", timeout=TIMEOUT)
    return Group(dist.get_rank(), size, local_rank, dist.new_group(backend="gloo", timeout=TIMEOUT))


# -- batch normalisation over all processes


class _Average(torch.autograd.Function):
    """The average over the processes; so is its gradient, as every process's loss depends on every input."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        return _average(value)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _average(gradient)


def _average(value: Tensor) -> Tensor:
    value = value.detach().clone()
    dist.all_reduce(value)
    return value / dist.get_world_size()


class GlobalBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation with the statistics of the whole batch; works on CPU (gloo) and GPU (NCCL).

    As in torch, a training forward pass uses batch statistics, and updates the running ones if they are tracked.
    """

    @property
    def processes(self) -> int:
        return dist.get_world_size()

    @staticmethod
    def average(value: Tensor) -> Tensor:
        """The average over the processes, for code that computes the normalisation itself; no gradient."""
        return _average(value)

    def forward(self, x: Tensor) -> Tensor:
        """x: (batch, channels, h, w), this process's share; the shares have one size."""
        if not self.training:
            return super().forward(x)
        dtype = torch.promote_types(x.dtype, torch.float32)
        values = x.to(dtype)
        mean = _Average.apply(values.mean((0, 2, 3)))
        centred = values - mean.view(1, -1, 1, 1)
        variance = _Average.apply(centred.square().mean((0, 2, 3)))
        if self.track_running_stats and self.running_mean is not None:
            self._track(mean.detach(), variance.detach(), x.numel() // x.shape[1] * dist.get_world_size())
        scale = (variance + self.eps).rsqrt()
        scale = scale if self.weight is None else scale * self.weight
        y = centred * scale.view(1, -1, 1, 1)
        return (y if self.bias is None else y + self.bias.view(1, -1, 1, 1)).to(x.dtype)

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor, pixels: int) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        momentum = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), momentum)
        self.running_var.lerp_((variance * (pixels / (pixels - 1))).to(self.running_var.dtype), momentum)


def share_statistics(network: nn.Module, group: Group) -> None:
    """Let every BatchNorm2d of the network use the statistics of the whole batch, in place.

    The modules stay the same objects with the same parameters and names; only their `forward` changes. So checkpoints
    fit both ways, and whoever holds a reference keeps it.
    """
    if group.alone:
        return
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = GlobalBatchNorm2d
