"""MSG-DAS: K paths that exclude each other, trained together under their supernet (arXiv 2107.04324). Reconstructed.

The paper could not be read. From its abstract: a Gumbel top-K sampler that gives K exclusive single-path sub-graphs,
"Dropblock-Identity" against the dominance of skip connections, guidance of the sub-graphs by the supernet. Ours is how:

- The k-th path has of every edge the operation with the k-th largest perturbed log-probability, with the gradient of
  hard Gumbel draws over what is left; the temperature is GDAS', as are optimisers, schedule and order of the steps.
- The paths of a step are run one after the other. Gradients of weights are added up, those of architecture parameters
  averaged (as ROME, arXiv 2011.11233, is said to). The draws exclude each other: their mean is not the expectation of
  one draw's gradient and is not reweighted to be; with as many paths as operations each counts once, whatever its
  probability.
- Identities drop blocks of 3 x 3 pixels in both steps, at a rate that falls linearly to zero in the last epoch.
- Guidance: the weights' loss of a path is cross entropy + mu T^2 KL(supernet || path) of logits over T (Hinton et al.,
  arXiv 1503.02531), the supernet being the softmax mixture of all operations on the same batch, without gradient.
- Cells are derived by DARTS' rule: two different predecessors of every node.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from methods.base import Batch, MethodError, SearchContext
from methods.domain import within
from methods.gradient.alternating import Composition
from methods.gradient.path_search import Loss, Path, PathOptions, PathSearch, Sums
from methods.parts.bilevel import frozen_statistics, loss_and_sums
from methods.parts.distillation import distance
from methods.parts.executors.dropblock import dropping, identities_of, set_rate
from methods.parts.gates import Gates, Logits
from methods.parts.parameterisation import Softmax
from methods.parts.samplers.exclusive import Exclusive
from methods.parts.schedule import linear
from methods.registry import register
from methods.spaces.relaxation import Relaxation

BLOCK = 3


@dataclass(frozen=True)
class MSGDASOptions(PathOptions):
    """GDAS' settings where the paper's are not known to us.

    Attributes:
        paths: K.
        guidance, guidance_temperature: mu and T; 0 for no guidance.
        identity_drop: rate of DropBlock on identities in the first epoch; 0 for none.
    """

    epochs: int = 250
    batch_size: int = 256
    cells: int = field(default=6, metadata=within("[3, 200]"))
    weight_decay: float = 5e-4
    nesterov: bool = True
    paths: int = field(default=2, metadata=within("[1, 100]"))
    guidance: float = field(default=1.0, metadata=within("[0, inf)"))
    guidance_temperature: float = field(default=4.0, metadata=within("(0, inf)"))
    identity_drop: float = field(default=0.2, metadata=within("[0, 1)"))


@register(
    "msg_das",
    special="K paths that share no operation, guided by their supernet (reconstructed: all but the idea is ours)",
    paper="MSG-DAS, arXiv 2107.04324",
    space="darts_cell, nasbench201, chain_s, chain_xs, chain_imagenet",
    watched="methods.gradient.watched:MSG_DAS",
)
class MSGDAS(PathSearch):
    """Softmax, Gumbel top-K, single paths one after the other; see `MSGDASOptions`.

    Raises:
        MethodError: more paths than an edge has operations.
    """

    Options = MSGDASOptions
    options: MSGDASOptions
    sampler: Exclusive

    def __init__(self, options: MSGDASOptions, context: SearchContext) -> None:
        super().__init__(options, context)
        most = min(map(len, self.relaxation.topology.options))
        if options.paths > most:
            raise MethodError(f"paths={options.paths}: an edge of {options.space} has {most} operations to share out")
        self.identities = identities_of(self.supernet)

    def parts(self, relaxed: Relaxation) -> Composition:
        return Composition(
            parameterisation=Softmax(relaxed.topology),
            executor=relaxed.single_path(partial(dropping, block=BLOCK)),
        )

    def make_sampler(self, generator: torch.Generator) -> Exclusive:
        return Exclusive(generator, self.options.paths, self.options.temperature)

    def paths(self, logits: Logits) -> Sequence[Gates]:
        return self.sampler(logits)

    def on_epoch_start(self, epoch: int) -> bool:
        set_rate(self.identities, linear(epoch, self.options.epochs, self.options.identity_drop, 0.0))
        return super().on_epoch_start(epoch)

    def on_epoch_end(self, epoch: int, evaluate: Callable[[], dict[str, float]] | None = None) -> dict[str, Any]:
        rate = self.identities[0].rate if self.identities else 0.0
        return {**super().on_epoch_end(epoch, evaluate), "paths/identity_drop": rate}

    def network(self, path: Path) -> Callable[[Tensor], Tensor]:
        run = super().network(path)
        if not any(each.rate for each in self.identities):
            return run
        seeds = torch.randint(2**62, (len(self.identities),), generator=self.generator).tolist()

        def seeded(images: Tensor) -> Tensor:
            for identity, seed in zip(self.identities, seeds, strict=True):
                identity.seed = seed
            return run(images)

        return seeded

    def train_losses(self, batch: Batch, paths: Sequence[Path]) -> Sequence[Loss]:
        if not self.options.guidance:
            return super().train_losses(batch, paths)
        with torch.no_grad(), frozen_statistics(self.supernet):
            teacher = self.network(self.gates())(batch[0])
        return [partial(self._guided, self.network(path), batch, teacher) for path in paths]

    def _guided(self, network: Callable[[Tensor], Tensor], batch: Batch, teacher: Tensor) -> tuple[Tensor, Sums]:
        logits = network(batch[0])
        loss, sums = loss_and_sums(lambda _: logits, batch)
        temperature = self.options.guidance_temperature
        return loss + self.options.guidance * temperature**2 * distance(logits, teacher, temperature), sums
