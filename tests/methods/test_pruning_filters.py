"""Filter pruning: which filters go, how many, and what is said about it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from methods.architecture import Architecture, ArchitectureError
from methods.base import MethodError, SearchContext
from methods.genotypes import published
from methods.registry import get_method
from methods.spaces import NetworkSettings, build
from methods.spaces.channels import channel_groups, keep_masks, shrink
from methods.transform.pruning.l1_filters import L1FilterPruning
from methods.transform.pruning.ratio import RatioOptions, measure
from methods.transform.pruning.size import SizeModel
from methods.transform.pruning.slimming import NetworkSlimming, SlimmingOptions
from tests.methods.test_channels_cells import random_keep, randomise

CONTEXT = SearchContext(num_classes=10, image_size=16)
SHAPE = (3, 16, 16)
SETTINGS = NetworkSettings(channels=8, cells=5, auxiliary=True)
NETWORKS = {
    "darts": published("DARTS_V2"),
    "pc_darts": published("PC_DARTS_cifar"),
    "resnet": Architecture("resnet", {"depth": 20}),
    "resnet_projection": Architecture("resnet", {"depth": 20, "shortcut": "projection"}, {"channels": 8}),
    "vgg": Architecture("vgg", {"depth": 16, "hidden": 64}, {"channels": 12}),
}


def make(name: str, seed: int = 0) -> tuple[Architecture, nn.Module]:
    torch.manual_seed(seed)
    network = build(NETWORKS[name], 10, SETTINGS)
    randomise(network)
    return NETWORKS[name], network


def l1(ratio: float = 0.5, of: str = "params") -> L1FilterPruning:
    return L1FilterPruning(RatioOptions(ratio, of), CONTEXT)


def slimming(ratio: float = 0.5, of: str = "params", penalty: float = 1e-4) -> NetworkSlimming:
    return NetworkSlimming(SlimmingOptions(ratio, of, penalty), CONTEXT)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_closed_form_is_the_built_networks_size(name):
    architecture, network = make(name)
    groups = channel_groups(network)
    model = SizeModel(network, groups, SHAPE)
    assert model.counts(keep_masks(groups, {})) == measure(network, SHAPE)
    for seed in range(3):
        keep = random_keep(groups, torch.Generator().manual_seed(seed))
        smaller, _ = shrink(architecture, network, keep)
        with torch.device("meta"):
            built = build(smaller, 10, SETTINGS)
        assert model.counts(keep_masks(groups, keep)) == measure(built, SHAPE)


OFTEN = {("params", l1), ("weights", l1), ("macs", slimming), ("filters", slimming)}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(
    ("of", "method"),
    [
        pytest.param(of, method, marks=() if (of, method) in OFTEN else pytest.mark.long)
        for of in ("params", "macs", "weights", "filters")
        for method in (l1, slimming)
    ],
)
def test_the_achieved_ratio_is_the_asked_one(name, of, method):
    architecture, network = make(name)
    for ratio in (0.15, 0.45):
        pruned = method(ratio, of).apply(architecture, network, None)
        small = build(pruned.architecture, 10, SETTINGS)
        small.load_state_dict(pruned.weights, strict=True)
        counted = measure(small, SHAPE)
        achieved = counted.removed(measure(network, SHAPE))
        assert achieved[of] == pytest.approx(ratio, abs=0.01)
        assert pruned.report["achieved"] == achieved
        assert (pruned.report["asked"], pruned.report["of"]) == (ratio, of)
        assert pruned.report["small"]["params"] == counted.params


def kept_channels(network: nn.Module, pruned_weights, group) -> Tensor:
    """Which channels of a group the small network inherited, found by their running means (all different)."""
    large = network.get_submodule(group.norms[0]).running_mean
    return torch.isin(large, pruned_weights[f"{group.norms[0]}.running_mean"])


def test_l1_keeps_the_largest_filters_and_prunes_layers_alike():
    """Against a plain loop over filters; the norm of a filter is that of all weights that make the channel."""
    architecture, network = make("vgg")
    pruned = l1(0.6, "filters").apply(architecture, network, None)
    for group in channel_groups(network):
        weight = network.get_submodule(group.producers[0].module).weight
        norms = torch.tensor([sum(abs(v) for v in row.flatten().tolist()) for row in weight])
        kept = kept_channels(network, pruned.weights, group)
        assert norms[kept].min() > norms[~kept].max()
        assert float((~kept).float().mean()) == pytest.approx(0.6, abs=1.01 / group.size)


def test_l1_sums_over_coupled_producers():
    _, network = make("darts")
    group = next(group for group in channel_groups(network) if len(group.producers) > 1 and len(group.sections) > 1)
    expected = torch.zeros(group.size, dtype=torch.float64)
    for slot in group.producers:
        for row, weight in enumerate(network.get_submodule(slot.module).weight.double()):
            expected[slot.first + row] += weight.abs().sum().item()
    torch.testing.assert_close(l1().scores(network, [group])[group.name], expected)


@pytest.mark.parametrize("name", ["darts", "vgg"])
def test_slimming_has_one_threshold(name):
    architecture, network = make(name)
    pruned = slimming(0.4, "filters").apply(architecture, network, None)
    kept_scores, removed_scores = [], []
    for group in channel_groups(network):
        scales = torch.stack([network.get_submodule(norm).weight.detach().abs() for norm in group.norms]).mean(0)
        kept = kept_channels(network, pruned.weights, group)
        best = {first + int(scales[first:end].argmax()) for first, end in group.sections}
        kept_scores += [float(scales[c]) for c in kept.nonzero().flatten().tolist() if c not in best]
        removed_scores += scales[~kept].tolist()
    assert max(removed_scores) <= min(kept_scores)


def test_slimmings_penalty_and_its_gradient():
    _, network = make("darts")
    with torch.no_grad():
        network.stem[1].weight[:3] *= -1
    penalty = slimming(penalty=3e-3).training_penalty(network)
    norms = {n: m for n, m in network.named_modules() if isinstance(m, nn.BatchNorm2d) and "auxiliary" not in n}
    expected = sum(abs(v) for norm in norms.values() for v in norm.weight.tolist())
    assert penalty.item() == pytest.approx(3e-3 * expected, rel=1e-5)
    penalty.backward()
    torch.testing.assert_close(network.stem[1].weight.grad, 3e-3 * network.stem[1].weight.sign())
    assert all(p.grad is None for n, p in network.named_parameters() if n.startswith("auxiliary_head"))
    assert l1().training_penalty(network) is None
    assert NetworkSlimming.penalty_options({"ratio": 0.5, "penalty": 1e-5}) == {"penalty": 1e-5}


@pytest.mark.parametrize("on", ["params", "params_nonzero", "macs"])
def test_match_reaches_another_size(on):
    architecture, network = make("pc_darts")
    unit = "macs" if on == "macs" else "params"
    size = getattr(measure(network, SHAPE), unit)
    wanted = 0.37 * size
    pruned = l1(0.9).apply(architecture, network, {"on": on, "value": wanted})
    assert pruned.report["small"][unit] == pytest.approx(wanted, abs=0.01 * size)
    assert pruned.report["asked"] == pytest.approx(0.63)
    assert pruned.report["match"] == {"on": on, "value": wanted}


def test_the_report_lists_widths():
    architecture, network = make("vgg")
    report = slimming(0.9, "filters").apply(architecture, network, None).report
    kept, size = report["widths"]["blocks.12"]
    assert 1 <= kept < size == 96
    assert all(report["widths"][name][0] == 1 for name in report["at_minimum"])


def test_the_trained_network_is_left_as_it_was():
    architecture, network = make("resnet")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    l1(0.3, "macs").apply(architecture, network.train(), None)
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_registered():
    assert get_method("l1_filter_pruning") is L1FilterPruning
    assert get_method("network_slimming") is NetworkSlimming


@pytest.mark.parametrize("ratio", [0, 1, -0.1, 1.5, float("nan"), "half", True])
def test_ratio_must_lie_between_zero_and_one(ratio):
    with pytest.raises(MethodError, match="strictly between 0 and 1"):
        RatioOptions(ratio)


@pytest.mark.parametrize(
    ("match", "message"),
    [
        ({"on": "latency", "value": 1}, "cannot match 'latency'; it can match params, params_nonzero, macs"),
        ({"on": "params", "value": 10**12}, "is above the dense network's"),
        ({"on": "params", "value": -5}, "must be a number above 0"),
        ({"on": "params", "value": None}, "must be a number above 0"),
        ({"on": "macs", "value": 10}, "would empty a layer"),
    ],
)
def test_bad_match(match, message):
    architecture, network = make("resnet")
    with pytest.raises(MethodError, match=message):
        l1().apply(architecture, network, match)


@pytest.mark.parametrize("method", [l1, slimming])
def test_a_ratio_that_would_empty_a_layer(method):
    architecture, network = make("vgg")
    with pytest.raises(MethodError, match=r"would empty a layer: with one filter left .* are gone"):
        method(0.995, "filters").apply(architecture, network, None)


def test_slimming_without_scales():
    architecture, network = make("vgg")
    network.blocks[3][1] = nn.BatchNorm2d(24, affine=False)
    with pytest.raises(MethodError, match=r"needs batch normalisation with scales over every group.*blocks\.3"):
        slimming().apply(architecture, network, None)
    with pytest.raises(MethodError, match="Linear has none"):
        slimming().training_penalty(nn.Linear(2, 2))


def test_other_bad_input():
    architecture, network = make("vgg")
    masked = Architecture("vgg", architecture.genotype, masks={"classifier.weight": torch.ones(10, 64).bool()})
    with pytest.raises(MethodError, match="has weight masks already"):
        l1().apply(masked, network, None)
    with pytest.raises(MethodError, match="of is 'flops'; it must be one of"):
        RatioOptions(0.5, "flops")
    with pytest.raises(MethodError, match="penalty is -1"):
        SlimmingOptions(penalty=-1)
    with pytest.raises(MethodError, match="not the one its architecture and task describe"):
        L1FilterPruning(RatioOptions(), SearchContext(num_classes=7, image_size=16)).apply(architecture, network, None)
    with pytest.raises(ArchitectureError, match="does not declare its channel groups"):
        l1().apply(architecture, nn.Sequential(nn.Conv2d(3, 3, 1)), None)
