"""The recomputing executor: activations are computed again in the backward pass instead of being kept.

Chen et al., 2016 (arXiv 1604.06174), with one segment for each source state: of all candidates only the state and what
had arrived before it are kept. Values, gradients and running statistics are those of the wrapped executor.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any, Literal

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from methods.parts.executors.protocol import MakeExecutor, StateExecutor
from methods.parts.gates import Gates

Memory = Literal["full", "low"]


@contextmanager
def discarded_statistics(network: nn.Module) -> Iterator[None]:
    """Batch normalisation computes as ever, but what it adds to its running statistics is thrown away."""
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    kept = [dict(norm.named_buffers(recurse=False)) for norm in norms]
    for norm, buffers in zip(norms, kept, strict=True):
        for name, buffer in buffers.items():
            setattr(norm, name, buffer.clone())
    try:
        yield
    finally:
        for norm, buffers in zip(norms, kept, strict=True):
            for name, buffer in buffers.items():
                setattr(norm, name, buffer)


class Recompute(StateExecutor[Any]):
    """All edges leaving one state, through another executor whose activations are not kept."""

    def __init__(self, channels: int, edges: int, stride: int, executor: MakeExecutor) -> None:
        super().__init__()
        self.executor = executor(channels, edges, stride)

    def forward(self, state: Tensor, gates: Gates, arrived: Any = None) -> Any:
        """As the wrapped executor's; what the second computation adds to running statistics is thrown away."""
        return checkpoint(
            self.executor,
            state,
            gates,
            arrived,
            use_reentrant=False,
            preserve_rng_state=False,  # nothing in an executor is random
            context_fn=self._contexts,
        )

    def _contexts(self) -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
        return nullcontext(), discarded_statistics(self.executor)

    def next_node(self, arrived: Any) -> tuple[Tensor, Any]:
        return self.executor.next_node(arrived)


def recomputed(executor: MakeExecutor, memory: Memory) -> MakeExecutor:
    """An executor that keeps its activations ("full"), or computes them again ("low")."""
    return partial(Recompute, executor=executor) if memory == "low" else executor
