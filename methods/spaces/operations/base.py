"""What an operation of cells is, and how one is found by its name.

A family of operations is a class in a file of its own, registered beside itself: its module, its counts, and the
channels that belong together. The file is found by its text (`methods.facts`) and imported when somebody builds or
counts such an operation; another package registers its own when it is imported.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from torch import nn

from methods.architecture import ArchitectureError
from methods.domain import shown
from methods.facts import OperationFacts, own_operations
from methods.parts.counts import Convolution
from methods.spaces.channels import ChannelMap
from methods.spaces.operation_names import KNOWN


@dataclass(frozen=True)
class Place:
    """Where an operation stands.

    Attributes:
        c_in, c_out: channels of its source and of its node.
        stride: 1 or 2.
        c_mid: channels inside of an operation that has an inner width.
        c_first: channels of the first half of a factorised reduction.
        affine: whether batch normalisations have scale and shift (they have not during a DARTS search).
        pool_norm: batch normalisation after a pool: in the DARTS supernet, and as a genotype's conventions say.
    """

    c_in: int
    c_out: int
    stride: int
    c_mid: int
    c_first: int
    affine: bool = True
    pool_norm: bool = False


@dataclass(frozen=True)
class Names:
    """Of the channel groups that an operation meets: its source's, its node's and, where it has them, those inside."""

    source: str
    node: str
    mid: str


@dataclass(frozen=True)
class Operation(ABC):
    """One operation of a family; convolutions have no bias, and the order inside is ReLU, convolution, normalisation.

    Attributes:
        kernel: height and width in pixels; 0 where it has none.
    """

    kernel: int

    @abstractmethod
    def build(self, at: Place) -> nn.Module:
        """The module: (batch, c_in, h, w) to (batch, c_out, h / stride, w / stride)."""

    @abstractmethod
    def convolutions(self, at: Place, before: int, after: int) -> list[Convolution]:
        """Its convolutions for square states of `before` pixels a side that become `after`."""

    def normalised(self, at: Place) -> int:
        """Channels of all its normalisations; of a pool, those it has where pools are normalised."""
        return at.c_out if self.convolutions(at, 1, 1) else 0

    @abstractmethod
    def couple(self, channels: ChannelMap, path: str, names: Names) -> None:
        """Write down which channels go together; the module that `build` gave is at `path` of `channels.network`."""


class WithoutFilters(Operation):
    """An operation that carries its source's channels into the node; what normalises them is its module's second."""

    def convolutions(self, at: Place, before: int, after: int) -> list[Convolution]:
        return []

    def couple(self, channels: ChannelMap, path: str, names: Names) -> None:
        channels.couple(names.source, names.node)
        if isinstance(channels.network.get_submodule(path), nn.Sequential):
            channels.norm(f"{path}.1", names.node)


_families: dict[str, type[Operation]] = {}

O = TypeVar("O", bound=type[Operation])  # noqa: E741


def register_operation(
    family: str,
    kernels: Mapping[str, int],
    *,
    keeps_width_at: tuple[int, ...] = (),
    inner_width: bool = False,
    pool: bool = False,
    multiple: int = 1,
) -> Callable[[O], O]:
    """Make a class the operations named in `kernels`. All arguments are literals: they are read without an import.

    Args:
        family: its name.
        kernels: the kernel of each operation, by name.
        keeps_width_at, inner_width, pool, multiple: as of `methods.facts.OperationFacts`.

    Raises:
        ArchitectureError: another class has one of these names already.
    """

    def add(cls: O) -> O:
        for name, kernel in kernels.items():
            facts = OperationFacts(family, kernel, cls.__module__, keeps_width_at, inner_width, pool, multiple)
            known = own_operations().get(name) or KNOWN.registered.get(name, facts)
            if (known.module, known.family) != (facts.module, family):
                raise ArchitectureError(f"two operations are called '{name}': {known.module} and {cls.__module__}")
            KNOWN.registered[name] = facts
        _families[family] = cls
        return cls

    return add


def get_operation(name: str) -> Operation:
    """The operation called `name`; of ours, only its family's file is imported.

    Raises:
        ArchitectureError: there is none.
    """
    if name not in KNOWN:
        raise ArchitectureError(f"unknown operation {shown(name)}; known: {', '.join(KNOWN)}")
    facts = KNOWN[name]
    if facts.family not in _families:
        importlib.import_module(facts.module)
    return _families[facts.family](facts.kernel)
