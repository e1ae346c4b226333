"""Chains of blocks side by side drawn at a size: the size met, every draw sound, and what stays drawn fairly."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from methods.architecture import Architecture, ArchitectureError
from methods.parts.counts import count_macs, count_nonzero, count_params
from methods.spaces import NetworkSettings, get_space
from methods.spaces.base import SizeMatch

SETTINGS = NetworkSettings(in_channels=1)
SPACE = get_space("dense_chain_xs")


def draw(
    seed: int, on: str = "params", value: float = 40_000, masked: int = 300, tolerance: float = 0.01, channels: int = 8
) -> Architecture:
    match = SizeMatch(on, value, tolerance, masked, {"channels": channels})
    return SPACE.sample_at_size(torch.Generator().manual_seed(seed), match, 10, SETTINGS, 16)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("on", "value", "channels"),
    [("params", 12_000, 8), ("params", 60_000, 8), ("macs", 300_000, 8), ("macs", 900_000, 8), ("params", 90_000, 16)],
)
def test_every_draw_is_of_the_size_and_builds_and_counts(on: str, value: float, channels: int) -> None:
    digests = set()
    for seed in range(4):
        found = draw(seed, on, value, channels=channels)
        SPACE.validate(found)
        network = SPACE.build(found, 10, SETTINGS)
        counted = {"params": count_params(network), "macs": count_macs(network, (1, 16, 16))}
        assert 0.99 * value <= counted[on] <= value
        sizes = found.provenance["sizes"]
        assert (sizes["params"], sizes["macs"]) == (counted["params"], counted["macs"])
        parameters = dict(network.named_parameters())
        assert all(parameters[name].shape == mask.shape for name, mask in found.masks.items())
        assert sizes["params_nonzero"] == count_nonzero(network, found.masks) == counted["params"] - 300
        network.train()(torch.randn(2, 1, 16, 16)).sum().backward()
        digests.add(found.digest)
    assert len(digests) == 4


def test_the_same_seed_draws_the_same() -> None:
    assert draw(3) == draw(3)


def test_every_block_is_as_likely_as_every_other_and_places_may_be_empty() -> None:
    blocks: Counter[str] = Counter()
    empty = filters = 0
    for seed in range(120):
        found = draw(seed, masked=0)
        places = [place for stage in found.genotype["chain"].split("|") for place in stage.split()]
        assert "zero" not in [places[n] for n in (0, 1, 3, 5)]
        empty += places.count("zero")
        # at one place: sizes differ between places, and large blocks are passed over in the end
        blocks.update(name for name in places[0].split("+"))
        filters += bool(found.widths)
    assert empty > 20
    assert filters > 100
    expected = sum(blocks.values()) / 6
    assert all(
        0.6 * expected < blocks[name] < 1.5 * expected for name in ("k3e3", "k3e6", "k5e3", "k5e6", "k7e3", "k7e6")
    )


def test_shares_are_told_by_place() -> None:
    found = draw(1)
    ratios = found.provenance["remaining_ratios"]
    assert {level: len(shares) for level, shares in ratios.items()} == {"operation": 6, "filter": 6, "weight": 6}
    places = [place for stage in found.genotype["chain"].split("|") for place in stage.split()]
    assert ratios["operation"] == [round((place != "zero") * len(place.split("+")) / 6, 4) for place in places]
    assert min(ratios["weight"]) < 1.0


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(ArchitectureError, match="chains of dense_chain_xs with 8 channels in the stem have from"):
        draw(0, value=1_000)
    with pytest.raises(ArchitectureError, match="have from"):
        draw(0, value=10_000_000)
    with pytest.raises(ArchitectureError, match="weights are to be masked"):
        draw(0, value=12_000, masked=20_000)
