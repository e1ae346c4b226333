"""The supernet against its published counts and against the textbook network."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from methods.base import MethodError, SearchContext
from methods.gradient.mgas.cells.supernet import CellSupernet
from methods.gradient.mgas.cells.topology import Plan
from methods.gradient.mgas.discretize import Discretisation
from methods.gradient.mgas.losses import l_cost, l_thre
from methods.gradient.mgas.sizes import search_size
from methods.gradient.mgas.supernet import role
from methods.gradient.mgas.switches import FIXED, OFFICIAL
from tests.methods.mgas_nets import TINY, images, remove_at_random, saved_bytes, scatter_parameters, tiny_net
from tests.oracles import mgas_supernet as oracle

CIFAR = SearchContext(num_classes=10)


COUNTS = {
    (16, 8): (1_987_194, 2_652_692, 784, 28_288, 704, 1_790_208),
    (24, 8): (4_083_058, 2_664_980, 784, 42_432, 704, 3_685_248),
    (44, 14): (21_003_982, 2_695_700, 1_372, 130_768, 1_220, 19_049_184),
}


@pytest.mark.parametrize("scale", COUNTS, ids=str)
def test_supernet_has_the_published_counts(scale):
    net = CellSupernet(Plan(*scale), CIFAR, FIXED, Discretisation())
    found = {"weight": 0, "heads": 0, "alpha": 0, "kappa": 0}
    kappas = 0
    for name, parameter in net.named_parameters():
        kind = "heads" if name.startswith("heads") else role(name)
        found[kind] = found.get(kind, 0) + parameter.numel()
        kappas += kind == "kappa"
    maskable = sum(p.numel() for name, p in net.named_parameters() if ".convs." in name)
    assert (found["weight"], found["heads"], found["alpha"], found["kappa"], kappas, maskable) == COUNTS[scale]
    thresholds = sum(count for kind, count in found.items() if kind.startswith("t_"))
    assert thresholds == 212 * scale[1]  # of the 300 per cell that the released code allocates, those in use


MACS = {
    (16, 8): (98.19, 207.47, 300.26),
    (24, 8): (181.82, 403.55, 600.00),
    (44, 14): (988.15, 2086.39, 3105.27),
}


@pytest.mark.slow
@pytest.mark.parametrize("scale", [(16, 8)], ids=str)
def test_stages_have_the_published_macs(scale):
    net = CellSupernet(Plan(*scale), CIFAR, FIXED, Discretisation()).eval()
    for stage, millions in enumerate(MACS[scale]):
        net.stage = stage
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            net(torch.zeros(1, 3, 32, 32))
        assert counter.get_total_flops() / 2e6 == pytest.approx(millions, abs=0.005)


PUBLISHED_SIZES = {
    (16, 8): (0.096896, 0.524800, 1.831168),
    (24, 8): (0.183744, 1.043712, 3.777410),
}


@pytest.mark.parametrize("scale", PUBLISHED_SIZES, ids=str)
def test_sizes_in_the_beginning(scale):
    net = CellSupernet(Plan(*scale), CIFAR, OFFICIAL, Discretisation())
    for stage, millions in enumerate(PUBLISHED_SIZES[scale]):
        assert search_size(net.executed(stage), "published") == pytest.approx(
            millions, abs=3e-6
        )  # printed from float32
    maskable = COUNTS[scale][-1]
    reductions = 8 * sum((scale[0] * 2**k) ** 2 for k in (1, 2))
    for measure in ("kept", "nonzero"):
        extra = reductions  # stride-2 skips are counted, and charged where they are
        assert round(1e6 * search_size(net.executed(), measure)) == maskable + extra


SWITCHES = {"fixed": FIXED, "official": OFFICIAL}


@pytest.mark.parametrize("compat", SWITCHES)
@pytest.mark.parametrize("stage", [0, 2])
def test_logits_and_gradients_are_those_of_the_textbook_network(compat: str, stage: int):
    net = tiny_net(switches=SWITCHES[compat])
    remove_at_random(net, 0.6)
    scatter_parameters(net)
    net.stage = stage
    x, y = images()
    expected = oracle.logits(net, x)
    F.cross_entropy(expected, y).backward()
    wanted = {name: parameter.grad for name, parameter in net.named_parameters()}
    net.zero_grad()
    net.train()
    found = net(x)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    F.cross_entropy(found, y).backward()
    for name, parameter in net.named_parameters():
        gradient, reference = parameter.grad, wanted[name]
        if gradient is None or reference is None:
            assert gradient is reference or float((gradient if reference is None else reference).abs().max()) == 0, name
            continue
        scale = max(float(reference.abs().max()), 1e-3)
        torch.testing.assert_close(gradient / scale, reference / scale, atol=2e-3, rtol=0, msg=lambda m, n=name: n + m)


def test_threshold_gradient_is_minus_two_thirds_of_alphas_in_the_beginning():
    net = tiny_net()
    x, y = images(8)
    F.cross_entropy(net(x), y).backward()
    for cell in net.executed(2):
        assert float(cell.alpha.grad.abs().min()) > 0
        torch.testing.assert_close(cell.t_operation.grad, -2 / 3 * cell.alpha.grad, rtol=1e-4, atol=1e-9)


def test_removed_weights_and_filters_get_no_task_gradient():
    net = tiny_net()
    scatter_parameters(net)
    x, y = images()
    net.train()
    F.cross_entropy(net(x), y).backward()
    for cell in net.executed(2):
        for conv in cell.weights.convs:
            assert float(conv.weight.grad[~conv.mask].abs().sum()) == 0
        for norm in cell.filters.norms:
            assert float(norm.kappa.grad[~norm.mask].abs().sum()) == 0
    assert any(float(cell.t_weight.grad.abs().sum()) > 0 for cell in net.executed(2))


def test_a_stage_runs_its_own_and_earlier_cells_only():
    net = tiny_net(cells=5)
    net.stage = 1
    x, y = images()
    F.cross_entropy(net(x), y).backward()
    executed = net.plan.stage_ends[1] + 1
    for index in range(5):
        grads = [parameter.grad is not None for parameter in net.cell(index).parameters()]
        assert any(grads) == (index < executed)
    assert net.classifier.weight.grad is None
    assert net.heads[0][-1].weight.grad is None
    assert net.heads[1][-1].weight.grad is not None


def test_l_cost_reaches_the_stages_own_cells_and_l_thre_all_executed_ones():
    net = tiny_net(cells=5)
    scatter_parameters(net)
    net.stage = 1
    with torch.no_grad():
        net(images()[0])
    own = slice(net.plan.stage_ends[0] + 1, net.plan.stage_ends[1] + 1)
    cells = net.executed()
    loss = l_cost(net.gates(cells)[own], net.operation_masks[own], net.nodes) + l_thre(cells)
    loss.backward()
    for cell in cells:
        mine = own.start <= cell.index < own.stop
        assert (cell.alpha.grad is not None and bool(cell.alpha.grad.abs().max() > 1e-3)) == mine
        assert bool((cell.t_operation.grad != 0).all())


def test_memory_of_a_stage_grows_with_its_cells():
    net = tiny_net()
    sizes = [saved_bytes(net, stage) for stage in range(3)]
    assert sizes[0] < sizes[1] < sizes[2]


def test_imagenet_stem_and_odd_sizes():
    context = SearchContext(num_classes=3, image_size=64, stem="imagenet")
    net = tiny_net(context=context)
    for stage in range(3):
        net.stage = stage
        assert net(torch.randn(2, 3, 64, 64)).shape == (2, 3)


@pytest.mark.parametrize(("channels", "cells", "word"), [(5, 8, "even"), (4, 2, "at least 3 cells")])
def test_impossible_scales_are_refused(channels: int, cells: int, word: str):
    with pytest.raises(MethodError, match=word):
        Plan(channels, cells)


def test_evaluation_leaves_the_masks_of_the_step_alone():
    net = tiny_net()
    net.train()
    net(images()[0])
    before = [cell.filter_now.clone() for cell in net.executed(2)]
    scatter_parameters(net, committed=False)
    net.eval()
    with torch.no_grad():
        net(images()[0])
    assert all(torch.equal(a, cell.filter_now) for a, cell in zip(before, net.executed(2), strict=True))
    assert net.executed(2)[0].plan == Plan(4, 3)
    assert TINY.image_size == 8
