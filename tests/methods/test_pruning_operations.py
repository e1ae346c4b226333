"""Operation pruning of a supernet: what is removed, how much, and that a search goes on exactly where it stopped."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from methods.architecture import Architecture
from methods.base import MethodError, SearchContext
from methods.gradient.operation_pruning import (
    CANDIDATES,
    SHAPE,
    OperationPruning,
    OperationPruningOptions,
    Survivors,
    discrete,
    everything,
    genotype,
    operation_costs,
    remove_weakest,
)
from methods.parts.counts import count_params
from methods.parts.parameterisation import Softmax
from methods.registry import get_method
from methods.spaces import NetworkSettings, build, get_space
from methods.spaces.cell.topology import TOPOLOGY
from methods.transform.pruning.ratio import Counts, measure

CONTEXT = SearchContext(num_classes=10, image_size=8)
SHAPE_OF_IMAGES = (3, 8, 8)


def options(ratio: float = 0.5, of: str = "params", **more) -> OperationPruningOptions:
    return OperationPruningOptions(epochs=3, batch_size=2, channels=4, cells=3, ratio=ratio, of=of, **more)


def batch(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, 3, 8, 8, generator=generator), torch.randint(10, (2,), generator=generator)


def spread(method: OperationPruning) -> None:
    """Gates as different as at the end of a search."""
    with torch.no_grad():
        for parameter in method.alphas:
            parameter.mul_(1000)


@pytest.mark.parametrize(
    ("ratio", "of"),
    [(0.7, "operations"), (0.3, "params"), (0.6, "params"), (0.5, "filters"), (0.5, "weights"), (0.3, "macs")],
)
def test_the_achieved_ratio_is_the_asked_one(ratio, of):
    torch.manual_seed(0)
    method = OperationPruning(options(ratio, of), CONTEXT)
    spread(method)
    architecture = method.architecture()
    get_space("dense_cell").validate(architecture)
    assert architecture.provenance["achieved"] == pytest.approx(ratio, abs=0.01)
    if of == "params":
        small = build(architecture, 10, NetworkSettings(channels=4, cells=3))
        assert 1 - count_params(small) / method.total == pytest.approx(ratio, abs=0.01)


@pytest.fixture(scope="module")
def full() -> nn.Module:
    return discrete(everything(), options(), CONTEXT)


@pytest.fixture(scope="module")
def thinned() -> tuple[Tensor, Counts]:
    """Some operations, and the size of the network built from them."""
    alive = torch.rand(SHAPE, generator=torch.Generator().manual_seed(1)) > 0.4
    alive[:, :, -1] = True

    return alive, measure(discrete(Architecture("dense_cell", genotype(alive)), options(), CONTEXT), SHAPE_OF_IMAGES)


@pytest.mark.parametrize("of", ["params", "macs", "weights", "filters"])
def test_costs_add_up_to_the_built_network(of, full, thinned):
    alive, counted = thinned
    total, costs = operation_costs(full, options(of=of), CONTEXT)
    assert total - (costs * ~alive).sum().item() == getattr(counted, of)


def test_the_weakest_go_and_every_node_keeps_its_strongest():
    generator = torch.Generator().manual_seed(0)
    strength = torch.rand(SHAPE, generator=generator, dtype=torch.float64)
    costs = CANDIDATES.double().expand(SHAPE)
    alive = remove_weakest(strength, torch.ones(SHAPE, dtype=torch.bool), costs, amount=150)
    assert int((~alive).sum()) == 150
    assert alive[..., 0].all()
    strongest = torch.zeros(SHAPE, dtype=torch.bool)
    for kind in range(len(TOPOLOGY.kinds)):
        for node in range(2, 6):
            entering = [(row, c) for row in TOPOLOGY.entering(node) for c in range(1, SHAPE[2])]
            row, column = max(entering, key=lambda place: strength[kind, *place])
            strongest[kind, row, column] = True
    assert alive[strongest].all()
    assert strength[~alive].max() < strength[alive & ~strongest & CANDIDATES].min()
    again = remove_weakest(1 - strength, alive, costs, amount=160)
    assert not again[~alive].any()
    assert int((~again).sum()) == 160


def test_survivors_are_a_softmax_over_what_is_left():
    torch.manual_seed(0)
    inner = Softmax(TOPOLOGY)
    survivors = Survivors(inner)
    torch.testing.assert_close(survivors.gates("normal").options, inner.gates("normal").options)
    survivors.alive[0, 3, 1:6] = False
    expected = inner.alpha["normal"][3].index_select(0, torch.tensor([0, 6, 7])).softmax(0)
    gates = survivors.gates("normal").options
    torch.testing.assert_close(gates[3, [0, 6, 7]], expected)
    assert not gates[3, 1:6].any()
    (gradient,) = torch.autograd.grad(gates[3].square().sum(), inner.alpha["normal"])
    assert gradient[3, 1:6].abs().max() < 1e-4 * gradient[3, [0, 6, 7]].abs().min()


def run(method: OperationPruning, epochs: range) -> list[float]:
    removed = []
    for epoch in epochs:
        method.on_epoch_start(epoch)
        method.step(batch(2 * epoch), batch(2 * epoch + 1))
        removed.append(method.on_epoch_end(epoch)["pruning/removed"])
    return removed


def test_the_share_rises_and_a_resumed_search_ends_with_the_same_bits():
    torch.manual_seed(0)
    whole = OperationPruning(options(0.6, "operations", arch_start_epoch=1, edge_normalisation=True), CONTEXT)
    assert run(whole, range(3)) == pytest.approx([0.0, 0.3, 0.6], abs=0.01)
    assert whole.architecture().provenance["achieved"] == pytest.approx(0.6, abs=0.01)
    torch.manual_seed(0)
    first = OperationPruning(whole.options, CONTEXT)
    run(first, range(2))
    torch.manual_seed(9)
    second = OperationPruning(whole.options, CONTEXT)
    second.load_state_dict(first.state_dict())
    run(second, range(2, 3))
    for name, value in whole.supernet.state_dict().items():
        assert torch.equal(value, second.supernet.state_dict()[name]), name
    assert second.architecture() == whole.architecture()


def test_bad_options():
    with pytest.raises(MethodError, match="strictly between 0 and 1"):
        options(1.0)
    with pytest.raises(MethodError, match="of is 'flops'; it must be one of"):
        options(0.5, "flops")
    with pytest.raises(MethodError, match=r"could leave a node without an operation; .* 9\d\.\d% is always"):
        OperationPruning(options(0.99, "operations"), CONTEXT)
    assert get_method("operation_pruning") is OperationPruning
