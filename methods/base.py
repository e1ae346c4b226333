"""What a method is. Three kinds, one kind of answer: every method ends in an `Architecture`.

A method never opens files, never sees the test set and never talks to a tracker: `bench` owns those. Its options are
a dataclass, so that an experiment file can be checked before anything runs; its parameters are created from torch's
global generator, which the harness seeds from the search seed before construction.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from methods.architecture import Architecture
from methods.domain import MethodError as MethodError
from methods.facts import Facts
from methods.parts.costs.protocol import Heeded
from methods.parts.query_table import Member
from methods.parts.watched import USUAL
from methods.spaces.base import NetworkSettings, SizeMatch
from methods.spaces.listed import ListedSpace
from methods.tasks import CLASSIFICATION, Task
from methods.watched import Watched

Batch = tuple[Tensor, Tensor]
"""Images, float, (batch, channels, height, width), normalised; and labels, int64, (batch,)."""


@dataclass(frozen=True)
class Start:
    """What another row gives to one that starts from it.

    Attributes:
        architecture: what that row found, or was given.
        settings: by which its network is built, without an auxiliary head.
        weights: the state dict of that network, trained; None where the method starts from the architecture alone.
        family: all that row's architectures, where it has several and selects none of them.
    """

    architecture: Architecture
    settings: NetworkSettings
    weights: Mapping[str, Tensor] | None = None
    family: Sequence[Architecture] = ()

    @property
    def found(self) -> Sequence[Architecture]:
        """All that there is to start from, the row's answer first, each once."""
        return [self.architecture, *(member for member in self.family if member != self.architecture)]


@dataclass(frozen=True)
class SearchContext:
    """What a method is told about the task.

    Attributes:
        num_classes: outputs of a network's head: the classes of a data set, the values of a pixel.
        in_channels: image channels.
        image_size: height and width in pixels.
        stem: "cifar" or "imagenet".
        seed: the search seed, for generators a method owns (weights come from torch's global generator).
        match: the size that proposals are to have, for a method that `draws_at_size`.
        cost: what a gradient search that `takes_cost` is to heed beside the task.
        within: for a sampling search, some of the codes of its space, which are all that it may propose.
        slowdown: for a transform, (network, other) -> the first one's time over the other's on the device they are on.
        start: of another row, for a search that does not start from nothing (`Method.starts_from`).
        task: what networks are for; whose loss is lowered and whose metric is measured.
    """

    num_classes: int
    in_channels: int = 3
    image_size: int = 32
    stem: str = "cifar"
    seed: int = 0
    match: SizeMatch | None = None
    cost: Heeded | None = None
    within: ListedSpace | None = None
    slowdown: Callable[[nn.Module, nn.Module], float] | None = None
    start: Start | None = None
    task: Task = CLASSIFICATION


@dataclass(frozen=True)
class SearchSplit:
    """How the training set is divided for a search; fractions of the training images, in (0, 1].

    `train + valid <= 1`. Bilevel methods draw a `train` and a `valid` batch for every step (`paired`); one-level
    methods draw only `train` and keep `valid` for choosing between their own snapshots.
    """

    train: float = 0.5
    valid: float = 0.5
    paired: bool = True


class Method(ABC):
    """Common to the three kinds."""

    name: ClassVar[str] = ""
    facts: ClassVar[Facts] = Facts("")
    starts_from: ClassVar[Literal["nothing", "architecture", "network"]] = "nothing"
    """Of a search: what it needs of another row (`SearchContext.start`), which its own row names with `of`: the
    architecture, or the architecture and the trained weights. A transform has its network through `apply`."""
    may_start_from: ClassVar[bool] = False
    """Of a search that starts from nothing: whether its row may name another one, whose architecture it then has."""
    Options: ClassVar[type]

    def provenance(self) -> dict[str, Any]:
        """What the architecture should remember of how it was found (JSON values)."""
        return {"method": self.name}


Average = Callable[[Sequence[Tensor]], None]
"""Replaces tensors by their averages over the processes that share a search, in place."""


@contextmanager
def of_this_search(name: str) -> Iterator[None]:
    """Where a state is loaded. Raises MethodError for one that is of another supernet, or of other options."""
    try:
        yield
    except (KeyError, RuntimeError, ValueError) as error:
        raise MethodError(f"this state does not belong to {name} with these options: {error}") from None


def gradients_of(parameters: Iterable[nn.Parameter]) -> list[Tensor]:
    """Of those that have one."""
    return [parameter.grad for parameter in parameters if parameter.grad is not None]


def alone(tensors: Sequence[Tensor]) -> None:
    """The average over one process: nothing to do."""


class GradientSearch(Method):
    """A method that trains a supernet. `bench.run.search` owns the loop; the method owns everything in a step.

    Attributes a subclass sets in `__init__` (`split` on the class, too: whether it is paired is known before that):
        supernet: everything trainable, architecture parameters included, as real `nn.Parameter`s.
        epochs: upper bound of epochs; the loop ends earlier when `finished` becomes True.
        batch_size: images of one training batch (and one validation batch where the split is paired).
        split: see `SearchSplit`.
        augmentation: name of the training augmentation, e.g. "crop-flip" or "crop-flip-autoaugment-cutout".

    `watched`: the figures that a report draws of what `on_epoch_end` returns; set by the registration that names them.
    """

    watched: ClassVar[tuple[Watched, ...]] = USUAL
    takes_cost: ClassVar[bool] = False
    """Whether it heeds `SearchContext.cost`."""
    gives_weights: ClassVar[bool] = False
    """Whether `inherited` gives weights: its row then has a line that is fine-tuned from them, as a transform's has."""

    @classmethod
    def unmeasured(cls, options: Any) -> str:
        """Why networks drawn from its space do not stand for those of these options, so that no latency of theirs can
        be predicted; empty where they do."""
        return ""

    supernet: nn.Module
    epochs: int
    batch_size: int
    split: SearchSplit
    augmentation: str = "crop-flip"
    average: Average = staticmethod(alone)
    """Set by the engine when several processes share a search. Every gradient that a step computes from this process's
    share of a batch, and every number that decides something, goes through it."""

    @abstractmethod
    def __init__(self, options: Any, context: SearchContext) -> None: ...

    @classmethod
    def split_of(cls, options: Any) -> SearchSplit:
        """The split of a search with these options, before there is one."""
        return cls.split

    @classmethod
    def augmentation_of(cls, options: Any) -> str:
        """The training augmentation of a search with these options, before there is one."""
        return cls.augmentation

    @abstractmethod
    def step(self, train_batch: Batch, valid_batch: Batch | None) -> dict[str, Tensor]:
        """One update of everything this method updates. Device work only: no `.item()`, no host branch on values,
        unless a module of the supernet says that it `branches_on_host` (`methods.parts.executors.protocol`).

        Returns sums over the batch, as 0-d tensors on the device: those of the task (`Task.sums`); with a paired split
        also those of the validation batch, with `valid_` before their names, in steps that use it.
        """

    def begin(self, steps: int) -> None:
        """Called once, on the device and before a saved state is loaded: an epoch will have so many steps."""

    def on_epoch_start(self, epoch: int) -> bool:
        """Schedules; returns True when the supernet's topology or parameter set changed since the last step."""
        return False

    def on_epoch_end(self, epoch: int, evaluate: Callable[[], dict[str, float]] | None = None) -> dict[str, Any]:
        """Commits, stage changes. Returns values to be logged for this epoch (numbers, or lists of numbers).

        `evaluate` computes loss and metric of the present supernet on the `valid` part of the split.
        """
        return {}

    @property
    def finished(self) -> bool:
        """True when the method wants no further epoch."""
        return False

    @abstractmethod
    def architecture(self) -> Architecture:
        """The discrete architecture the present parameters stand for."""

    def inherited(self) -> Mapping[str, Tensor] | None:
        """The state dict of the network of `architecture`, with the weights that it inherits; None for none."""
        return None

    def ending(self) -> dict[str, Any]:
        """What the result says of how the search ended, beside its last epoch (JSON values)."""
        return {}

    def family(self) -> list[Architecture]:
        """For a method that gives several sizes: one architecture a size. An experiment's row selects from it."""
        return []

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """All state that a continued search needs: parameters, optimisers, schedules, own generators."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore `state_dict`'s answer into a freshly constructed method, topology changes included."""

    def enter_longest_step(self) -> None:
        """For an estimate, on a method that is thrown away: from now on `step` takes as long as it ever will."""

    def to(self, device: torch.device) -> None:
        """Move to a device; called once, before the first step and before `load_state_dict`."""
        self.supernet.to(device)


Score = Callable[[Architecture], Mapping[str, float]]
"""What a network does on the validation part: "loss" and the task's metric by its key."""


class SharedWeights(GradientSearch):
    """A gradient search whose product is a set of networks on one set of weights.

    Attributes:
        context: what it was made with.
        recalibration_batches: batches of `batch_size` images of search-train, not augmented, from which the statistics
            of a network's normalisations are taken anew, before it is scored and wherever it is used as it is.
    """

    context: SearchContext
    recalibration_batches: int

    @abstractmethod
    def choose(self, score: Score) -> None:
        """After the last epoch: try networks on the weights and keep what `family`, `table` and `architecture` give.

        What is asked for follows from the weights, the options and the scores alone: a continued search asks once more,
        and is answered from what was kept.

        Args:
            score: builds the network by itself, takes its statistics anew and evaluates it on the `valid` part.
        """

    @abstractmethod
    def weights_of(self, architecture: Architecture) -> Mapping[str, Tensor]:
        """The state dict of the network of one of the architectures, on the present weights."""

    @abstractmethod
    def table(self) -> Sequence[Member]:
        """The query table, by rising cost: after `choose`."""

    @abstractmethod
    def members(self) -> Sequence[Member]:
        """Those of `family`, the most expensive first: after `choose`."""

    @abstractmethod
    def largest(self) -> Mapping[str, int]:
        """`params` and `macs` of the largest network on the weights, which need not be worth taking."""

    def family(self) -> list[Architecture]:
        return [member.architecture for member in self.members()]


class SamplingSearch(Method):
    """A method that proposes architectures and is told how they did (random sampling, evolution, predictors).

    What `ask` returns follows from the options, the seed and the scores told before, in their order, and from nothing
    else: a continued search is a new method that is asked and told once more. `ask` may be called for several
    proposals before the first of them is told.

    Attributes a subclass sets in `__init__`:
        samples: proposals that a search makes, each scored once: its budget in evaluations.
    """

    samples: int
    shrinks: ClassVar[bool] = False
    """Whether it leaves a list of architectures (`listed`) that another row's search can keep to."""
    draws_at_size: ClassVar[bool] = False
    """Whether it can keep to the size of another row's architecture (`SearchContext.match`), in a space that can."""
    anytime: ClassVar[bool] = False
    """Whether no proposal depends on `samples`: the first n of a longer search are then the search of n, and one search
    answers for every smaller budget. `architecture` can be asked for after any `tell` and changes nothing."""

    @abstractmethod
    def __init__(self, options: Any, context: SearchContext) -> None: ...

    @property
    def needs_scores(self) -> bool:
        """Whether `tell` is called at all. A method that wants one sample has nothing to choose between."""
        return self.samples > 1

    @abstractmethod
    def ask(self) -> Architecture:
        """The next architecture to try."""

    def tell(self, architecture: Architecture, score: float) -> None:
        """The validation score of an architecture that `ask` returned; higher is better."""

    @abstractmethod
    def architecture(self) -> Architecture:
        """The method's choice after `samples` proposals."""

    def family(self) -> list[Architecture]:
        """For a search that gives several networks, as a front: an experiment's row selects from them."""
        return []

    def findings(self) -> dict[str, Any]:
        """What the search found out beside its answer, by what it is called: numbers, or lists of numbers and None."""
        return {}


@dataclass(frozen=True)
class Transformed:
    """What a transform returns: the other architecture, and the state dict of its network with inherited weights."""

    architecture: Architecture
    weights: Mapping[str, Tensor]
    report: Mapping[str, Any]
    """Asked and achieved ratios and whatever else should stand in the result (JSON values)."""


class Transform(Method):
    """A method that makes a trained network smaller (fixed-ratio pruning, network adaptation), or larger.

    `enlarges`: which of the two; one that enlarges takes no size from another row.
    """

    enlarges: ClassVar[bool] = False

    @abstractmethod
    def __init__(self, options: Any, context: SearchContext) -> None: ...

    def training_penalty(self, network: nn.Module) -> Tensor | None:
        """An extra loss while the dense network is trained (network slimming's L1 on BN scales), or None."""
        return None

    @classmethod
    def penalty_options(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options that decide `training_penalty`: two rows that agree in them share the dense training."""
        return {}

    @abstractmethod
    def apply(self, architecture: Architecture, network: nn.Module, match: Mapping[str, float] | None) -> Transformed:
        """Change `network`, the trained module built from `architecture`, which itself is left as it is.

        Args:
            match: `{"on": count name, "value": number}` when the size of another run's result is asked for instead
                of the ratio in the options.
        """
