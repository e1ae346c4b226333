"""GraphGym's design space: its networks against a textbook of the released code, their counts, their equal sizes."""

from __future__ import annotations

import itertools
import random
from dataclasses import asdict, replace

import pytest
import torch
from torch import Tensor, nn

from methods.architecture import Architecture, ArchitectureError
from methods.spaces import NetworkSettings, build, get_space
from methods.spaces.decisions import size
from methods.spaces.graphgym import counts
from methods.spaces.graphgym.design import DESIGNS, DIMENSIONS, REFERENCE, Design, read_design
from methods.spaces.image_size import refuse_image_size

STRUCTURE = ("batch_norm", "activation", "connectivity", "pre_layers", "message_layers", "post_layers")
"""The dimensions on which the number of parameters depends."""


def drawn(number: int) -> list[Design]:
    source = random.Random(3)
    return [Design(**{name: source.choice(options) for name, options in DIMENSIONS.items()}) for _ in range(number)]


def test_there_are_as_many_designs_as_published() -> None:
    assert size(get_space("graphgym")) == DESIGNS == 314_928


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"activation": "tanh"}, "activation is 'tanh'; it is one of relu, prelu, swish"),
        ({"batch_norm": 1}, "batch_norm is 1"),
        ({"colour": "red"}, "unknown dimension 'colour' of a design"),
        ({"lr": None}, "lr is None"),
    ],
)
def test_a_design_that_is_none_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ArchitectureError, match=message):
        read_design(asdict(REFERENCE) | change)
    with pytest.raises(ArchitectureError, match="says nothing of its lr"):
        read_design({key: value for key, value in asdict(REFERENCE).items() if key != "lr"})


def test_its_networks_are_refused_where_there_are_images() -> None:
    with pytest.raises(ArchitectureError, match="networks of graphgym read graphs, and these are images"):
        refuse_image_size(get_space("graphgym").reference(), NetworkSettings(), 32)


def test_designs_are_brought_to_one_size() -> None:
    """Every answer is within the tolerance; at a base width of 64 there is one for most."""
    asked, failed = 0, 0
    for dimension in STRUCTURE:
        others = [name for name in STRUCTURE if name != dimension]
        for chosen in itertools.islice(itertools.product(*(DIMENSIONS[name] for name in others)), 0, None, 7):
            base = replace(REFERENCE, **dict(zip(others, chosen, strict=True)))
            designs = [replace(base, **{dimension: option}) for option in DIMENSIONS[dimension]]
            asked += 1
            try:
                widths = counts.match_widths(designs, 64, 10, 5)
            except ArchitectureError:
                failed += 1
                continue
            sizes = [counts.params(design, width, 10, 5) for design, width in zip(designs, widths, strict=True)]
            assert max(sizes) <= 1.02 * min(sizes)
    assert asked > 150
    assert failed < 0.12 * asked


def test_where_designs_have_no_common_size_an_error_says_what_to_do() -> None:
    deep = replace(REFERENCE, connectivity="skip-cat", message_layers=8, post_layers=3)
    with pytest.raises(ArchitectureError, match=r"to 2% near the budget of .* \(width 8\): .* raise base_width"):
        counts.match_widths([deep, replace(deep, post_layers=2), REFERENCE], 8, 10, 5)


def test_the_width_is_the_one_that_comes_nearest() -> None:
    for design in drawn(20):
        found = counts.width_for(design, 17_000, 10, 5)
        distance = {width: abs(counts.params(design, width, 10, 5) - 17_000) for width in range(1, 200)}
        assert distance[found] == min(distance.values())


class Textbook(nn.Module):
    """GraphGym's released network written out over an adjacency matrix, with the weights of ours."""

    def __init__(self, ours: nn.Module, design: Design) -> None:
        super().__init__()
        self.ours, self.design = ours, design

    def act(self, x: Tensor) -> Tensor:
        if self.design.activation == "prelu":
            return torch.where(x > 0, x, self.ours.act.weight * x)
        return x.clamp(min=0) if self.design.activation == "relu" else x * torch.sigmoid(x)

    def after(self, layer: nn.Module, x: Tensor) -> Tensor:
        if not self.design.batch_norm:
            return x + layer.bias
        mean, variance = x.mean(0), x.var(0, correction=0)
        return (x - mean) / (variance + 1e-5).sqrt() * layer.norm.weight + layer.norm.bias

    def aggregated(self, messages: Tensor, adjacency: Tensor) -> Tensor:
        """adjacency[i, j]: j sends to i."""
        if self.design.aggregation == "max":
            spread = messages[None].expand(len(adjacency), -1, -1).masked_fill(~adjacency.bool()[..., None], -torch.inf)
            return spread.amax(1)
        total = adjacency @ messages
        return total / adjacency.sum(1, keepdim=True) if self.design.aggregation == "mean" else total

    def forward(self, x: Tensor, adjacency: Tensor, graphs: Tensor | None) -> Tensor:
        for layer in self.ours.before:
            x = self.act(self.after(layer, x @ layer.inner.weight.T))
        for layer in self.ours.messages:
            conv = layer.inner
            sent = self.aggregated(x @ conv.lin_msg.weight.T, adjacency) + x @ conv.lin_self.weight.T
            sent = self.after(layer, sent)
            if self.design.connectivity != "stack":
                sent = x + sent if self.design.connectivity == "skip-sum" else torch.cat((x, sent), 1)
            x = self.act(sent)
        x = x / x.norm(dim=1, keepdim=True).clamp(min=1e-12)
        x = graphs @ x if graphs is not None else x
        for layer in self.ours.behind:
            x = self.act(self.after(layer, x @ layer.inner.weight.T))
        return x @ self.ours.last.weight.T + self.ours.last.bias


def small_batch(features: int) -> tuple[object, Tensor, Tensor]:
    """Three connected graphs; their adjacency as one matrix, and which nodes are of which graph."""
    pytest.importorskip("torch_geometric", reason="needs the extra 'graphs'")
    import networkx as nx
    from torch_geometric.data import Batch
    from torch_geometric.utils import from_networkx, to_dense_adj

    drawn_graphs = [nx.connected_watts_strogatz_graph(n, 2, 0.5, seed=n) for n in (5, 6, 9)]
    data = [from_networkx(graph) for graph in drawn_graphs]
    source = torch.Generator().manual_seed(1)
    for each in data:
        each.x = torch.randn(each.num_nodes, features, generator=source)
    batch = Batch.from_data_list(data)
    return batch, to_dense_adj(batch.edge_index)[0], nn.functional.one_hot(batch.batch).T.float()


@pytest.mark.parametrize("per_graph", [False, True])
def test_a_network_is_the_textbooks_and_counted_in_closed_form(per_graph: bool) -> None:
    batch, adjacency, graphs = small_batch(features=3)
    from methods.spaces.graphgym.network import GraphGymNetwork

    torch.manual_seed(0)
    for design in drawn(25):
        design = replace(design, dropout=0.0)
        network = GraphGymNetwork(design, 7, 3, 4, per_graph).train()
        assert sum(each.numel() for each in network.parameters()) == counts.params(design, 7, 3, 4)
        for parameter in network.parameters():
            nn.init.normal_(parameter, std=0.5)
        expected = Textbook(network, design)(batch.x, adjacency, graphs if per_graph else None)  # type: ignore[attr-defined]
        torch.testing.assert_close(network(batch), expected, rtol=1e-3, atol=1e-3)


def test_the_space_builds_what_it_counts() -> None:
    small_batch(features=1)
    space, settings = get_space("graphgym"), NetworkSettings(in_channels=3)
    architecture = Architecture("graphgym", asdict(drawn(1)[0]), scale={"width": 12})
    network = build(architecture, 4, settings)
    assert sum(each.numel() for each in network.parameters()) == space.counts(architecture, 4, settings).params


def test_dropout_is_where_it_is_said() -> None:
    batch, *_ = small_batch(features=3)
    from methods.spaces.graphgym.network import GraphGymNetwork

    network = GraphGymNetwork(replace(REFERENCE, dropout=0.6), 16, 3, 4, per_graph=False).train()
    assert not torch.equal(network(batch), network(batch))
    assert torch.equal(network.eval()(batch), network(batch))
