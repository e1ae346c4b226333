"""Spaces of widths: what they refuse, what pruning leaves of their networks, and draws at a size."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch

from methods.architecture import Architecture, ArchitectureError
from methods.base import SearchContext
from methods.genotypes import published
from methods.parts.counts import count_macs, count_params
from methods.spaces import NetworkSettings, build, get_space
from methods.spaces.base import SizeMatch
from methods.spaces.plain.resnet_widths import ResNetWidths
from methods.spaces.width_space import WidthSpace
from methods.spaces.widths import Grid
from methods.spaces.widths_sized import DRAWS, _drawn
from methods.transform.pruning.l1_filters import L1FilterPruning
from methods.transform.pruning.ratio import RatioOptions

SETTINGS = NetworkSettings()
SPACES = ("chain_xs_widths", "resnet_widths")


def space_of(name: str) -> WidthSpace:
    found = get_space(name)
    assert isinstance(found, WidthSpace)
    return found


def counted(architecture: Architecture) -> dict[str, int]:
    network = build(architecture, 10, SETTINGS)
    return {"params": count_params(network), "macs": count_macs(network, (3, 32, 32))}


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize(("on", "share"), [("macs", 0.15), ("macs", 0.5), ("macs", 0.95), ("params", 0.3)])
def test_draws_at_a_size_have_it(name: str, on: str, share: float) -> None:
    space = space_of(name)
    wanted = share * counted(space.reference())[on]
    found = set()
    for seed in (1, 1, 2):
        generator = torch.Generator().manual_seed(seed)
        drawn = space.sample_at_size(generator, SizeMatch(on, wanted, 0.01), 10, SETTINGS, 32)
        assert 0.99 * wanted <= counted(drawn)[on] <= wanted
        sizes = drawn.provenance["sizes"]
        assert {key: sizes[key] for key in ("params", "macs")} == counted(drawn)
        assert space.decode(space.encode(drawn)) == drawn
        found.add(drawn.digest)
    assert len(found) == 2


def test_sizes_that_no_network_has_are_refused() -> None:
    space = space_of("chain_xs_widths")
    for match, words in (
        (SizeMatch("macs", 9e6, 0.01), "have from 179,408 to 2,125,056"),
        (SizeMatch("macs", 500_000.5, 1e-9), "larger tolerance"),
        (SizeMatch("macs", 500_000, 0.01, masked=3), "weights are masked"),
    ):
        with pytest.raises(ArchitectureError, match=words):
            space.sample_at_size(torch.Generator().manual_seed(0), match, 10, SETTINGS, 32)


@dataclass(frozen=True)
class Few(ResNetWidths):
    """With 64 networks."""

    @property
    def grid(self) -> Grid:
        return Grid(((2, 4), (4, 8), (8, 16)), (((2, 4),), ((4,),), ((8, 16),)), (16, 32))


def test_draws_weigh_what_their_probability_took_away() -> None:
    """Weighted by one over its probability every code comes equally often, whatever the slope."""
    decisions = [each for each in Few("resnet_widths").decisions() if len(each.options) > 1]
    codes, logs = _drawn(decisions, 1.2, torch.Generator().manual_seed(1))
    index = sum(codes[each.name] * 2**place for place, each in enumerate(decisions))
    assert isinstance(index, torch.Tensor)
    often = torch.bincount(index, minlength=64).double()
    assert often.max() > 20 * often.min()
    found = torch.zeros(64, dtype=torch.float64).index_add(0, index, (-logs).exp()) / DRAWS
    errors = (found - 1).abs() * often.clamp_min(1).sqrt()
    assert errors.max() < 4.5, "each within 4.5 standard errors of one"


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"stages": []}, "a list of 3 with 'width' and 'inside'"),
    ({"stages": [{"width": 4, "inside": [4]}] * 3, "depth": 20}, "unknown key in a genotype of resnet_widths: 'depth'"),
    ({"stages": [{"width": 4, "inside": [4]}] * 2 + [{"width": 4, "inside": [0]}]}, r"stages.2.0.inside is 0, and a"),
    ({"stages": [{"width": 0, "inside": [4]}] * 3}, r"stages.0.width is 0; it must be a whole number in \[1, 4096\]"),
    ({"stages": [{"width": 4, "inside": []}] * 3}, "stages.0 has 0 blocks; a stage has 1 to 40"),
    ({"stages": [{"width": 4, "inside": [True]}] * 3}, r"stages.0.0.inside is True; it must be a whole number"),
    ({"stages": [{"width": 4, "inside": [4]}] * 3, "resolution": 33}, r"resolution is 33; .* in \[1, 32\]"),
    ({"stages": [[4, 4]] * 3}, "stages.0 is .* it needs 'width' and 'inside'"),
]


@pytest.mark.parametrize(("genotype", "words"), WRONG)
def test_what_is_malformed_is_refused(genotype: dict[str, Any], words: str) -> None:
    with pytest.raises(ArchitectureError, match=words):
        build(Architecture("resnet_widths", genotype), 10, SETTINGS)


def test_other_numbers_and_depths_are_built_and_have_no_code() -> None:
    genotype = {
        "stages": [{"width": 5, "inside": [0, 7]}, {"width": 9, "inside": [3]}, {"width": 6, "inside": [5, 0, 2, 1]}]
    }
    architecture, space = Architecture("resnet_widths", genotype), space_of("resnet_widths")
    counts = space.counts(architecture, 10, SETTINGS)
    assert counted(architecture) == {"params": counts.params, "macs": counts.macs}
    with pytest.raises(ArchitectureError, match="no code stands for stages of 2, 1, 4 blocks; they have 3, 3, 3"):
        space.encode(architecture)
    near = replace(space.reference(), genotype={**space.reference().genotype, "resolution": 20})
    with pytest.raises(ArchitectureError, match=r"no code stands for resolution = 20; one of 16, 24, 32 is"):
        space.encode(near)


@pytest.mark.parametrize("name", SPACES)
def test_pruned_filters_leave_widths(name: str) -> None:
    architecture = space_of(name).reference()
    pruning = L1FilterPruning(RatioOptions(0.4, "macs"), SearchContext(10))
    found = pruning.apply(architecture, build(architecture, 10, SETTINGS), None)
    network = build(found.architecture, 10, SETTINGS)
    network.load_state_dict(dict(found.weights))
    macs = [count_macs(each, (3, 32, 32)) for each in (network, build(architecture, 10, SETTINGS))]
    assert macs[0] == pytest.approx(0.6 * macs[1], rel=0.02)
    assert space_of(name).counts(found.architecture, 10, SETTINGS).macs == macs[0]
    with pytest.raises(ArchitectureError, match="widths"):
        space_of(name).encode(found.architecture)


def test_the_reference_of_a_chain_is_mobilenetv2s_block_everywhere() -> None:
    for size in ("s", "xs"):
        ours, theirs = (
            build(each, 10, SETTINGS)
            for each in (space_of(f"chain_{size}_widths").reference(), published(f"MobileNetV2_chain_{size}"))
        )
        assert {name: tuple(value.shape) for name, value in ours.state_dict().items()} == {
            name: tuple(value.shape) for name, value in theirs.state_dict().items()
        }
        ours.load_state_dict(theirs.state_dict())
        images = torch.randn(2, 3, 32, 32)
        assert torch.equal(ours.eval()(images), theirs.eval()(images))
