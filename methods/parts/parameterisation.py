"""Parameterisations: the trainable architecture parameters of a searched cell, and the logits they stand for."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from methods.parts.gates import Gates, Logits, Sampler, soft
from methods.parts.topology import Topology


class Parameterisation(nn.Module, ABC):
    """Architecture parameters and what they mean.

    Args:
        sampler: from logits to the gates of one forward pass.
    """

    def __init__(self, sampler: Sampler = soft) -> None:
        super().__init__()
        self.sampler = sampler

    @abstractmethod
    def logits(self, kind: str) -> Logits:
        """Of the cells of one kind."""

    def gates(self, kind: str) -> Gates:
        """Of the cells of one kind, for one forward pass; where the sampler draws, another time others."""
        return self.sampler(self.logits(kind))


class Softmax(Parameterisation):
    """One logit alpha for each candidate of every edge, for each kind of cell (Liu et al., ICLR 2019, section 2.2).

    Parameters start as `1e-3 * N(0, 1)` (released code).
    """

    absent: Tensor

    def __init__(self, topology: Topology, sampler: Sampler = soft) -> None:
        super().__init__(sampler)
        kinds, shape = topology.kinds, topology.shape[1:]
        self.alpha = nn.ParameterDict({kind: nn.Parameter(1e-3 * torch.randn(shape)) for kind in kinds})
        self.all_there = not topology.absent
        absent = torch.zeros(shape, dtype=torch.bool)
        for place in topology.absent:
            absent[place] = True
        self.register_buffer("absent", absent, persistent=False)

    def options(self, kind: str) -> Tensor:
        """Alpha, and minus infinity for every candidate that a decision does not have."""
        alpha = self.alpha[kind]
        return alpha if self.all_there else alpha.masked_fill(self.absent, -torch.inf)

    def logits(self, kind: str) -> Logits:
        """With edges that all weigh one."""
        options = self.options(kind)
        return Logits(options, torch.ones_like(options[:, 0]))


class EdgeNormalisedSoftmax(Softmax):
    """Softmax over candidates, and softmax over the edges entering a node (Xu et al., ICLR 2020, section 3.4).

    Adds one beta for each edge; a node's edges sum to one.
    """

    enters: Tensor

    def __init__(self, topology: Topology, sampler: Sampler = soft) -> None:
        super().__init__(topology, sampler)
        edges = topology.edges
        self.beta = nn.ParameterDict({kind: nn.Parameter(1e-3 * torch.randn(len(edges))) for kind in topology.kinds})
        nodes = torch.tensor(topology.node_numbers)
        ends = torch.tensor([node for _, node in edges])
        self.register_buffer("enters", nodes[:, None] == ends, persistent=False)

    def logits(self, kind: str) -> Logits:
        by_node = self.beta[kind].expand_as(self.enters).masked_fill(~self.enters, -torch.inf)
        return Logits(self.options(kind), by_node.softmax(dim=-1).sum(dim=0))


def softmax(topology: Topology, edge_normalisation: bool) -> Softmax:
    """`Softmax`, with normalised edges if so asked."""
    return (EdgeNormalisedSoftmax if edge_normalisation else Softmax)(topology)
