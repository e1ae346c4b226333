"""The single-path executor: the network of what was chosen, its memory, and the gradients of what was not."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from bench.speed.count import saved_bytes
from methods.architecture import Architecture
from methods.parts.convolution import in_memory_format
from methods.parts.executors.choice import Choice
from methods.parts.executors.protocol import branches_on_host
from methods.parts.executors.single_path import SinglePath
from methods.parts.gates import Gates, Logits, soft
from methods.parts.parameterisation import Softmax
from methods.parts.samplers.hard_gumbel import HardGumbel
from methods.spaces import NetworkSettings, build
from methods.spaces.cell.conventions import Conventions
from methods.spaces.cell.frame import candidate
from methods.spaces.nasbench201.cell import write_cell
from methods.spaces.operations import NONE, OPERATIONS
from methods.spaces.relaxation import Supernet
from methods.spaces.supernet_settings import SupernetSettings
from methods.spaces.supernets import relaxation

SETTINGS = {
    "darts_cell": SupernetSettings(channels=8, cells=3, in_channels=3),
    "nasbench201": SupernetSettings(channels=4, cells_per_stage=1, in_channels=3),
}
every_space = pytest.mark.parametrize("space", list(SETTINGS))


def supernet(space: str, executor=None) -> Supernet:
    torch.manual_seed(0)
    relaxed = relaxation(space)
    make = executor or relaxed.single_path()
    return relaxed.supernet(10, SETTINGS[space], Softmax(relaxed.topology), make)


def drawn(net: Supernet, temperature: float = 1.0, without: tuple[str, ...] = (), seed: int = 5) -> dict[str, Gates]:
    sampler, gates = HardGumbel(torch.Generator().manual_seed(seed), temperature), {}
    for kind in net.kinds:
        logits = net.parameterisation.logits(kind)
        left = torch.tensor([name in without for name in relaxation_of(net).topology.operations])
        gates[kind] = sampler(Logits(logits.options.masked_fill(left, -torch.inf), logits.weights))
    return gates


def relaxation_of(net: Supernet):
    return relaxation("darts_cell" if "normal" in net.kinds else "nasbench201")


def genotype_of(net: Supernet, gates: Mapping[str, Gates]) -> Architecture:
    """The architecture in which every edge has its chosen operation."""
    topology = relaxation_of(net).topology
    names = {kind: [topology.operations[column] for column in each.chosen] for kind, each in gates.items()}
    if "cell" in names:
        return Architecture("nasbench201", {"cell": write_cell(names["cell"])})
    cells = {
        kind: {
            "edges": [[name, *edge] for name, edge in zip(chosen, topology.edges, strict=True)],
            "concat": [2, 3, 4, 5],
        }
        for kind, chosen in names.items()
    }
    conventions = Conventions(pool_norm="without_affine", affine=False).to_json()
    return Architecture("general_cell", {**cells, "conventions": conventions})


def place_of(net: Supernet, name: str) -> tuple[str, int, int, str] | None:
    """Kind of cell, edge, option and the name in it of a tensor of a candidate; None for one that is of none."""
    parts = name.split(".")
    if "options" not in parts:
        return None
    at = parts.index("sources")
    source, edge, column = (int(parts[at + n]) for n in (1, 3, 5))
    kind = getattr(net.get_submodule(".".join(parts[:at])), "kind", "cell")
    return kind, relaxation_of(net).topology.leaving(source)[edge], column, ".".join(parts[at + 6 :])


def chosen_weights(net: Supernet, gates: Mapping[str, Gates]) -> dict[str, Tensor]:
    """The supernet's tensors by the discrete network's names: what was not chosen is left out."""
    found = {}
    for name, tensor in net.state_dict().items():
        place = place_of(net, name)
        if place is None and not name.startswith("parameterisation."):
            found[name.removeprefix("frame.")] = tensor
        elif place is not None and gates[place[0]].chosen[place[1]] == place[2]:
            cell = name.removeprefix("frame.").split(".sources")[0]
            found[f"{cell}.operations.{place[1]}.{place[3]}"] = tensor
    return found


@every_space
@pytest.mark.parametrize("temperature", [10.0, 0.1])
def test_forward_is_the_network_of_the_sampled_genotype_to_the_bit(space: str, temperature: float) -> None:
    net = supernet(space).train()
    gates = drawn(net, temperature, without=(NONE,) if space == "darts_cell" else ())
    size = NetworkSettings(8, 3, scales={"nasbench201": {"channels": 4, "cells_per_stage": 1}})
    network = build(genotype_of(net, gates), 10, size).train()
    missing = network.load_state_dict(chosen_weights(net, gates), strict=False)
    assert not missing.unexpected_keys
    affine = [key for key in missing.missing_keys if space == "darts_cell" or not key.endswith((".weight", ".bias"))]
    assert not affine, "all but the scale 1 and shift 0 that a retrained network of NAS-Bench-201 has"
    images = in_memory_format(torch.randn(4, 3, 8, 8))
    assert torch.equal(net(images, gates), network(images))
    for (name, one), other in zip(network.named_buffers(), network.buffers(), strict=True):
        assert torch.equal(one, other), name


@every_space
def test_an_unchosen_operation_has_a_gradient_for_its_alpha_and_none_for_its_weights(space: str) -> None:
    net, operations = supernet(space).train(), relaxation(space).topology.operations
    gates = drawn(net, without=(NONE,))
    net(torch.randn(4, 3, 8, 8), gates).square().mean().backward()
    seen = set()
    for name, parameter in net.named_parameters():
        if (place := place_of(net, name)) is not None:
            chosen = gates[place[0]].chosen[place[1]] == place[2]
            assert (parameter.grad is not None) == chosen, name
            seen.add(chosen)
    assert seen == {True, False}
    for kind in net.kinds:
        gradient = net.parameterisation.alpha[kind].grad
        there = torch.tensor([name != NONE for name in operations])
        assert bool((gradient[:, there] != 0).all()), kind


@every_space
def test_without_a_choice_it_is_the_mixture(space: str) -> None:
    """Its teacher for those who want one: all operations by their gates, as many as the sum written out."""
    net = supernet(space).eval()
    images, gates = torch.randn(2, 3, 8, 8), {kind: soft(net.parameterisation.logits(kind)) for kind in net.kinds}
    whole = net(images, gates)
    assert torch.equal(whole, net(images))
    edge = next(module for module in net.modules() if isinstance(module, Choice))
    x = torch.randn(2, 8 if space == "darts_cell" else 4, 8, 8)
    gate = torch.rand(1, len(edge.options))
    wanted = sum(gate[0, column] * option(x) for column, option in enumerate(edge.options))
    torch.testing.assert_close(edge(x, Gates(gate, torch.ones(1)), 0), wanted)


def test_who_branches_on_the_host_says_so() -> None:
    assert branches_on_host(supernet("darts_cell"))
    assert not branches_on_host(supernet("darts_cell", relaxation("darts_cell").mixture))


# -- memory, and the gates of what was not chosen

EIGHT = tuple(name for name in OPERATIONS if name != "sep_conv_3x3")
KEPT_ALIKE = 0.01


def mixed(count: int) -> SinglePath:
    """One edge with so many candidates, of which the first is always chosen."""
    torch.manual_seed(0)
    return SinglePath(16, 1, 1, ("sep_conv_3x3", *EIGHT[: count - 1]), candidate)


def kept(executor: SinglePath, gates_of) -> int:
    count = len(executor.edges[0].options)
    alpha = torch.zeros(1, count, requires_grad=True)
    state = torch.randn(8, 16, 32, 32, requires_grad=True)

    def step() -> None:
        executor(state, gates_of(alpha))[0].sum().backward()

    return saved_bytes(step)


def first(alpha: Tensor, compared: bool = False) -> Gates:
    p, others = alpha.softmax(1), (tuple(range(1, alpha.shape[1])),)
    hard = torch.nn.functional.one_hot(torch.zeros(1, dtype=torch.int64), alpha.shape[1])
    return Gates((hard - p.detach()) + p, torch.ones(1), (0,), others if compared else ())


@pytest.mark.parametrize("compared", [False, True])
def test_what_is_kept_does_not_depend_on_the_number_of_operations(compared: bool) -> None:
    found = [kept(mixed(count), partial(first, compared=compared)) for count in (2, 4, 8)]
    assert max(found) <= min(found) * (1 + KEPT_ALIKE)
    everything = [kept(mixed(count), lambda alpha: Gates(alpha.softmax(1), torch.ones(1))) for count in (2, 4, 8)]
    assert everything[2] > 2 * found[2]
    assert everything[2] > 1.5 * everything[1] > 2 * everything[0] / 2


def full_mixture(edge: nn.ModuleList, x: Tensor, gate: Tensor, chosen: int) -> Tensor:
    """The textbook: everything is run and kept, and nothing but the chosen reaches weights or input."""
    outputs = [option(x) if column == chosen else option(x).detach() for column, option in enumerate(edge)]
    return sum(gate[column] * output for column, output in enumerate(outputs))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("chosen", [OPERATIONS.index(name) for name in ("none", "skip_connect", "sep_conv_5x5")])
def test_gate_gradients_are_those_of_the_full_mixture(stride: int, chosen: int) -> None:
    torch.manual_seed(1)
    executor = SinglePath(4, 1, stride, OPERATIONS, candidate).double().train()
    edge = executor.edges[0]
    gate = torch.nn.functional.one_hot(torch.tensor([chosen]), 8).double().requires_grad_()
    x = torch.randn(3, 4, 8, 8, dtype=torch.float64, requires_grad=True)
    others = tuple(column for column in range(8) if column != chosen)
    weights = list(edge.parameters())
    upstream = torch.randn(3, 4, 8 // stride, 8 // stride, dtype=torch.float64)
    statistics = {name: buffer.clone() for name, buffer in edge.named_buffers()}
    y = executor(x, Gates(gate, torch.ones(1).double(), (chosen,), (others,)))[0]
    found = torch.autograd.grad((y * upstream).sum(), [gate, x, *weights], allow_unused=True)
    for name, buffer in edge.named_buffers():
        if not name.startswith(f"options.{chosen}."):
            assert torch.equal(buffer, statistics[name]), name
    textbook = full_mixture(edge.options, x, gate[0], chosen)
    assert torch.equal(y, textbook)
    wanted = torch.autograd.grad((textbook * upstream).sum(), [gate, x, *weights], allow_unused=True)
    torch.testing.assert_close(found[0], wanted[0], rtol=1e-12, atol=1e-12)
    assert sum(bool(g.any()) for g in found[0][0]) == 7  # all but none
    for one, other in zip(found[1:], wanted[1:], strict=True):
        assert (one is None) == (other is None)
        assert one is None or torch.equal(one, other)


def test_where_no_gate_has_a_gradient_nothing_is_compared() -> None:
    executor = mixed(8)
    x = torch.randn(2, 16, 8, 8, requires_grad=True)
    y = executor(x, first(torch.zeros(1, 8), compared=True))[0]
    assert "_Compared" not in str(y.grad_fn)
