"""Removing channels of cell networks: the small network computes what the large one does with zeroed filters."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from methods.architecture import Architecture, ArchitectureError
from methods.spaces import NetworkSettings, build, get_space
from methods.spaces.channels import ChannelGroup, channel_groups, shrink

GENOTYPES = Path(__file__).parents[2] / "methods" / "genotypes"
SETTINGS = NetworkSettings(channels=6, cells=5, auxiliary=True)


def published(name: str) -> Architecture:
    return Architecture.load(GENOTYPES / f"{name}.json")


def randomise(network: nn.Module) -> None:
    """Weights and statistics that leave no accidental zero or one."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0.0, 0.3)
            nn.init.normal_(module.running_mean, 0.0, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)


def random_keep(groups: tuple[ChannelGroup, ...], generator: torch.Generator) -> dict[str, Tensor]:
    """Any subset of each group that leaves every producer a filter; sometimes in another order."""
    keep = {}
    for group in groups:
        mask = torch.rand(group.size, generator=generator) < torch.rand((), generator=generator)
        for first, end in group.sections:
            mask[first + int(torch.randint(end - first, (), generator=generator))] = True
        keep[group.name] = mask.nonzero().flatten().flip(0)
    return keep


def zero_removed(network: nn.Module, groups: tuple[ChannelGroup, ...], keep: dict[str, Tensor]) -> None:
    """The oracle: the large network with the rows of removed filters and their affine norm entries set to zero."""
    with torch.no_grad():
        for group in groups:
            removed = torch.ones(group.size, dtype=torch.bool)
            removed[keep[group.name]] = False
            for slot in group.producers:
                module = network.get_submodule(slot.module)
                module.weight[removed[slot.first : slot.first + slot.length]] = 0
                if module.bias is not None:
                    module.bias[removed[slot.first : slot.first + slot.length]] = 0
            for name in group.norms:
                network.get_submodule(name).weight[removed] = 0
                network.get_submodule(name).bias[removed] = 0


def check_shrink(
    architecture: Architecture, settings: NetworkSettings, seed: int, dtype: torch.dtype, atol: float, image: int = 16
) -> tuple[nn.Module, nn.Module]:
    """Build, remove random channels of all groups at once, build again, compare outputs. Returns both networks."""
    torch.manual_seed(seed)
    large = build(architecture, 10, settings).to(dtype).eval()
    randomise(large)
    groups = channel_groups(large)
    keep = random_keep(groups, torch.Generator().manual_seed(seed))
    zero_removed(large, groups, keep)
    smaller, weights = shrink(architecture, large, keep)
    small = build(smaller, 10, replace(settings, channels=99, cells=3)).to(dtype).eval()
    small.load_state_dict(weights, strict=True)
    images = torch.randn(3, settings.in_channels, image, image, dtype=dtype)
    with torch.no_grad():
        expected, found = large(images), small(images)
    assert expected.std() > 1e-3
    torch.testing.assert_close(found, expected, atol=atol, rtol=atol)
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in large.parameters())
    return large, small


@pytest.mark.parametrize("name", ["DARTS_V2", "PC_DARTS_cifar", "DARTS_V1"])
@pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_published_cells(name, dtype, atol):
    check_shrink(published(name), SETTINGS, seed=1, dtype=dtype, atol=atol)


@pytest.mark.parametrize("seed", range(12))
def test_random_cells(seed):
    architecture = get_space("darts_cell").sample(torch.Generator().manual_seed(seed))
    check_shrink(architecture, SETTINGS, seed, torch.float64, 1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_random_cells_with_norms_after_pools(seed):
    architecture = get_space("dense_cell").sample(torch.Generator().manual_seed(seed))
    check_shrink(architecture, replace(SETTINGS, auxiliary=False), seed, torch.float64, 1e-12)


def test_imagenet_stem_keeps_its_channels():
    settings = NetworkSettings(channels=6, cells=4, stem="imagenet", in_channels=1)
    large, small = check_shrink(published("DARTS_V2"), settings, 3, torch.float64, 1e-12, image=64)
    assert small.stem1[1].out_channels == large.stem1[1].out_channels == 6


def test_auxiliary_logits_agree():
    """In training mode with frozen norms, so that the auxiliary head runs on the large image it needs."""
    torch.manual_seed(0)
    architecture = published("DARTS_V2")
    large = build(architecture, 10, SETTINGS).double()
    randomise(large)
    groups = channel_groups(large)
    keep = random_keep(groups, torch.Generator().manual_seed(5))
    zero_removed(large, groups, keep)
    smaller, weights = shrink(architecture, large, keep)
    small = build(smaller, 10, SETTINGS).double()
    small.load_state_dict(weights)
    images = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    for network in (large, small):
        network.train()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
    torch.testing.assert_close(small(images)[1], large(images)[1], atol=1e-12, rtol=0)


def test_groups_of_darts_v2():
    """In the normal cell nodes 4 and 5 have a skip from state 0; edges 4 (separable) and 7 (dilated) add to them."""
    with torch.device("meta"):
        network = build(published("DARTS_V2"), 10, NetworkSettings(channels=36, cells=20))
    groups = {group.name: group for group in channel_groups(network)}
    names = [name for group in groups.values() for name in group.names]
    assert len(names) == len(set(names))
    coupled = groups["cells.0.s0"]
    assert coupled.names == ("cells.0.s0", "cells.0.s4", "cells.0.s5")
    producers = [slot.module for slot in coupled.producers]
    assert producers == ["cells.0.preprocess0.1", "cells.0.operations.4.6", "cells.0.operations.7.2"]
    assert groups["stem"].size == 108
    by_offset = {slot.module: slot.offset for slot in groups["cells.0.s3"].consumers if "preprocess" in slot.module}
    assert by_offset == {"cells.1.preprocess1.1": 36, "cells.2.preprocess0.1": 36}
    halves = groups["cells.7.s0"]
    assert halves.sections == ((0, 36), (0, 72), (36, 72))


def test_every_shape_belongs_to_a_group():
    """Each convolution's filters and inputs, but for the image and the classes, are some group's."""
    network = build(published("PC_DARTS_cifar"), 10, SETTINGS)
    produced, consumed = set(), set()
    for group in channel_groups(network):
        produced |= {slot.module for slot in group.producers} | set(group.depthwise)
        consumed |= {slot.module for slot in group.consumers} | set(group.depthwise)
    layers = {n for n, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    head = {"auxiliary_head.2", "auxiliary_head.5", "auxiliary_head.9"}
    assert layers - produced == {"classifier", *head}
    assert layers - consumed == {"stem.0", "auxiliary_head.5", "auxiliary_head.9"}


def test_masks_are_sliced_with_the_weights():
    architecture = published("DARTS_V2")
    large = build(architecture, 10, SETTINGS)
    name = "cells.1.preprocess1.1.weight"
    masked = replace(architecture, masks={name: torch.rand_like(large.get_parameter(name)) > 0.5})
    keep = random_keep(channel_groups(large), torch.Generator().manual_seed(0))
    smaller, weights = shrink(masked, large, keep)
    assert smaller.masks[name].shape == weights[name].shape
    kept = large.get_parameter(name)[masked.masks[name]]
    assert torch.isin(weights[name][smaller.masks[name]], kept).all()


def test_uneven_halves_survive_a_second_shrink():
    architecture = published("DARTS_V2")
    large = build(architecture, 10, SETTINGS)
    keep = {"cells.2.s0": torch.tensor([0, 6, 7, 8, 9])}
    once, weights = shrink(architecture, large, keep)
    assert once.widths["cells.2.s0.first"] == 1
    middle = build(once, 10, SETTINGS)
    middle.load_state_dict(weights)
    twice, weights = shrink(once, middle, {"cells.2.s0": torch.tensor([0, 1])})
    assert "cells.2.s0.first" not in twice.widths
    build(twice, 10, SETTINGS).load_state_dict(weights)


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        ({"cells.0.nothing": torch.tensor([0])}, "unknown channel groups"),
        ({"stem": torch.tensor([99])}, "has 18 channels, not 99"),
        ({"stem": torch.tensor([], dtype=torch.long)}, "none of its channels 0..17"),
        ({"cells.2.s0": torch.tensor([0, 1])}, "none of its channels 6..11"),
    ],
)
def test_bad_keep(keep, message):
    architecture = published("DARTS_V2")
    with pytest.raises(ArchitectureError, match=message):
        shrink(architecture, build(architecture, 10, SETTINGS), keep)


def test_a_network_without_groups():
    with pytest.raises(ArchitectureError, match="does not declare its channel groups"):
        channel_groups(nn.Linear(2, 2))
