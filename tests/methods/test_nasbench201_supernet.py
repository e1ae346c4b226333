"""The supernet of NAS-Bench-201 against its textbook: values, gradients, a whole search; what is derived; memory."""

from __future__ import annotations

import copy
import io
import re

import pytest
import torch
from torch import Tensor
from torch.func import functional_call

from methods.architecture import ArchitectureError
from methods.base import MethodError, SearchContext
from methods.gradient.darts import DARTS
from methods.gradient.pc_darts import PCDARTS
from methods.parts.bilevel import Unrolled
from methods.parts.discretiser import best_operations
from methods.parts.executors.convolutions import ConvolutionMixture
from methods.parts.executors.mixture import Mixture
from methods.parts.executors.partial_channels import PartialChannels
from methods.parts.gates import Gates
from methods.spaces import get_space
from methods.spaces.nasbench201.cell import OPERATIONS, TOPOLOGY, write_cell
from methods.spaces.nasbench201.supernet import RELAXATION
from tests.oracles.bilevel import cross_entropy, exact_unrolled_gradient, first_order_search
from tests.oracles.nasbench201_supernet import EDGES, Supernet

CONTEXT = SearchContext(num_classes=10, image_size=8)
SMALL = {"space": "nasbench201", "channels": 4, "cells_per_stage": 1, "batch_size": 4, "epochs": 4}
PLACE = re.compile(
    r"frame\.cells\.(\d+)\.sources\.(\d)\.(?:executor\.)?(?:mixture\.)?convolutions\.nor_conv_(\d)x\d\.(.+)"
)


def search(cls=DARTS, dtype=torch.float64, **options):
    torch.manual_seed(1)
    method = cls(cls.Options(**{**SMALL, **options}), CONTEXT)
    method.supernet.to(dtype)
    method.to(torch.device("cpu"))
    return method


def batches(steps, dtype=torch.float64, number=4):
    generator = torch.Generator().manual_seed(2)

    def batch():
        images = torch.randn(number, 3, 8, 8, generator=generator, dtype=dtype)
        return images, torch.randint(10, (number,), generator=generator)

    return [(batch(), batch()) for _ in range(steps)]


def per_edge(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of the supernet by the textbook's names: a convolution's filters edge by edge."""
    result = {}
    for name, tensor in tensors.items():
        found = PLACE.fullmatch(name)
        if found is None:
            result[name.removeprefix("frame.")] = tensor
            continue
        cell, source, kernel, rest = found.groups()
        rows = [row for row, (start, _) in enumerate(EDGES) if start == int(source)]
        parts = tensor.chunk(len(rows)) if tensor.ndim else [tensor] * len(rows)
        for row, part in zip(rows, parts, strict=True):
            inside = "1.weight" if rest == "weight" else rest.replace("norm", "2")
            result[f"cells.{cell}.edges.{row}.conv{kernel}.{inside}"] = part
    return result


def oracle_of(method):
    oracle = Supernet(10, method.options.channels, method.options.cells_per_stage, method.options.partial_channels)
    missing, _ = oracle.double().load_state_dict(per_edge(method.supernet.state_dict()), strict=False)
    assert not missing
    return oracle, copy.deepcopy(method.parameterisation)


def gates_of(parameterisation) -> dict[str, tuple[Tensor, Tensor]]:
    """Softmax of every edge, and of the edges into every node, written out."""
    operations = torch.stack([row.exp() / row.exp().sum() for row in parameterisation.alpha["cell"]])
    edges = torch.ones(6, dtype=operations.dtype)
    if hasattr(parameterisation, "beta"):
        beta = parameterisation.beta["cell"].exp()
        edges = beta / torch.stack([beta[0], *[beta[1] + beta[2]] * 2, *[beta[3] + beta[4] + beta[5]] * 3])
    return {"cell": (operations, edges)}


def randomise(parameterisation) -> None:
    for parameter in parameterisation.parameters():
        torch.nn.init.normal_(parameter)


@pytest.mark.parametrize("options", [{}, {"partial_channels": 2}, {"edge_normalisation": True, "partial_channels": 4}])
@pytest.mark.parametrize("memory", ["full", "low"])
def test_values_and_gradients_are_the_textbooks(options, memory):
    method = search(memory=memory, **options)
    randomise(method.parameterisation)
    oracle, parameterisation = oracle_of(method)
    (train, _), *_ = batches(1)
    mine, book = cross_entropy(method.supernet, train), cross_entropy(oracle, train, gates_of(parameterisation))
    torch.testing.assert_close(mine, book)
    mine.backward()
    book.backward()
    found = per_edge({name: p.grad for name, p in method.supernet.named_parameters()})
    for name, parameter in oracle.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad)
    for name, parameter in parameterisation.named_parameters():
        torch.testing.assert_close(found[f"parameterisation.{name}"], parameter.grad)
    statistics = per_edge({name: b for name, b in method.supernet.named_buffers() if "running" in name})
    for name, value in oracle.named_buffers():
        if "running" in name:
            torch.testing.assert_close(statistics[name], value)


@pytest.mark.parametrize("cls", [DARTS, PCDARTS])
def test_first_order_search_equals_the_textbook_loop(cls):
    lr, arch_lr = 0.0625, 0.125
    method = search(cls, lr=lr, arch_lr=arch_lr, arch_start_epoch=0)
    oracle, parameterisation = oracle_of(method)
    data, before = batches(4), method.architecture()
    method.on_epoch_start(0)
    found = [method.step(*pair)["loss_sum"].item() / 4 for pair in data]
    alphas, weights = list(parameterisation.parameters()), list(oracle.parameters())
    wanted = first_order_search(
        lambda batch: cross_entropy(oracle, batch, gates_of(parameterisation)), weights, alphas, data, lr, arch_lr
    )
    assert found == pytest.approx(wanted, rel=1e-9)
    for a, b in zip(method.alphas, alphas, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-9)
    mine = per_edge(dict(method.supernet.named_parameters()))
    for name, parameter in oracle.named_parameters():
        torch.testing.assert_close(mine[name], parameter, rtol=1e-7, atol=1e-9)
    assert method.architecture() != before


def test_second_order_gradient_equals_the_exact_one():
    method = search(unrolled=True, lr=0.125)
    data = batches(3)
    method.on_epoch_start(0)
    for pair in data[:2]:
        method.step(*pair)
    oracle, parameterisation = oracle_of(method)
    names = [name for name, _ in oracle.named_parameters()]
    state = method.weight_optimiser.state
    buffers = per_edge({n: state[p]["momentum_buffer"] for n, p in method.supernet.named_parameters() if p in state})

    def loss(batch):
        def value(weights, alphas):
            inputs = (batch[0], gates_of(parameterisation))
            logits = functional_call(oracle, dict(zip(names, weights, strict=True)), inputs)
            return torch.nn.functional.cross_entropy(logits, batch[1])

        return value

    train, valid = data[2]
    weights, alphas = list(oracle.parameters()), list(parameterisation.parameters())
    exact = exact_unrolled_gradient(loss(train), loss(valid), weights, alphas, [buffers[n] for n in names], 0.125)
    fine = Unrolled(method.supernet, method.weights, method.alphas, method.weight_optimiser, epsilon=1e-7)
    (found,), _ = fine(train, valid)
    (first,) = torch.autograd.grad(cross_entropy(method.supernet, valid), method.alphas)
    assert (found - exact[0]).norm() < 1e-5 * exact[0].norm()
    assert (first - exact[0]).norm() > 0.01 * exact[0].norm()


@pytest.mark.parametrize("code", [(3, 0, 1, 2, 4, 3), (0, 0, 0, 0, 0, 0), (1, 1, 1, 1, 1, 1)])
def test_one_hot_gates_are_the_network_and_derive_it(code):
    """Every edge shows what its operation makes; deriving the architecture and reading it back is the identity."""
    method = search()
    with torch.no_grad():
        method.alphas[0].copy_(torch.nn.functional.one_hot(torch.tensor(code), 5) * 1000.0)
    found = method.architecture()
    assert found.genotype == {"cell": write_cell([OPERATIONS[option] for option in code])}
    space = get_space("nasbench201")
    space.validate(found)
    assert space.encode(found) == code
    oracle, _ = oracle_of(method)
    images = batches(1)[0][0][0]
    gates = torch.nn.functional.one_hot(torch.tensor(code), 5).double()
    torch.testing.assert_close(method.supernet(images), oracle(images, {"cell": (gates, torch.ones(6).double())}))


def test_none_is_chosen_like_any_other_and_ties_go_to_the_earlier():
    operations = torch.full((6, 5), 0.2)
    assert best_operations(Gates(operations, torch.ones(6)), TOPOLOGY) == ["none"] * 6
    operations[2, 3] = 0.3
    assert best_operations(Gates(operations, torch.zeros(6)), TOPOLOGY)[2] == "nor_conv_3x3"


def test_what_is_watched():
    method = search()
    with torch.no_grad():
        method.alphas[0].copy_(torch.nn.functional.one_hot(torch.tensor((1, 1, 1, 1, 0, 3)), 5) * 1000.0)
    values = method.on_epoch_end(0)
    assert values == {
        "arch/skips": 4, "arch/entropy": pytest.approx(0), "arch/operations/none": 1,
        "arch/entropy_uniform": pytest.approx(1.6094379),
        "arch/operations/skip_connect": 4, "arch/operations/nor_conv_1x1": 0, "arch/operations/nor_conv_3x3": 1,
        "arch/operations/avg_pool_3x3": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("cls", "options"),
    [  # the contract tests restart every method, too
        pytest.param(DARTS, {}, marks=pytest.mark.long),
        pytest.param(DARTS, {"unrolled": True}, marks=pytest.mark.long),
        (PCDARTS, {}),
    ],
)
def test_a_continued_search_ends_with_the_same_bits(cls, options):
    options = {"arch_start_epoch": 1, "nesterov": True, "lr": 0.1, "arch_lr": 0.05, **options}
    data = batches(6, torch.float32)

    def run(method, steps):
        for number in steps:
            method.on_epoch_start(number // 2)
            method.step(*data[number])
        return method

    whole = run(search(cls, torch.float32, **options), range(6))
    kept = io.BytesIO()
    torch.save(run(search(cls, torch.float32, **options), range(3)).state_dict(), kept)
    kept.seek(0)
    other = search(cls, torch.float32, **options)
    randomise(other.supernet)
    other.load_state_dict(torch.load(kept, weights_only=True))
    run(other, range(3, 6))
    for name, value in whole.supernet.state_dict().items():
        assert torch.equal(value, other.supernet.state_dict()[name]), name
    assert whole.architecture() == other.architecture()
    with pytest.raises(MethodError, match="does not belong to"):
        search(cls, torch.float32, cells_per_stage=2, arch_start_epoch=0).load_state_dict(whole.state_dict())


@pytest.mark.parametrize("unrolled", [False, True])
def test_each_step_changes_only_its_own(unrolled):
    method = search(PCDARTS, unrolled=unrolled, arch_start_epoch=0)
    method.on_epoch_start(0)
    ((train, valid),) = batches(1)

    def changed(step):
        before = {name: value.clone() for name, value in method.supernet.state_dict().items()}
        step()
        return {n for n, v in method.supernet.state_dict().items() if not torch.equal(v, before[n])}

    alphas = {f"parameterisation.{name}" for name, _ in method.parameterisation.named_parameters()}
    assert changed(lambda: method._architecture_step(train, valid)) == alphas
    assert not changed(lambda: method._weight_step(train)) & alphas


def saved_bytes(executor) -> int:
    """Bytes of the different tensors that the backward pass of one state would need."""
    kept: dict[int, int] = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    gates = Gates(torch.rand(3, 5), torch.ones(3))
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        executor(torch.randn(8, 16, 32, 32, requires_grad=True), gates)
    return sum(kept.values())


def test_activation_memory_falls_about_fourfold():
    full = RELAXATION.mixture(16, 3, 1)
    quarter = PartialChannels(16, 3, 1, 4, RELAXATION.mixture)
    assert saved_bytes(full) / saved_bytes(quarter) == pytest.approx(4, rel=0.35)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"space": "vgg"},
            "space='vgg' has no supernet to search in; these spaces have: darts_cell, staged_cell, chain_s",
        ),
        (
            {"cells": 4},
            "cells=4 says nothing of a supernet of nasbench201: its size is given by channels and cells_per",
        ),
        ({"space": "darts_cell"}, "cells_per_stage=1 says nothing of a supernet of darts_cell"),
        ({"partial_channels": 3}, "channels=4 cannot be divided by partial_channels=3"),
        ({"nesterov": True, "momentum": 0.0}, "nesterov=true needs a momentum above zero"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises(MethodError, match=re.escape(message)):
        DARTS.Options(**{**SMALL, **options})
    with pytest.raises(ArchitectureError, match="not a stem 'imagenet'"):
        DARTS(DARTS.Options(**SMALL), SearchContext(num_classes=10, stem="imagenet"))


def test_operations_that_are_no_convolutions_are_refused():
    with pytest.raises(ValueError, match="sep_conv_3x3"):
        ConvolutionMixture(4, 2, 1, ("skip_connect", "sep_conv_3x3"))
    with pytest.raises(ValueError, match="stride 2"):
        ConvolutionMixture(4, 2, 2, OPERATIONS)
    assert issubclass(ConvolutionMixture, Mixture.__mro__[1])
