"""What searches share that train one set of weights for many widths: the step, its schedule, the choice among networks.

In a step the largest network learns from the labels and the narrower ones from what it says (in-place distillation),
each at its own forward and backward pass; their gradients are added up, and SGD takes one step. Running statistics of
normalisations belong to no network: they are taken anew before any of them is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.architecture import Architecture
from methods.base import (
    Batch,
    MethodError,
    Score,
    SearchContext,
    SearchSplit,
    SharedWeights,
    gradients_of,
    of_this_search,
)
from methods.domain import check, within
from methods.parts.bilevel import loss_and_sums
from methods.parts.counts import NetworkCounts
from methods.parts.distillation import distance
from methods.parts.query_table import Member, query_table
from methods.parts.samplers.sandwich import Options, Sandwich
from methods.parts.schedule import cosine, linear
from methods.spaces import NetworkSettings, get_space
from methods.spaces.elastic import ElasticNetwork
from methods.spaces.width_space import WidthSpace, elastic_of


@dataclass(frozen=True)
class SlimmableOptions:
    """Attributes:
    space: one of widths.
    lr, lr_end, schedule: SGD's learning rate, from step to step. There is no weight decay on normalisations, biases
        and depthwise convolutions.
    drawn: networks of a step beside the largest and the smallest.
    least: the smallest width, as a share of the largest; the nearest options of the space are taken.
    distillation: narrower networks learn from the largest; otherwise from the labels.
    recalibration_batches: see `SharedWeights`.
    """

    space: str = "chain_s_widths"
    epochs: int = field(default=200, metadata=within("[1, 100000]"))
    batch_size: int = field(default=128, metadata=within("[2, 1000000]"))
    lr: float = field(default=0.1, metadata=within("(0, inf)"))
    lr_end: float = field(default=0.0, metadata=within("[0, inf)"))
    schedule: Literal["cosine", "linear"] = "cosine"
    momentum: float = field(default=0.9, metadata=within("[0, 1)"))
    nesterov: bool = True
    weight_decay: float = field(default=5e-4, metadata=within("[0, inf)"))
    drawn: int = field(default=2, metadata=within("[0, 100]"))
    least: float = field(default=0.25, metadata=within("(0, 1]"))
    distillation: bool = True
    recalibration_batches: int = field(default=9, metadata=within("[1, 100000]"))

    def __post_init__(self) -> None:
        check(self)
        if not isinstance(get_space(self.space), WidthSpace):
            raise MethodError(
                f"space={self.space!r} has no widths to choose; take chain_s_widths, chain_xs_widths or resnet_widths"
            )
        if self.nesterov and not self.momentum:
            raise MethodError("nesterov=true needs a momentum above zero")


class SlimmableSearch(SharedWeights):
    """Trains an elastic network by the sandwich rule; a subclass says what is drawn, and may say how is chosen."""

    options: Any
    supernet: ElasticNetwork
    split = SearchSplit(train=0.9, valid=0.1, paired=False)

    def __init__(self, options: SlimmableOptions, context: SearchContext) -> None:
        self.options, self.context = options, context
        self.epochs, self.batch_size = options.epochs, options.batch_size
        self.recalibration_batches = options.recalibration_batches
        self.settings = NetworkSettings(stem=context.stem, in_channels=context.in_channels)
        self.supernet = elastic_of(options.space, context.num_classes, self.settings)
        self.generator = torch.Generator().manual_seed(context.seed)
        self.sandwich = self.sampler(self.generator)
        self.optimiser = torch.optim.SGD(
            decayed(self.supernet, options.weight_decay), options.lr, options.momentum, nesterov=options.nesterov
        )
        self.taken, self.steps, self.epoch = 0, 1, 0
        self.distances, self.distilled = torch.zeros(()), 0
        self.scored: list[Member] = []

    def sampler(self, generator: torch.Generator) -> Sandwich:
        """By `self.options`."""
        return Sandwich(self.supernet.choices, generator, self.options.drawn, self.options.least)

    def to(self, device: torch.device) -> None:
        super().to(device)
        self.distances = self.distances.to(device)

    def begin(self, steps: int) -> None:
        self.steps = steps

    def on_epoch_start(self, epoch: int) -> bool:
        self.epoch = epoch
        return False

    def step(self, train_batch: Batch, valid_batch: Batch | None) -> dict[str, Tensor]:
        """The largest network's sums."""
        largest, *others = self.sandwich()
        self.optimiser.zero_grad(set_to_none=True)
        loss, sums, teacher = self.plain(train_batch, largest)
        loss.backward()
        for options in others:
            self.narrow_loss(train_batch, options, teacher).backward()
        self.average(gradients_of(self.supernet.parameters()))
        for group in self.optimiser.param_groups:
            group["lr"] = self.lr()
        self.optimiser.step()
        self.taken += 1
        return sums

    def plain(self, batch: Batch, options: Options) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """Cross entropy of a network, its sums, and its logits without gradient."""
        logits = self.supernet(batch[0], options)
        return (*loss_and_sums(lambda _: logits, batch), logits.detach())

    def narrow_loss(self, batch: Batch, options: Options, teacher: Tensor) -> Tensor:
        """What a narrower network learns by."""
        logits = self.supernet(batch[0], options)
        if not self.options.distillation:
            return F.cross_entropy(logits, batch[1])
        loss = distance(logits, teacher)
        self.distances += loss.detach()
        self.distilled += 1
        return loss

    def lr(self) -> float:
        """Of the next step."""
        o, total = self.options, self.options.epochs * self.steps
        taken = min(self.taken, total)
        if o.schedule == "linear":
            return linear(taken, total + 1, o.lr, o.lr_end)
        return cosine(taken, total, o.lr, o.lr_end)

    def on_epoch_end(self, epoch: int, evaluate: Callable[[], dict[str, float]] | None = None) -> dict[str, Any]:
        """How far narrower networks were from the largest. None is evaluated: running statistics belong to none."""
        mean = float(self.distances) / max(1, self.distilled)
        self.distances.zero_()
        self.distilled = 0
        return {"slimmable/distance": mean}

    def choose(self, score: Score) -> None:
        """Score every network of one width, at every resolution."""
        self.scored = [self.member(options, score) for options in self.sandwich.grid()]

    def member(self, options: Options, score: Score) -> Member:
        """A network with its counts and what it does on the validation part."""
        architecture = self.supernet.architecture(options)
        found, counts = score(architecture), self.counts(architecture)
        chosen = {each.name: each.values[options[each.name]] for each in self.supernet.choices}
        return Member(architecture, chosen, counts.macs, counts.params, found["accuracy"], found["loss"])

    def counts(self, architecture: Architecture) -> NetworkCounts:
        """Of the network by itself."""
        context, space = self.context, get_space(architecture.space)
        return space.counts(architecture, context.num_classes, self.settings, context.image_size)

    def largest(self) -> Mapping[str, int]:
        counts = self.counts(self.supernet.architecture(self.sandwich.largest))
        return {"params": counts.params, "macs": counts.macs}

    def table(self) -> Sequence[Member]:
        return query_table(self.scored)

    def members(self) -> Sequence[Member]:
        """The query table's."""
        return self.table()[::-1]

    def architecture(self) -> Architecture:
        """The most accurate on the validation part; before the choice the largest."""
        return self.table()[-1].architecture if self.scored else self.supernet.architecture(self.sandwich.largest)

    def weights_of(self, architecture: Architecture) -> Mapping[str, Tensor]:
        space = get_space(architecture.space)
        names = [decision.name for decision in space.decisions()]
        return self.supernet.weights_of(dict(zip(names, space.encode(architecture), strict=True)))

    def provenance(self) -> dict[str, Any]:
        return {"method": self.name, "options": asdict(self.options), "seed": self.context.seed, "epoch": self.epoch}

    def state_dict(self) -> dict[str, Any]:
        return {
            "supernet": self.supernet.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "generator": self.generator.get_state(),
            "taken": self.taken,
            "distances": self.distances,
            "distilled": self.distilled,
            "epoch": self.epoch,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Raises MethodError when the state is of another search."""
        with of_this_search(self.name):
            self.supernet.load_state_dict(state["supernet"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.generator.set_state(state["generator"].cpu())
            self.distances.copy_(state["distances"])
            self.taken, self.distilled, self.epoch = state["taken"], state["distilled"], state["epoch"]


def decayed(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameters with weight decay (of dense convolutions and linear layers), and those without.

    As in the released code of slimmable networks (JiahuiYu/slimmable_networks).
    """

    def decays(weight: nn.Parameter) -> bool:
        return weight.ndim == 2 or (weight.ndim == 4 and weight.shape[1] > 1)

    groups = [[each for each in network.parameters() if decays(each) == wanted] for wanted in (True, False)]
    return [{"params": group, "weight_decay": decay} for group, decay in zip(groups, (weight_decay, 0.0), strict=True)]
