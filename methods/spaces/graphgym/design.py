"""The twelve dimensions of GraphGym's design space, and a point in it. No torch.

You, Ying and Leskovec, Design Space for Graph Neural Networks, NeurIPS 2020 (arXiv 2011.08843), table 1 and section 3:
four of the layer, four of how layers are put together, four of the training. 314,928 designs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from methods.architecture import ArchitectureError
from methods.domain import shown

DIMENSIONS: Mapping[str, Sequence[Any]] = {
    "batch_norm": (True, False),
    "dropout": (0.0, 0.3, 0.6),
    "activation": ("relu", "prelu", "swish"),
    "aggregation": ("mean", "max", "sum"),
    "connectivity": ("stack", "skip-sum", "skip-cat"),
    "pre_layers": (1, 2, 3),
    "message_layers": (2, 4, 6, 8),
    "post_layers": (1, 2, 3),
    "batch_size": (16, 32, 64),
    "lr": (0.1, 0.01, 0.001),
    "optimizer": ("adam", "sgd"),
    "epochs": (100, 200, 400),
}
"""The options of every dimension, in the paper's order."""
TRAINING = ("batch_size", "lr", "optimizer", "epochs")
"""The dimensions that say how a network is trained and not what it is."""
ORDERED = ("dropout", "pre_layers", "message_layers", "post_layers", "batch_size", "lr", "epochs")
DESIGNS = math.prod(map(len, DIMENSIONS.values()))


@dataclass(frozen=True)
class Design:
    """A point of the space, one option of each dimension.

    Attributes:
        message_layers: of message passing, between `pre_layers` and `post_layers` of a multi-layer perceptron.
        connectivity: of the message passing layers: "skip-sum" adds the input of each, "skip-cat" concatenates it.
        batch_size: graphs in one update.
        epochs: as published; a reduced profile divides them.
    """

    batch_norm: bool
    dropout: float
    activation: str
    aggregation: str
    connectivity: str
    pre_layers: int
    message_layers: int
    post_layers: int
    batch_size: int
    lr: float
    optimizer: str
    epochs: int

    def __post_init__(self) -> None:
        for name, options in DIMENSIONS.items():
            value = getattr(self, name)
            if not any(value == option and type(value) is type(option) for option in options):
                raise ArchitectureError(f"{name} is {shown(value)}; it is one of {', '.join(map(str, options))}")


def read_design(genotype: Mapping[str, Any]) -> Design:
    """The design that a genotype says.

    Raises:
        ArchitectureError: a dimension that is missing or unknown, or an option that it does not have.
    """
    names = [field.name for field in fields(Design)]
    for key in genotype:
        if key not in names:
            raise ArchitectureError(f"unknown dimension {shown(key)} of a design. Known: {', '.join(names)}")
    for name in names:
        if name not in genotype:
            raise ArchitectureError(f"a design says nothing of its {name}; it has all of {', '.join(names)}")
    return Design(**genotype)


REFERENCE = Design(True, 0.0, "relu", "sum", "stack", 1, 2, 1, 32, 0.01, "adam", 100)
"""The network whose size is every other one's budget: one layer, two of message passing, one layer, stacked.

GraphGym's released base configuration (design_v1), whose batch of 128 graphs is none of the space's.
"""
