"""DARTS and PC-DARTS: their steps against textbook loops, what a step may change, exact resumption, options."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from torch.func import functional_call

from methods.base import MethodError, SearchContext
from methods.gradient.darts import DARTS
from methods.gradient.pc_darts import PCDARTS
from methods.parts.bilevel import Unrolled, frozen_statistics
from methods.parts.schedule import cosine
from methods.registry import get_method
from methods.spaces import get_space
from methods.spaces.operations import OPERATIONS
from tests.methods.per_edge import gates_of, per_edge
from tests.oracles.bilevel import cross_entropy, exact_unrolled_gradient, first_order_search
from tests.oracles.cell_supernet import Supernet

CONTEXT = SearchContext(num_classes=10, image_size=8)
SMALL = {"channels": 4, "cells": 3, "batch_size": 4, "epochs": 4}


def search(cls=DARTS, dtype=torch.float32, **options):
    torch.manual_seed(1)
    method = cls(cls.Options(**{**SMALL, **options}), CONTEXT)
    method.supernet.to(dtype)
    method.to(torch.device("cpu"))
    return method


def batches(steps, dtype=torch.float32):
    generator = torch.Generator().manual_seed(2)

    def batch():
        return torch.randn(4, 3, 8, 8, generator=generator, dtype=dtype), torch.randint(10, (4,), generator=generator)

    return [(batch(), batch()) for _ in range(steps)]


def oracle_of(method, share=1):
    oracle = Supernet(10, method.options.channels, method.options.cells, share).double()
    oracle.load_state_dict(per_edge(method.supernet.state_dict()), strict=False)
    return oracle, copy.deepcopy(method.parameterisation)


@pytest.mark.parametrize(("cls", "share"), [(DARTS, 1), pytest.param(PCDARTS, 4, marks=pytest.mark.long)])
def test_first_order_search_equals_the_textbook_loop(cls, share):
    lr, arch_lr = 0.0625, 0.125  # exact in binary, and large, so that the genotype changes
    method = search(cls, torch.float64, lr=lr, arch_lr=arch_lr, arch_start_epoch=0)
    oracle, parameterisation = oracle_of(method, share)
    before = method.architecture()
    data = batches(4, torch.float64)
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
    assert mine.keys() == dict(oracle.named_parameters()).keys()
    for name, parameter in oracle.named_parameters():
        torch.testing.assert_close(mine[name], parameter, rtol=1e-7, atol=1e-9)
    assert method.architecture() != before
    executed_fast = method.architecture()
    method.parameterisation.load_state_dict(parameterisation.state_dict())
    assert method.architecture() == executed_fast


def second_order_problem():
    """A search two steps old (so that there is momentum), its exact gradient and the batches of the next step."""
    method = search(dtype=torch.float64, unrolled=True, lr=0.125)
    data = batches(3, torch.float64)
    method.on_epoch_start(0)
    for pair in data[:2]:
        method.step(*pair)
    oracle, parameterisation = oracle_of(method)
    names = [name for name, _ in oracle.named_parameters()]
    buffers = {
        n: method.weight_optimiser.state[p]["momentum_buffer"]
        for n, p in method.supernet.named_parameters()
        if not n.startswith("parameterisation.")
    }
    buffers = per_edge(buffers)
    weights = list(oracle.parameters())
    alphas = list(parameterisation.parameters())

    def loss(batch):
        def value(weights, alphas):
            network = functional_call
            logits = network(oracle, dict(zip(names, weights, strict=True)), (batch[0], gates_of(parameterisation)))
            return torch.nn.functional.cross_entropy(logits, batch[1])

        return value

    train, valid = data[2]
    exact = exact_unrolled_gradient(loss(train), loss(valid), weights, alphas, [buffers[n] for n in names], 0.125)
    return method, train, valid, exact


def test_second_order_gradient_equals_the_exact_one():
    method, train, valid, exact = second_order_problem()
    assert method.architecture_gradient.epsilon == 0.01
    fine = Unrolled(method.supernet, method.weights, method.alphas, method.weight_optimiser, epsilon=1e-7)
    first_order = torch.autograd.grad(cross_entropy(method.supernet, valid), method.alphas)
    before = [weight.clone() for weight in method.weights]
    gradients, _ = fine(train, valid)
    assert all(torch.equal(a, b) for a, b in zip(before, method.weights, strict=True))
    found, wanted = torch.cat([g.flatten() for g in gradients]), torch.cat([g.flatten() for g in exact])
    assert (found - wanted).norm() < 1e-5 * wanted.norm()
    assert (torch.cat([g.flatten() for g in first_order]) - wanted).norm() > 0.1 * wanted.norm()


@pytest.mark.parametrize("unrolled", [False, True])
def test_each_step_changes_only_its_own_parameters(unrolled):
    method = search(unrolled=unrolled)
    method.on_epoch_start(0)
    (train, valid) = batches(1)[0]
    alphas = [f"parameterisation.{name}" for name, _ in method.parameterisation.named_parameters()]

    def changed(step):
        before = {name: value.clone() for name, value in method.supernet.state_dict().items()}
        step()
        return {n for n, v in method.supernet.state_dict().items() if not torch.equal(v, before[n])}

    assert changed(lambda: method._architecture_step(train, valid)) == set(alphas)
    by_weights = changed(lambda: method._weight_step(train))
    assert not by_weights & set(alphas)
    assert {name for name, _ in method.supernet.named_parameters()} - by_weights == set(alphas)
    assert any("running_var" in name for name in by_weights)


def test_statistics_are_updated_again_after_an_error():
    method = search()
    with pytest.raises(ZeroDivisionError), frozen_statistics(method.supernet):
        raise ZeroDivisionError
    assert all(m.track_running_stats for m in method.supernet.modules() if isinstance(m, torch.nn.BatchNorm2d))


def test_architecture_is_frozen_before_its_first_epoch():
    method = search(PCDARTS, arch_start_epoch=2)
    train, valid = batches(1)[0]
    start = [alpha.clone() for alpha in method.alphas]
    for epoch in (0, 1):
        assert not method.on_epoch_start(epoch)
        assert set(method.step(train, valid)) == {"loss_sum", "correct", "count"}
    assert all(torch.equal(a, b) for a, b in zip(start, method.alphas, strict=True))
    assert method.on_epoch_start(2)
    assert {"valid_loss_sum", "valid_correct", "valid_count"} < set(method.step(train, valid))
    assert not any(torch.equal(a, b) for a, b in zip(start, method.alphas, strict=True))


@pytest.mark.parametrize(
    ("cls", "options"),
    [  # the contract tests restart every method, too
        pytest.param(DARTS, {}, marks=pytest.mark.long),
        pytest.param(DARTS, {"unrolled": True}, marks=pytest.mark.long),
        (PCDARTS, {"arch_start_epoch": 1}),
    ],
)
def test_resumed_search_has_the_same_bits(cls, options):
    data = batches(6)

    def epochs(method, numbers):
        for epoch in numbers:
            method.on_epoch_start(epoch)
            for pair in data[2 * epoch : 2 * epoch + 2]:
                method.step(*pair)
            method.on_epoch_end(epoch)
        return method

    straight = epochs(search(cls, **options), range(3))
    file = io.BytesIO()
    torch.save(epochs(search(cls, **options), range(1)).state_dict(), file)
    file.seek(0)
    torch.manual_seed(99)
    resumed = cls(cls.Options(**{**SMALL, **options}), CONTEXT)
    resumed.to(torch.device("cpu"))
    resumed.load_state_dict(torch.load(file, weights_only=True))
    epochs(resumed, range(1, 3))
    theirs = straight.supernet.state_dict()
    for name, value in resumed.supernet.state_dict().items():
        assert torch.equal(value, theirs[name]), name
    assert resumed.architecture() == straight.architecture()
    assert resumed.provenance() == straight.provenance()


@pytest.mark.parametrize("unrolled", [pytest.param(False, marks=pytest.mark.long), True])
def test_low_memory_search_has_the_same_bits(unrolled):
    searches = [search(PCDARTS, memory=memory, unrolled=unrolled, arch_start_epoch=0) for memory in ("full", "low")]
    for method in searches:
        method.on_epoch_start(0)
        for pair in batches(2):
            method.step(*pair)
    for full, low in zip(*(method.supernet.state_dict().values() for method in searches), strict=True):
        assert torch.equal(full, low)


def test_state_of_another_supernet_is_refused():
    with pytest.raises(MethodError, match="does not belong to darts"):
        search(channels=8).load_state_dict(search().state_dict())


def test_epoch_end_reports_what_would_be_derived():
    method = search()
    with torch.no_grad():
        method.parameterisation.alpha["normal"][:, OPERATIONS.index("skip_connect")] = 100.0
        method.parameterisation.alpha["reduce"][:, OPERATIONS.index("none")] = 2.0
        method.parameterisation.alpha["reduce"][:, OPERATIONS.index("dil_conv_3x3")] = 1.0
    values = method.on_epoch_end(0)
    assert values["arch/skips_normal"] == 8
    assert values["arch/skips_reduce"] == 0
    assert values["arch/operations/dil_conv_3x3"] == 8
    assert values["arch/operations/sep_conv_5x5"] == 0
    assert values["arch/entropy_normal"] == pytest.approx(0, abs=1e-6)
    assert 1 < values["arch/entropy_reduce"] < 2.08
    get_space("darts_cell").validate(method.architecture())


def test_edge_normalisation_alone_is_one_option():
    method = search(edge_normalisation=True)
    assert sum(alpha.numel() for alpha in method.alphas) == 252
    method.on_epoch_start(0)
    method.step(*batches(1)[0])
    with torch.no_grad():
        method.parameterisation.beta["normal"][4] = 5.0  # the third edge into node 3
        method.parameterisation.beta["normal"][2] = 4.0
    edges = method.architecture().genotype["normal"]["edges"]
    assert [(source, node) for _, source, node in edges if node == 3] == [(0, 3), (2, 3)]


def test_learning_rate_follows_the_cosine_by_epoch():
    assert cosine(0, 50, 0.025, 0.001) == pytest.approx(0.025)
    assert cosine(25, 50, 0.025, 0.001) == pytest.approx(0.013)
    assert cosine(50, 50, 0.025, 0.001) == pytest.approx(0.001)
    assert [cosine(e, 50, 0.5, 0.0, warmup=5) for e in (0, 4)] == pytest.approx([0.1, 0.5])
    method = search(epochs=50)
    for epoch in (0, 25):
        method.on_epoch_start(epoch)
        assert method.weight_optimiser.param_groups[0]["lr"].item() == pytest.approx(cosine(epoch, 50, 0.025, 0.001))


def test_published_defaults():
    darts, pc = get_method("darts").Options(), get_method("pc_darts").Options()
    assert (darts.epochs, darts.batch_size, darts.channels, darts.cells) == (50, 64, 16, 8)
    assert (darts.lr, darts.lr_end, darts.arch_lr, darts.arch_start_epoch) == (0.025, 0.001, 3e-4, 0)
    assert (pc.epochs, pc.batch_size, pc.channels, pc.cells) == (50, 256, 16, 8)
    assert (pc.lr, pc.lr_end, pc.arch_lr, pc.arch_start_epoch) == (0.1, 0.0, 6e-4, 15)
    assert (pc.partial_channels, pc.edge_normalisation) == (4, True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs is 0"),
        ({"batch_size": 2.5}, "batch_size is 2.5"),
        ({"cells": 2}, r"cells is 2; it must be a whole number in \[3, 200\]"),
        ({"channels": 6, "partial_channels": 4}, "channels=6 cannot be divided by partial_channels=4"),
        ({"arch_start_epoch": 50}, "arch_start_epoch=50 leaves none"),
        ({"lr": -0.1}, "lr is -0.1"),
        ({"lr": "fast"}, "lr is 'fast'"),
        ({"arch_betas": [0.5]}, "arch_betas"),
        ({"unrolled": "yes"}, "unrolled is 'yes'"),
        ({"memory": "tiny"}, "memory is 'tiny'; it must be one of 'full', 'low'"),
    ],
)
def test_options_that_cannot_work_are_refused(options, message):
    with pytest.raises(MethodError, match=message):
        DARTS.Options(**options)


def test_a_step_without_a_validation_batch_is_refused():
    with pytest.raises(MethodError, match="validation batch"):
        search().step(batches(1)[0][0], None)
