"""What one decision leaves open, run by its gates: the chosen option alone, or all of them.

A single path needs the memory of one option, however many there are. Where the gates of other options are to have a
gradient of their own (dL/dg_o = <dL/dy, o(x)>), these options are computed in the backward pass, one after the other,
and nothing of them is kept: the recomputing variant of Cai et al., ICLR 2019, section 3.2 (released code, 'full_v2').
Their outputs reach neither the result nor the input's gradient nor their weights'.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from methods.parts.executors.recompute import discarded_statistics
from methods.parts.gates import Gates, Options


class Choice(nn.Module):
    """The options of one decision, a module each, in the order of the gates' columns.

    `options[o]` maps the decision's input to its outcome; all give the same shape. Which of them run is decided on the
    host (`Gates.chosen`), so a step cannot be recorded; options that did not run have no gradient (None).
    """

    branches_on_host: ClassVar[bool] = True

    def __init__(self, options: Iterable[nn.Module]) -> None:
        super().__init__()
        self.options = nn.ModuleList(options)

    def forward(self, x: Tensor, gates: Gates, row: int) -> Tensor:
        """The decision's outcome by row `row` of the gates."""
        gate = gates.options[row] * gates.weights[row]
        if gates.chosen is None:
            return cast(Tensor, sum(gate[column] * option(x) for column, option in enumerate(self.options)))
        chosen = gates.chosen[row]
        y = self.options[chosen](x)
        if gates.compared and gates.compared[row] and gate.requires_grad and torch.is_grad_enabled():
            return _Compared.apply(gate, y, x.detach(), chosen, gates.compared[row], self._alone)
        return gate[chosen] * y

    @torch.no_grad()
    def _alone(self, column: int, x: Tensor) -> Tensor:
        """An option's output, and no trace of it: what it adds to running statistics is thrown away."""
        option = self.options[column]
        with discarded_statistics(option):
            return option(x)


class _Compared(torch.autograd.Function):
    """`gate[chosen] * y`, with the gradients of the compared options' gates."""

    @staticmethod
    def forward(
        ctx: Any, gate: Tensor, y: Tensor, x: Tensor, chosen: int, compared: Options, run: Callable[..., Tensor]
    ) -> Tensor:
        ctx.save_for_backward(gate, y, x)
        ctx.chosen, ctx.compared, ctx.run = chosen, compared, run
        ctx.precision = _precision(x.device.type)
        return gate[chosen] * y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        gate, y, x = ctx.saved_tensors
        by_gate = torch.zeros_like(gate)
        by_gate[ctx.chosen] = _dot(gradient, y)
        for column in ctx.compared:
            with ctx.precision():
                other = ctx.run(column, x)
            by_gate[column] = _dot(gradient, other)
        return by_gate, gradient * gate[ctx.chosen], None, None, None, None


def _dot(gradient: Tensor, output: Tensor) -> Tensor:
    return (gradient * output).sum(dtype=torch.promote_types(gradient.dtype, torch.float32))


def _precision(device: str) -> Callable[[], AbstractContextManager[Any]]:
    """The precision of now, for a backward pass that may run in another thread."""
    enabled, dtype = torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)
    return lambda: torch.autocast(device, dtype=dtype, enabled=enabled, cache_enabled=False)
