"""Weight magnitude pruning: which weights go, exact ratios, masks that survive the disk."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from methods.architecture import Architecture
from methods.base import MethodError, SearchContext
from methods.genotypes import published
from methods.parts.counts import count_macs, count_nonzero, count_params, module_macs
from methods.registry import get_method
from methods.spaces import NetworkSettings, build
from methods.transform.pruning.magnitude import MagnitudeOptions, MagnitudePruning

CONTEXT = SearchContext(num_classes=10, image_size=16)
SHAPE = (3, 16, 16)
SETTINGS = NetworkSettings(channels=8, cells=4, auxiliary=True)


def make() -> tuple[Architecture, nn.Module]:
    torch.manual_seed(0)
    architecture = published("DARTS_V2")
    return architecture, build(architecture, 10, SETTINGS)


def prune(ratio: float, of: str = "params", match=None, **options):
    architecture, network = make()
    method = MagnitudePruning(MagnitudeOptions(ratio, of, **options), CONTEXT)
    return network, method.apply(architecture, network, match)


@pytest.mark.parametrize("scope", ["global", "layer"])
@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("of", ["params", "weights", "macs"])
def test_the_achieved_ratio_is_the_asked_one(scope, linear, of):
    network, pruned = prune(0.6, of, scope=scope, linear=linear)
    masks, report = pruned.architecture.masks, pruned.report
    nonzero, sparse = count_nonzero(network, masks), count_macs(network, SHAPE, masks)
    removed = {"params": 1 - nonzero / count_params(network), "macs": 1 - sparse / count_macs(network, SHAPE)}
    assert report["small"]["params_nonzero"] == nonzero
    assert report["small"]["macs_sparse"] == sparse
    assert {unit: report["achieved"][unit] for unit in removed} == pytest.approx(removed)
    assert report["achieved"][of] == pytest.approx(0.6, abs=1e-3)
    assert ("classifier.weight" in masks) == linear
    assert not any(name.startswith("auxiliary_head") for name in masks)


def test_global_scope_is_one_threshold():
    network, pruned = prune(0.5)
    kept, removed = [], []
    for name, mask in pruned.architecture.masks.items():
        weight = network.get_parameter(name).detach().abs().clone()
        removed.append(weight[~mask])
        weight.view(-1)[weight.argmax()] = torch.inf
        kept.append(weight[mask])
    assert torch.cat(kept).min() >= torch.cat(removed).max()


def test_layer_scope_is_one_share():
    """One share f fits all layers: each has lost floor(f * n) of its n weights."""
    network, pruned = prune(0.5, "weights", scope="layer")
    masks = pruned.architecture.masks
    removed = [(int((~mask).sum()), mask.numel()) for mask in masks.values()]
    assert max(r / n for r, n in removed) <= min((r + 1) / n for r, n in removed)
    assert pruned.report["density"] == pytest.approx({name: mask.float().mean().item() for name, mask in masks.items()})
    for name, mask in masks.items():
        weight = network.get_parameter(name).detach().abs()
        assert weight[mask].min() >= weight[~mask].max()


def test_weights_are_zero_where_masked_and_untouched_elsewhere():
    network, pruned = prune(0.4)
    for name, value in network.state_dict().items():
        mask = pruned.architecture.masks.get(name)
        assert torch.equal(pruned.weights[name], value if mask is None else value * mask)
    assert all(parameter.all() for name, parameter in network.named_parameters() if name.endswith(".1.weight"))


def test_sparse_macs_by_hand():
    network, pruned = prune(0.4)
    masks = pruned.architecture.masks
    dense = module_macs(network, SHAPE)
    by_density = sum(
        dense[name] * masks[f"{name}.weight"].double().mean().item() for name in dense if f"{name}.weight" in masks
    )
    assert pruned.report["small"]["macs_sparse"] == pytest.approx(by_density + dense["classifier"])


def test_every_layer_keeps_a_weight():
    _, pruned = prune(0.94, linear=True)
    assert all(mask.any() for mask in pruned.architecture.masks.values())
    assert pruned.report["at_minimum"]
    with pytest.raises(MethodError, match="would empty a layer"):
        prune(0.999)


def test_the_architecture_survives_the_disk_and_fits_its_network(tmp_path):
    _, pruned = prune(0.4)
    pruned.architecture.save(tmp_path)
    loaded = Architecture.load(tmp_path)
    assert loaded == pruned.architecture
    network = build(loaded, 10, NetworkSettings(channels=3, cells=3, auxiliary=True))
    network.load_state_dict(pruned.weights, strict=True)
    assert all(network.get_parameter(name).shape == mask.shape for name, mask in loaded.masks.items())


def test_match():
    network, _ = prune(0.5)
    wanted = 0.3 * count_params(network)
    _, pruned = prune(0.5, match={"on": "params_nonzero", "value": wanted})
    assert pruned.report["small"]["params_nonzero"] == pytest.approx(wanted, abs=1)
    _, pruned = prune(0.5, match={"on": "macs_sparse", "value": 0.7 * count_macs(network, SHAPE)})
    assert pruned.report["achieved"]["macs"] == pytest.approx(0.3, abs=1e-3)
    with pytest.raises(MethodError, match="cannot match 'macs'; it can match params_nonzero, macs_sparse"):
        prune(0.5, match={"on": "macs", "value": wanted})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ratio": 1.0}, "strictly between 0 and 1"),
        ({"of": "filters"}, "a ratio of filters has no meaning"),
        ({"scope": "cell"}, "scope is 'cell'; it must be one of 'global', 'layer'"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(MethodError, match=message):
        MagnitudeOptions(**options)


def test_masked_architectures_are_refused_and_it_is_registered():
    architecture, network = make()
    pruned = MagnitudePruning(MagnitudeOptions(), CONTEXT).apply(architecture, network, None)
    with pytest.raises(MethodError, match="has weight masks already"):
        MagnitudePruning(MagnitudeOptions(), CONTEXT).apply(pruned.architecture, network, None)
    assert get_method("magnitude_pruning") is MagnitudePruning
