"""The supernet executed by source state against the textbook form: one module for every edge and candidate."""

from __future__ import annotations

import copy
from functools import partial

import pytest
import torch
import torch.nn.functional as F

from methods.parts.convolution import depthwise, pointwise
from methods.parts.discretiser import top_two_edges
from methods.parts.executors.mixture import Mixture
from methods.parts.executors.partial_channels import PartialChannels, channel_shuffle, partial_channels
from methods.parts.executors.recompute import Recompute
from methods.parts.gates import Gates
from methods.parts.parameterisation import EdgeNormalisedSoftmax, Softmax
from methods.spaces.cell.supernet import CellSupernet
from methods.spaces.cell.topology import TOPOLOGY
from methods.spaces.operations import OPERATIONS, make_operation
from methods.spaces.supernet_settings import SupernetSettings
from tests.methods.per_edge import gates_of, per_edge
from tests.oracles.cell_supernet import Supernet


@pytest.fixture(autouse=True)
def _double_precision():
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(torch.float32)


def pair(channels, cells, share=1, edge_normalisation=False):
    """A supernet and the oracle with the same weights; architecture parameters far from uniform."""
    executor = partial_channels(Mixture, share)
    parameterisation = EdgeNormalisedSoftmax(TOPOLOGY) if edge_normalisation else Softmax(TOPOLOGY)
    for parameter in parameterisation.parameters():
        torch.nn.init.normal_(parameter)
    fast = CellSupernet(10, SupernetSettings(channels, cells), parameterisation, executor)
    for norm in (m for m in fast.modules() if isinstance(m, torch.nn.BatchNorm2d)):
        norm.running_mean.uniform_(-0.1, 0.1)
        norm.running_var.uniform_(0.5, 1.5)
    oracle = Supernet(10, channels, cells, share)
    missing, unexpected = oracle.load_state_dict(per_edge(fast.state_dict()), strict=False)
    assert not unexpected
    assert all(name.endswith("num_batches_tracked") for name in missing)
    return fast, oracle


def compare(fast, oracle, images, labels):
    """Loss, all gradients and running statistics agree to 1e-9."""
    loss = F.cross_entropy(fast(images), labels)
    expected = F.cross_entropy(oracle(images, gates_of(fast.parameterisation)), labels)
    torch.testing.assert_close(loss, expected, rtol=1e-9, atol=1e-9)
    alphas = fast.architecture_parameters()
    weights = {n: p for n, p in fast.named_parameters() if not n.startswith("parameterisation.")}
    gradients = torch.autograd.grad(loss, [*alphas, *weights.values()])
    batched = per_edge(dict(zip(weights, gradients[len(alphas) :], strict=True)))
    theirs = dict(oracle.named_parameters())
    assert batched.keys() == theirs.keys()
    expected_gradients = torch.autograd.grad(expected, [*alphas, *theirs.values()])
    for name, found, wanted in zip(
        [f"alpha {n}" for n in range(len(alphas))] + list(theirs),
        [*gradients[: len(alphas)], *(batched[name] for name in theirs)],
        expected_gradients,
        strict=True,
    ):
        torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9, msg=lambda m, n=name: f"{n}: {m}")
    assert max(g.abs().max() for g in gradients) > 1e-3
    statistics = {n: b for n, b in oracle.named_buffers() if "running" in n}
    found = per_edge(dict(fast.named_buffers()))
    for name, wanted in statistics.items():
        torch.testing.assert_close(found[name], wanted, rtol=1e-9, atol=1e-9, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("channels", "cells", "size", "share", "edge_normalisation"),
    [
        (2, 4, 12, 1, True),
        (8, 3, 8, 4, False),
        *(pytest.param(*each, marks=pytest.mark.long) for each in ((4, 3, 8, 1, False), (4, 3, 12, 2, True))),
    ],
)
def test_equals_one_module_per_edge(channels, cells, size, share, edge_normalisation, training):
    fast, oracle = pair(channels, cells, share, edge_normalisation)
    fast.train(training)
    oracle.train(training)
    compare(fast, oracle, torch.randn(4, 3, size, size), torch.randint(10, (4,)))


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2)])
@pytest.mark.parametrize(("height", "width"), [(8, 8), (7, 9), (5, 4), (3, 3), (2, 2), (4, 1), (1, 1)])
def test_depthwise_backward_equals_autograd(kernel, stride, dilation, height, width):
    x, weight = torch.randn(3, 6, height, width, requires_grad=True), torch.randn(6, 1, kernel, kernel)
    weight.requires_grad_()
    expected = F.conv2d(x, weight, None, stride, dilation * (kernel // 2), dilation, groups=6)
    found = depthwise(x, weight, stride, dilation)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    gradient = torch.randn_like(expected)
    for a, b in zip(*(torch.autograd.grad(y, (x, weight), gradient) for y in (found, expected)), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def test_pointwise_convolves_each_edge_by_itself():
    x, weight = torch.randn(2, 12, 3, 5), torch.randn(3, 2, 4)
    expected = [F.conv2d(part, w[:, :, None, None]) for part, w in zip(x.chunk(3, 1), weight, strict=True)]
    torch.testing.assert_close(pointwise(x, weight), torch.cat(expected, dim=1))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_one_hot_gates_equal_the_single_operation(operation, stride):
    mixture, channels = Mixture(4, 1, stride), 4
    state, column = torch.randn(3, channels, 8, 8), OPERATIONS.index(operation)
    single = make_operation(operation, channels, channels, stride, affine=False, pool_norm=True)
    names = per_edge({f"cells.0.sources.4.{name}": tensor for name, tensor in mixture.state_dict().items()})
    prefix = f"cells.0.edges.13.operations.{column}."
    own = {name.removeprefix(prefix): tensor for name, tensor in names.items() if name.startswith(prefix)}
    single.load_state_dict(own, strict=False)
    gates = Gates(F.one_hot(torch.tensor([column]), len(OPERATIONS)).double(), torch.ones(1))
    torch.testing.assert_close(mixture(state, gates), single(state))


@pytest.mark.parametrize(
    ("share", "num_classes", "stem", "expected"),
    [
        (1, 10, "cifar", 1_930_618),
        (1, 100, "cifar", 1_953_748),
        (4, 10, "cifar", 299_578),
        (4, 100, "cifar", 322_708),
        (2, 1000, "imagenet", 956_512),
    ],
)
def test_parameter_counts_of_the_published_supernets(share, num_classes, stem, expected):
    executor = partial_channels(Mixture, share)
    supernet = CellSupernet(num_classes, SupernetSettings(16, 8, stem), EdgeNormalisedSoftmax(TOPOLOGY), executor)
    assert sum(p.numel() for p in supernet.weights()) == expected
    assert sum(p.numel() for p in supernet.architecture_parameters()) == 252
    assert sum(p.numel() for p in Softmax(TOPOLOGY).parameters()) == 224


def test_imagenet_stem_reduces_eightfold_before_the_cells():
    supernet = CellSupernet(10, SupernetSettings(4, 3, "imagenet"), Softmax(TOPOLOGY), Mixture)
    assert supernet.stem1(supernet.stem(torch.randn(2, 3, 64, 64))).shape == (2, 12, 8, 8)
    assert supernet(torch.randn(2, 3, 64, 64)).shape == (2, 10)


@pytest.mark.parametrize("stride", [1, 2])
def test_bypass_channels_are_the_input_up_to_the_shuffle(stride):
    share, channels = 4, 8
    executor = PartialChannels(channels, 1, stride, share, Mixture)
    state = torch.randn(2, channels, 6, 6)
    node, _ = executor.next_node(executor(state, Gates(torch.zeros(1, len(OPERATIONS)), torch.ones(1))))
    source = channel_shuffle(torch.arange(float(channels)).view(1, -1, 1, 1), share).flatten().long()
    expected = state if stride == 1 else F.max_pool2d(state, 2, 2)
    for position, channel in enumerate(source.tolist()):
        wanted = expected[:, channel] if channel >= channels // share else torch.zeros_like(expected[:, 0])
        torch.testing.assert_close(node[:, position], wanted, rtol=0, atol=0)
    assert source.tolist() == [0, 2, 4, 6, 1, 3, 5, 7]


def test_beta_sums_to_one_at_every_node():
    parameterisation = EdgeNormalisedSoftmax(TOPOLOGY)
    torch.nn.init.normal_(parameterisation.beta["normal"])
    edges = parameterisation.gates("normal").weights
    for node in range(2, 6):
        total = sum(edges[row] for row in TOPOLOGY.entering(node))
        torch.testing.assert_close(total, torch.tensor(1.0))


def test_edge_weights_decide_between_edges():
    operations = torch.full((14, 8), 0.1)
    operations[:, OPERATIONS.index("sep_conv_3x3")] = 0.2
    operations[:, 0] = 0.9  # `none` is never chosen
    operations[0] = operations[1] = torch.full((8,), 0.01)
    operations[0, OPERATIONS.index("dil_conv_5x5")] = 0.02
    plain = top_two_edges(Gates(operations, torch.ones(14)), TOPOLOGY)["edges"]
    assert plain[0] == ["dil_conv_5x5", 0, 2]
    assert plain[2:4] == [["sep_conv_3x3", 0, 3], ["sep_conv_3x3", 1, 3]]
    edges = torch.ones(14)
    edges[2] = 0.1
    assert top_two_edges(Gates(operations, edges), TOPOLOGY)["edges"][2:4] == [
        ["sep_conv_3x3", 1, 3],
        ["sep_conv_3x3", 2, 3],
    ]


def saved_bytes(executor, stride):
    """Bytes of distinct tensors, other than parameters and the state itself, kept for the backward pass."""
    state = torch.randn(8, 16, 16, 16, requires_grad=True)
    gates = Gates(torch.rand(4, 8, requires_grad=True), torch.rand(4, requires_grad=True))
    storages = {}

    def pack(tensor):
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        executor(state, gates)
    known = {t.untyped_storage().data_ptr() for t in [*executor.parameters(), state]}
    return sum(storage.nbytes() for pointer, storage in storages.items() if pointer not in known)


def test_recomputing_keeps_only_what_enters_a_state():
    executor = Recompute(16, 4, 1, executor=Mixture)
    assert saved_bytes(executor, 1) < 0.05 * saved_bytes(Mixture(16, 4, 1), 1)


@pytest.mark.parametrize("share", [1, 4])
def test_recomputing_changes_nothing(share):
    plain, _ = pair(4, 3, share, edge_normalisation=True)
    executor = partial_channels(Mixture, share)
    parameterisation = copy.deepcopy(plain.parameterisation)
    low = CellSupernet(10, SupernetSettings(4, 3), parameterisation, partial(Recompute, executor=executor))
    for mine, theirs in zip(low.state_dict().values(), plain.state_dict().values(), strict=True):
        mine.copy_(theirs)
    images, labels = torch.randn(4, 3, 8, 8), torch.randint(10, (4,))
    for network in (plain, low):
        F.cross_entropy(network(images), labels).backward()
    for mine, theirs in zip(low.parameters(), plain.parameters(), strict=True):
        assert torch.equal(mine.grad, theirs.grad)
    for (name, mine), theirs in zip(low.named_buffers(), plain.buffers(), strict=True):
        assert torch.equal(mine, theirs), name


@pytest.mark.parametrize("stride", [1, 2])
def test_activation_memory_falls_about_fourfold(stride):
    full, quarter = Mixture(16, 4, stride), PartialChannels(16, 4, stride, 4, Mixture)
    assert saved_bytes(full, stride) / saved_bytes(quarter, stride) == pytest.approx(4, rel=0.2)
