"""One run on several processes: each takes its share of every batch, and together they are one process.

What is promised: the batch size is the whole batch's, split over the processes, and the learning rate is the recipe's,
not scaled; batch normalisation uses the statistics of the whole batch; gradients are averaged before clipping and the
optimiser's step; losses and accuracies are exact sums over the processes; only process 0 writes. So the run takes the
steps that one process would take, up to the order of floating-point sums. Random numbers inside the network (drop path)
come from one seed: the n-th images of two shares are dropped alike.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from methods.base import gradients_of

TIMEOUT = timedelta(minutes=30)


@dataclass
class _Share:
    """This process's share of the present batch: 1 where all shares have one size, see `Group.weigh`."""

    weight: float = 1.0


_share = _Share()


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

    def weigh(self, own: int, whole: int) -> None:
        """Say how many images of the next step's batch are this process's, so that every image weighs the same.

        A mean over a share counts own / whole in every average from here on: in gradients, and in the statistics of
        batch normalisations, forward and backward. Equal shares give the plain average, to the same bits.
        """
        _share.weight = own * self.size / whole

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace every tensor by its average over the processes, in place."""
        if self.alone or not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        if _share.weight != 1.0:
            flat *= _share.weight
        dist.all_reduce(flat)
        flat /= self.size
        for tensor, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Average the gradients of all parameters that have one; call it between backward and step."""
        self.average(gradients_of(parameters))

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
    if _share.weight != 1.0:
        value *= _share.weight
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
    def batch_norm(*given: Any) -> Tensor:
        """`global_batch_norm`, for code that normalises with some of the layer's channels."""
        return global_batch_norm(*given)

    @staticmethod
    def average(value: Tensor) -> Tensor:
        """The average over the processes, for code that computes the normalisation itself; no gradient."""
        return _average(value)

    def forward(self, x: Tensor) -> Tensor:
        """x: (batch, channels, h, w), this process's share (see `Group.weigh`)."""
        if not self.training:
            return super().forward(x)
        mean = variance = None
        momentum = self.momentum or 0.0
        if self.track_running_stats and self.num_batches_tracked is not None:
            mean, variance = self.running_mean, self.running_var
            self.num_batches_tracked.add_(1)
            momentum = 1 / float(self.num_batches_tracked) if self.momentum is None else momentum
        return global_batch_norm(x, mean, variance, self.weight, self.bias, True, momentum, self.eps)


def global_batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """`torch.nn.functional.batch_norm` with the statistics of the whole batch, of which `x` is this process's share."""
    if not training:
        return F.batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    values = x.to(torch.promote_types(x.dtype, torch.float32))
    mean = _Average.apply(values.mean((0, 2, 3)))
    centred = values - mean.view(1, -1, 1, 1)
    variance = _Average.apply(centred.square().mean((0, 2, 3)))
    if running_mean is not None and running_var is not None:
        pixels = x.numel() // x.shape[1] * dist.get_world_size() / _share.weight
        with torch.no_grad():
            running_mean.lerp_(mean.to(running_mean.dtype), momentum)
            running_var.lerp_((variance * (pixels / (pixels - 1))).to(running_var.dtype), momentum)
    scale = (variance + eps).rsqrt()
    scale = scale if weight is None else scale * weight
    y = centred * scale.view(1, -1, 1, 1)
    return (y if bias is None else y + bias.view(1, -1, 1, 1)).to(x.dtype)


def share_statistics(network: nn.Module, group: Group) -> None:
    """Let every batch normalisation of the network use the statistics of the whole batch, in place.

    These are every BatchNorm2d, and every module with an attribute `batch_norm`, the function that it normalises with.
    The modules stay the same objects with the same parameters and names; only their `forward` changes. So checkpoints
    fit both ways, and whoever holds a reference keeps it.
    """
    if group.alone:
        return
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = GlobalBatchNorm2d
        elif "batch_norm" in vars(module):
            vars(module)["batch_norm"] = global_batch_norm
