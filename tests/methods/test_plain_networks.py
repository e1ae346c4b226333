"""CIFAR ResNets and VGGs: published sizes, small images, channel removal, bad input."""

from __future__ import annotations

import pytest
import torch

from methods.architecture import Architecture, ArchitectureError
from methods.genotypes import published
from methods.parts.counts import count_macs, count_params
from methods.spaces import NetworkSettings, build, get_space
from tests.methods.test_channels_cells import check_shrink

SETTINGS = NetworkSettings()


def counts(architecture: Architecture, classes: int = 10) -> tuple[int, int]:
    with torch.device("meta"):
        network = build(architecture, classes, SETTINGS)
    return count_params(network), count_macs(network, (3, 32, 32))


def test_published_sizes():
    """He et al., Table 6 (0.27 M, 0.85 M, 1.7 M); network slimming's VGG-19 (20.04 M; 20.08 M with 100 classes)."""
    assert counts(Architecture("resnet", {"depth": 20}))[0] == 269_722
    assert counts(Architecture("resnet", {"depth": 56})) == (853_018, 125_485_696)
    assert counts(Architecture("resnet", {"depth": 110}))[0] == 1_727_962
    assert counts(Architecture("vgg", {"depth": 19})) == (20_035_018, 398_136_320)
    assert counts(Architecture("vgg", {"depth": 19}), 100)[0] == 20_081_188
    assert counts(Architecture("vgg", {"depth": 16, "hidden": 512}))[0] == 14_987_722


def removed(dense: Architecture, widths: dict[str, int]) -> tuple[float, float]:
    """Percent of params and MACs that the widths remove."""
    (params, macs), small = counts(dense), counts(Architecture(dense.space, dense.genotype, widths=widths))
    return 100 * (1 - small[0] / params), 100 * (1 - small[1] / macs)


def test_vgg16_pruned_a():
    """Li et al., Table 1: half of the first and of the last six convolutions; -64.0 % params, -34.2 % FLOPs."""
    widths = {"blocks.0": 32} | {f"blocks.{index}": 256 for index in range(7, 13)}
    params, macs = removed(Architecture("vgg", {"depth": 16, "hidden": 512}), widths)
    assert (round(params, 1), round(macs, 1)) == (64.0, 34.2)


@pytest.mark.parametrize(
    ("ratios", "skip", "published"),
    [((0.1, 0.1, 0.1), (16, 20, 38, 54), (9.4, 10.4)), ((0.6, 0.3, 0.1), (16, 18, 20, 34, 38, 54), (13.7, 27.6))],
)
def test_resnet56_pruned(ratios, skip, published):
    """Li et al., Table 1 and section 4.2, A and B: a ratio a stage, sensitive layers left (numbered from the stem)."""
    widths = {
        f"stages.{stage}.{block}.mid": int(16 * 2**stage * (1 - ratios[stage]))
        for stage in range(3)
        for block in range(9)
        if 2 + 2 * (9 * stage + block) not in skip
    }
    assert removed(Architecture("resnet", {"depth": 56}), widths) == pytest.approx(published, abs=0.1)


PLAIN = [
    Architecture("resnet", {"depth": 20}, {"channels": 4}),
    Architecture("resnet", {"depth": 20, "shortcut": "projection"}, {"channels": 6}),
    Architecture("vgg", {"depth": 16, "hidden": 20}, {"channels": 4}),
    Architecture("vgg", {"depth": 19}, {"channels": 4}),
]


def test_resnet56_shrinks():
    check_shrink(published("ResNet56"), SETTINGS, 0, torch.float64, 1e-10)


@pytest.mark.parametrize("name", ["ResNet56", "VGG16", "VGG19"])
def test_published_files(name):
    assert counts(published(name)) == counts(
        Architecture("resnet", {"depth": 56})
        if name == "ResNet56"
        else Architecture("vgg", {"depth": 16, "hidden": 512} if name == "VGG16" else {"depth": 19})
    )


@pytest.mark.parametrize("architecture", PLAIN, ids=lambda a: f"{a.space}{a.genotype['depth']}")
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in (1, 2))])
def test_small_network_computes_what_the_large_one_does(architecture, seed):
    check_shrink(architecture, SETTINGS, seed, torch.float64, 1e-12)
    check_shrink(architecture, NetworkSettings(in_channels=1), seed, torch.float32, 1e-5, image=8)


@pytest.mark.parametrize("architecture", PLAIN, ids=lambda a: f"{a.space}{a.genotype['depth']}")
@pytest.mark.parametrize("size", [9, 32, *(pytest.param(size, marks=pytest.mark.long) for size in (8, 28))])
def test_any_image_size_and_gradients_reach_everything(architecture, size):
    torch.manual_seed(0)
    network = build(architecture, 7, NetworkSettings(in_channels=1, auxiliary=True)).train()
    logits = network(torch.randn(4, 1, size, size))
    assert logits.shape == (4, 7)
    logits.square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_pad_shortcut_is_parameter_free_and_adds_zeros():
    network = build(Architecture("resnet", {"depth": 8}, {"channels": 2}), 2, SETTINGS)
    x = torch.randn(1, 2, 5, 5)
    shortcut = network.stages[1][0].shortcut(x)
    assert torch.equal(shortcut[:, :2], x[:, :, ::2, ::2])
    assert shortcut.shape == (1, 4, 3, 3)
    assert not shortcut[:, 2:].any()


@pytest.mark.parametrize("name", ["resnet", "vgg"])
def test_samples_are_valid_and_vary(name):
    space = get_space(name)
    samples = [space.sample(torch.Generator().manual_seed(seed)) for seed in range(20)]
    for sample in samples:
        space.validate(sample)
    assert len({sample.digest for sample in samples}) > 2


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        (Architecture("resnet", {"depth": 57}), "depth 6n \\+ 2 .* not 57"),
        (Architecture("resnet", {}), "not None"),
        (Architecture("resnet", {"depth": 8, "shortcut": "none"}), "known: pad, projection"),
        (Architecture("resnet", {"depth": 8, "width": 2}), "unknown genotype 'width'"),
        (Architecture("resnet", {"depth": 8}, widths={"stages.0": 3}), "unknown widths"),
        (Architecture("resnet", {"depth": 8}, widths={"stages.0.0.mid": 0}), "at least one channel"),
        (Architecture("resnet", {"depth": 8}, {"cells": 3}), "unknown scale"),
        (Architecture("vgg", {"depth": 12}), "11, 13, 16, 19, not 12"),
        (Architecture("vgg", {"depth": 11, "hidden": -1}), "0 for none, at most 4096, not -1"),
        (Architecture("vgg", {"depth": 11}, widths={"hidden": 3}), "unknown widths"),
        (Architecture("vgg", {"depth": 11}, widths={"blocks.8": 3}), "unknown widths"),
    ],
)
def test_bad_architectures(architecture, message):
    with pytest.raises(ArchitectureError, match=message):
        build(architecture, 10, SETTINGS)


@pytest.mark.parametrize("space", ["resnet", "vgg"])
def test_imagenet_stem_is_refused(space):
    architecture = Architecture(space, {"depth": 20 if space == "resnet" else 11})
    with pytest.raises(ArchitectureError, match="only its CIFAR form"):
        build(architecture, 10, NetworkSettings(stem="imagenet"))
