"""Chains as spaces: counts, blocks beside timm's, how they are written, decisions, draws at a size."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial

import pytest
import torch
from timm.models._efficientnet_blocks import DepthwiseSeparableConv, InvertedResidual, SqueezeExcite
from timm.models._efficientnet_builder import round_channels
from torch import nn

from methods.architecture import Architecture, ArchitectureError
from methods.genotypes import published
from methods.parts.counts import count_macs, count_params
from methods.spaces import NetworkSettings, build, get_space
from methods.spaces.base import SizeMatch
from methods.spaces.chain.blocks import MBConv, squeezed
from methods.spaces.chain.macro import MACROS
from methods.spaces.chain.notation import CANDIDATES, NAMES, read_chain, write_chain
from methods.spaces.channels import channel_groups, shrink
from methods.spaces.decisions import enumerate_codes, sample_code, size

CIFAR, IMAGENET = NetworkSettings(), NetworkSettings(stem="imagenet")
BEYOND = (
    "k3e1sh k5e6s zero zero | k7e3h+k3e6 zero k5e5 | k3e2 | k7e6sh k3e3",
    {"channels": 10},
    {"slots.1.0.inner": 37, "slots.4.1.inner": 50, "slots.6.0.inner": 1},
)
"""A chain of what is no decision: other depths and blocks, a scale, widths inside."""


def chain(text: str, space: str = "chain_xs", **more: object) -> Architecture:
    return Architecture(space, {"chain": text}, **more)  # type: ignore[arg-type]


def uniform(space: str, name: str, otherwise: str = "zero") -> Architecture:
    """One block at every place; where the shape stays, the other one."""
    macro, stages = MACROS[space], []
    for number, stage in enumerate(macro.stages):
        places = [place for place in macro.places() if place.stage == number]
        stages.append(" ".join(otherwise if place.keeps_shape else name for place in places))
        assert len(places) == stage.blocks
    return chain(" | ".join(stages), space)


def measured(architecture: Architecture, settings: NetworkSettings, classes: int, image: int) -> tuple[int, int]:
    with torch.device("meta"):
        network = build(architecture, classes, settings)
    return count_params(network), count_macs(network, (settings.in_channels, image, image))


@pytest.mark.parametrize(
    ("space", "smallest", "largest"),
    [
        ("chain_s", (80_210, 10_672_640), (518_858, 83_098_112)),
        ("chain_xs", (22_430, 753_408), (83_594, 3_022_080)),
        ("chain_imagenet", (2_154_984, 102_528_896), (5_103_336, 606_590_720)),
    ],
)
def test_the_smallest_and_the_largest_network(space: str, smallest: tuple[int, int], largest: tuple[int, int]) -> None:
    """Those of chain_s are .080 M / 10.7 M to .519 M / 83.1 M."""
    settings, classes, image = (IMAGENET, 1000, 224) if space == "chain_imagenet" else (CIFAR, 10, 32)
    for architecture, expected in (
        (uniform(space, "k3e3"), smallest),
        (uniform(space, "k7e6", "k7e6"), largest),
    ):
        counts = get_space(space).counts(architecture, classes, settings, image)
        assert (counts.params, counts.macs) == measured(architecture, settings, classes, image) == expected


def test_the_sizes_of_the_spaces() -> None:
    assert size(get_space("chain_s")) == 6**4 * 7**7 == 1_067_311_728
    assert size(get_space("chain_xs")) == 6**4 * 7**2
    assert size(get_space("chain_imagenet")) == 6**6 * 7**15
    assert size(get_space("dense_chain_xs")) == 63**4 * 64**2


@pytest.mark.parametrize("image", [32, 33, 17])
def test_what_is_no_decision_builds_and_is_counted(image: int) -> None:
    text, scale, widths = BEYOND
    architecture = chain(text, "dense_chain_s", scale=scale, widths=widths)
    space, settings = get_space("dense_chain_s"), NetworkSettings(in_channels=1)
    counts = space.counts(architecture, 7, settings, image)
    assert (counts.params, counts.macs) == measured(architecture, settings, 7, image)
    assert space.scale(architecture, settings) == {"channels": 10}
    network = build(architecture, 7, settings)
    network(torch.randn(2, 1, image, image)).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert space.scale(chain(text, "dense_chain_s"), settings) == {"channels": 16}


@pytest.mark.parametrize(("expansion", "kernel", "squeeze"), [(3, 5, False), (6, 7, True), (1, 3, True)])
@pytest.mark.parametrize("activation", ["relu6", "hard_swish"])
@pytest.mark.parametrize(("c_out", "stride"), [(16, 1), (24, 2)])
def test_a_block_is_timm_s(
    expansion: int, kernel: int, squeeze: bool, activation: str, c_out: int, stride: int
) -> None:
    """MobileNetV3's squeeze-excitation: a quarter of the channels inside, hard sigmoid; other places of the names."""
    make = DepthwiseSeparableConv if expansion == 1 else partial(InvertedResidual, exp_ratio=expansion)
    ours = MBConv(16, c_out, stride, expansion, kernel, activation=activation, squeeze=squeeze)
    excite = partial(
        SqueezeExcite, rd_ratio=0.25, gate_layer=nn.Hardsigmoid, force_act_layer=nn.ReLU, rd_round_fn=round_channels
    )
    layer = nn.ReLU6 if activation == "relu6" else nn.Hardswish
    theirs = make(16, c_out, kernel, stride, act_layer=layer, se_layer=excite if squeeze else None)  # type: ignore[arg-type]
    theirs.load_state_dict(dict(zip(theirs.state_dict(), ours.state_dict().values(), strict=True)))
    x = torch.randn(3, 16, 9, 9, generator=torch.Generator().manual_seed(0))
    for mode in (True, False):
        torch.testing.assert_close(ours.train(mode)(x), theirs.train(mode)(x), atol=1e-6, rtol=1e-5)
    assert [squeezed(inner) for inner in (16, 72, 96, 120, 480)] == [8, 24, 24, 32, 120]


def test_texts_and_chains_are_inverse() -> None:
    text = BEYOND[0]
    assert write_chain(read_chain(text, 4)) == text
    assert NAMES == ("k3e3", "k3e6", "k5e3", "k5e6", "k7e3", "k7e6", "zero")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("k3e6 | k3e6", "2 stages in .* this chain has 4"),
        ("k3e6 | k3e6 | | k3e6", "stage 3: 0 blocks"),
        ("k3e6 | k4e6 zero | k3e6 | k3e6", "stage 2, block 1: 'k4e6' is no block"),
        ("k3e6 | zero | k3e6 | k3e6", "place 2: zero where 12 channels become 16 and the image is halved"),
        ("k3e6 | k3e6+k3e6 | k3e6 | k3e6", "a block stands twice"),
        ("k3e6 | k3e6+k5e6 | k3e6 | k3e6", "has one block; dense_chain_xs takes several"),
        (7, "is not a text of blocks"),
    ],
)
def test_a_malformed_chain_is_refused(text: object, message: str) -> None:
    with pytest.raises(ArchitectureError, match=message):
        get_space("chain_xs").validate(Architecture("chain_xs", {"chain": text}))


def test_what_does_not_belong_to_a_chain_is_refused() -> None:
    space, text = get_space("chain_xs"), "k3e1 | k3e6 | k3e6 | k3e6"
    for name in ("slots.9.0.inner", "slots.0.0.inner"):  # no such place; a block that does not expand
        with pytest.raises(ArchitectureError, match=f"unknown width '{name}'"):
            space.validate(chain(text, widths={name: 4}))
    with pytest.raises(ArchitectureError, match=r"'chanels'.* did you mean 'channels'"):
        space.validate(chain(text, scale={"chanels": 4}))
    with pytest.raises(ArchitectureError, match="stages of 1, 1, 1, 1 blocks; its have 1, 2, 2, 1"):
        space.encode(chain(text))
    with pytest.raises(ArchitectureError, match="no code of chain_xs stands for k3e1"):
        space.encode(chain("k3e1 | k3e6 zero | k3e6 zero | k3e6"))
    with pytest.raises(ArchitectureError, match="set 'stem: cifar', or take another of chain_s"):
        build(chain(text), 10, IMAGENET)
    with pytest.raises(ArchitectureError, match="set 'stem: imagenet'"):
        build(get_space("chain_imagenet").reference(), 10, CIFAR)


def test_a_code_is_the_choice_of_each_place() -> None:
    space = get_space("chain_xs")
    code = space.encode(chain("k7e3 | k3e3 zero | k5e6 k3e6 | k7e6"))
    assert code == (4, 0, 6, 3, 1, 5)
    dense = get_space("dense_chain_xs")
    assert dense.decode(dense.encode(chain("k7e3 | k3e3 zero | k7e6+k3e3 k3e6 | k7e6", "dense_chain_xs"))).genotype == {
        "chain": "k7e3 | k3e3 zero | k3e3+k7e6 k3e6 | k7e6"
    }


def test_a_place_without_a_block_is_its_input() -> None:
    torch.manual_seed(0)
    network = build(chain("k3e6 | k3e6 zero | k3e6 zero zero | k3e6"), 4, CIFAR).eval()
    shorter = build(chain("k3e6 | k3e6 | k3e6 | k3e6"), 4, CIFAR).eval()
    shorter.load_state_dict(dict(zip(shorter.state_dict(), network.state_dict().values(), strict=True)))
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(network(x), shorter(x))


def test_drop_path_leaves_out_what_a_place_adds() -> None:
    torch.manual_seed(0)
    network = build(chain("k3e6 | k3e6 k5e3 | k3e6 | k3e6"), 4, CIFAR).train()
    whole: nn.Module = network.slots[2]  # type: ignore[index,assignment]
    x = torch.randn(64, 16, 4, 4)
    dropped = [torch.equal(a, b) for a, b in zip(whole(x, torch.tensor(0.5)), x, strict=True)]
    assert 15 < sum(dropped) < 49
    assert not any(torch.equal(a, b) for a, b in zip(whole(x, None), x, strict=True))
    network.set_drop_path(0.5)  # type: ignore[operator]
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(network.eval()(images), network(images))


def test_channels_inside_of_a_block_are_removed_together() -> None:
    torch.manual_seed(0)
    architecture = chain("k3e1 | k3e6 k5e3 | k3e6s+k7e3 | k3e6", "dense_chain_xs")
    network = build(architecture, 4, CIFAR).eval()
    groups = {group.name: group for group in channel_groups(network)}
    assert {name: group.size for name, group in groups.items()} == {
        "slots.1.0.inner": 72,
        "slots.2.0.inner": 48,
        "slots.3.1.inner": 48,
        "slots.4.0.inner": 192,
    }
    keep = torch.arange(0, 48, 3)
    with torch.no_grad():  # channels that project nothing can go
        gone = torch.ones(48, dtype=torch.bool).index_fill_(0, keep, False)
        network.slots[2].blocks[0].project.weight[:, gone] = 0  # type: ignore[index,union-attr]
    small, weights = shrink(architecture, network, {"slots.2.0.inner": keep})
    assert small.widths["slots.2.0.inner"] == 16
    rebuilt = build(small, 4, CIFAR).eval()
    rebuilt.load_state_dict(weights)
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(rebuilt(x), network(x))
    counts = get_space("dense_chain_xs").counts(small, 4, CIFAR, 32)
    assert counts.params == count_params(rebuilt)


@pytest.mark.parametrize(("on", "value"), [("params", 50_000), ("macs", 1_500_000)])
def test_a_draw_is_of_the_size(on: str, value: int) -> None:
    space = get_space("chain_xs")
    match = SizeMatch(on, value, 0.01, 0, {"channels": 8})
    for seed in range(5):
        drawn = space.sample_at_size(torch.Generator().manual_seed(seed), match, 10, CIFAR, 32)  # type: ignore[attr-defined]
        space.validate(drawn)
        found = dict(zip(("params", "macs"), measured(drawn, CIFAR, 10, 32), strict=True))
        assert 0.99 * value <= found[on] <= value
        assert {key: drawn.provenance["sizes"][key] for key in found} == found
    assert drawn == space.sample_at_size(torch.Generator().manual_seed(4), match, 10, CIFAR, 32)  # type: ignore[attr-defined]
    narrow = replace(match, value=value / 3.4, scale={"channels": 4}, tolerance=0.05)
    drawn = space.sample_at_size(torch.Generator().manual_seed(0), narrow, 10, CIFAR, 32)  # type: ignore[attr-defined]
    assert drawn.scale == {"channels": 4}
    assert 0.95 * narrow.value <= dict(zip(("params", "macs"), measured(drawn, CIFAR, 10, 32), strict=True))[on]


def test_draws_of_a_size_are_uniform_among_the_chains_of_that_size() -> None:
    """The condition of a size on uniform draws: shares of the blocks are those of the enumeration."""
    space, match = get_space("chain_xs"), SizeMatch("params", 60_000, 0.01, 0, {"channels": 8})
    fitting = []
    for code in enumerate_codes(space):
        params = space.counts(space.decode(code), 10, CIFAR, 32).params if sum(code) % 7 == 0 else 0
        fitting += [code] if 59_400 <= params <= 60_000 else []
    source = torch.Generator().manual_seed(1)
    drawn = [space.encode(replace(draw, scale={})) for draw in (_draw(space, source, match) for _ in range(400))]
    for place in range(6):
        seen, all_of_them = Counter(code[place] for code in drawn), Counter(code[place] for code in fitting)
        for option, count in all_of_them.items():
            share = count / len(fitting)
            assert abs(seen[option] / 400 - share) < 5 * (share * (1 - share) / 400) ** 0.5 + 0.05


def _draw(space: object, source: torch.Generator, match: SizeMatch) -> Architecture:
    return space.sample_at_size(source, match, 10, CIFAR, 32)  # type: ignore[attr-defined]


def test_a_size_that_cannot_be_is_refused() -> None:
    space, source = get_space("chain_xs"), torch.Generator().manual_seed(0)
    with pytest.raises(ArchitectureError, match="have from 22,430 to 83,594"):
        _draw(space, source, SizeMatch("params", 20_000, 0.1))
    with pytest.raises(ArchitectureError, match="weights are masked"):
        _draw(space, source, SizeMatch("params", 50_000, 0.1, masked=3))


@pytest.mark.parametrize(
    ("name", "params", "macs"),
    [
        ("MobileNetV2", 3_504_872, 300_774_272),
        ("MobileNetV3_small", 2_542_856, 56_510_400),
        ("MobileNetV3_large", 5_483_032, 216_589_760),
        ("EfficientNet_B0", 5_288_548, 385_814_752),
    ],
)
def test_reference_networks_have_their_published_size(name: str, params: int, macs: int) -> None:
    """3.505 M and .301 G, 2.543 and .057, 5.483 and .217, 5.289 and .386 (torchvision's model cards)."""
    counts = get_space("timm").counts(published(name), 1000, IMAGENET, 224)
    assert (counts.params, counts.macs) == (params, macs)


def test_another_network_of_timm_is_refused() -> None:
    with pytest.raises(ArchitectureError, match="'resnet50' is none of the reference networks: mobilenetv2_100"):
        get_space("timm").validate(Architecture("timm", {"network": "resnet50"}))


def test_mobilenet_v2_like_chains_are_in_their_spaces() -> None:
    for space in ("chain_s", "chain_xs"):
        architecture = published(f"MobileNetV2_{space}")
        assert get_space(space).encode(architecture) == (CANDIDATES.index(CANDIDATES[1]),) * len(
            sample_code(get_space(space), torch.Generator())
        )
