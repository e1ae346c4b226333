"""One training of a design's network on a task of graphs, as GraphGym trains: cross entropy, cosine, last epoch."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from bench.data.graphs.typed import GraphData
from bench.seeds import seed_everything
from methods.spaces.graphgym.design import Design
from methods.spaces.graphgym.network import GraphGymNetwork
from methods.tasks import CLASSIFICATION

WEIGHT_DECAY, MOMENTUM = 5e-4, 0.9
"""As released, for both optimisers and for SGD."""
EVALUATED_AT_ONCE = 64


def train_design(
    design: Design, width: int, data: GraphData, epochs: int, seeds: Mapping[str, int], device: torch.device
) -> dict[str, Any]:
    """Train and evaluate.

    Args:
        seeds: "split" divides nodes or graphs, "network" draws weights and dropout, "order" shuffles.

    Returns:
        "params"; "loss", "accuracy" in percent of what was not trained on, after the last epoch; "trained_accuracy" of
        the last epoch's batches; "seconds".
    """
    began = time.monotonic()
    trained, held = data.divided(seeds["split"])
    seed_everything(seeds["network"])
    network = GraphGymNetwork(design, width, data.features, data.classes, data.task.level == "graph").to(device)
    optimizer = _optimizer(design, network)
    loader = _loader(trained, design.batch_size, torch.Generator().manual_seed(seeds["order"]))
    values: dict[str, float] = {}
    for epoch in range(epochs):
        for group in optimizer.param_groups:
            group["lr"] = design.lr * (1 + math.cos(math.pi * epoch / epochs)) / 2
        values = _epoch(network, loader, device, optimizer)
    found = evaluate(network, held, device)
    return {
        "params": sum(parameter.numel() for parameter in network.parameters()),
        **found,
        "trained_accuracy": values["accuracy"],
        "seconds": time.monotonic() - began,
    }


def _optimizer(design: Design, network: nn.Module) -> torch.optim.Optimizer:
    parameters = network.parameters()
    if design.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=design.lr, weight_decay=WEIGHT_DECAY)
    return torch.optim.SGD(parameters, lr=design.lr, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)


def _loader(graphs: list[Any], batch_size: int, generator: torch.Generator | None) -> Any:
    """PyTorch Geometric's; shuffled where there is a generator. A last batch of one graph is left out, since a batch
    normalisation behind the read-out takes two."""
    from torch_geometric.loader import DataLoader

    alone = generator is not None and len(graphs) > batch_size and len(graphs) % batch_size == 1
    return DataLoader(graphs, batch_size, shuffle=generator is not None, generator=generator, drop_last=alone)


def _epoch(
    network: nn.Module, loader: Any, device: torch.device, optimizer: torch.optim.Optimizer | None
) -> dict[str, float]:
    """One pass over the batches, with updates where there is an optimiser; mean loss, and accuracy in percent."""
    sums: dict[str, float] = {}
    network.train(optimizer is not None)
    for batch in loader:
        batch = batch.to(device)
        outputs, targets = _chosen(network(batch), batch)
        loss = CLASSIFICATION.loss(outputs, targets)
        if optimizer is not None:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        of_batch = CLASSIFICATION.sums(outputs.detach(), targets, loss.detach())
        sums = {name: sums.get(name, 0.0) + float(value) for name, value in of_batch.items()}
    return CLASSIFICATION.values(sums)


def _chosen(outputs: Tensor, batch: Any) -> tuple[Tensor, Tensor]:
    """What is told of the nodes or graphs that count, and what is true of them."""
    return outputs[batch.chosen], batch.y[batch.chosen]


@torch.no_grad()
def evaluate(network: nn.Module, graphs: list[Any], device: torch.device) -> dict[str, float]:
    """Mean loss, and accuracy in percent."""
    return _epoch(network, _loader(graphs, EVALUATED_AT_ONCE, None), device, None)
