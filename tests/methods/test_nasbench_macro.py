"""NAS-Bench-Macro as a space: counts of all 6,561 networks are the table's; blocks are MobileNetV2's; decisions."""

from __future__ import annotations

import pytest
import torch
from timm.models._efficientnet_blocks import InvertedResidual
from torch import nn

from bench.data.tables import get_table
from bench.data.tables import nasbench_macro as table_module
from methods.architecture import Architecture, ArchitectureError
from methods.parts.counts import count_macs, count_params
from methods.spaces import NetworkSettings, build, get_space
from methods.spaces.chain.blocks import MBConv
from methods.spaces.chain.nasbench_macro import BLOCKS, SCALE, NASBenchMacroSpace, network_counts, read_chain
from methods.spaces.decisions import enumerate_codes, neighbours, size

SETTINGS = NetworkSettings(channels=16, cells=8)
SPACE = NASBenchMacroSpace()


def chain(text: str, **more: object) -> Architecture:
    return Architecture("nasbench_macro", {"chain": text}, **more)  # type: ignore[arg-type]


def canonical(text: str) -> str:
    """Identities that do not begin a stage, moved to its end."""
    parts = [text[:2], text[2:5], text[5:]]
    return "".join(part[0] + part[1:].replace("0", "").ljust(len(part) - 1, "0") for part in parts)


def test_counts_of_every_network_are_the_published_ones() -> None:
    table = get_table("nasbench_macro")
    params, flops = table.params("cifar10").tolist(), table.flops("cifar10").tolist()
    for text, published_params, published_flops in zip(table.architectures, params, flops, strict=True):
        counts = network_counts(text, 10, 32, 3, 32)
        assert (counts.params, counts.macs) == (published_params, published_flops), text


@pytest.mark.parametrize("number", range(20))
def test_a_built_network_has_the_counts_of_the_table(number: int) -> None:
    table = get_table("nasbench_macro")
    index = (1 + 337 * number) % len(table)
    with torch.device("meta"):
        network = build(chain(table.architectures[index]), 10, SETTINGS)
    assert count_params(network) == table.params("cifar10")[index]
    assert count_macs(network, (3, 32, 32)) == table.flops("cifar10")[index]


def test_chains_that_are_one_network_have_one_line_of_values() -> None:
    table = get_table("nasbench_macro")
    values = [table.validation("cifar10", 50), table.final("cifar10", 50), table.params("cifar10")]
    same = [table.index(canonical(text)) for text in table.architectures]
    assert len(set(same)) == 3969
    for value in values:
        assert (value == value[same]).all()


@pytest.mark.parametrize(("expansion", "kernel"), [(3, 3), (6, 5)])
@pytest.mark.parametrize(("c_out", "stride"), [(8, 1), (16, 2)])
def test_a_block_is_an_inverted_residual(expansion: int, kernel: int, c_out: int, stride: int) -> None:
    ours = MBConv(8, c_out, stride, expansion, kernel)
    theirs = InvertedResidual(8, c_out, kernel, stride, exp_ratio=expansion, act_layer=nn.ReLU)
    theirs.load_state_dict(dict(zip(theirs.state_dict(), ours.state_dict().values(), strict=True)))
    x = torch.randn(3, 8, 9, 9, generator=torch.Generator().manual_seed(0))
    for mode in (True, False):
        assert torch.equal(ours.train(mode)(x), theirs.train(mode)(x))


def test_decisions_and_their_codes() -> None:
    assert size(SPACE) == 6561
    texts = ["".join(map(str, code)) for code in enumerate_codes(SPACE)]
    assert set(texts) == table_module.every_chain()
    assert all(SPACE.encode(SPACE.decode(code)) == code for code in list(enumerate_codes(SPACE))[::50])
    code = SPACE.encode(chain("02012100"))
    assert [decision.options[option] for decision, option in zip(SPACE.decisions(), code, strict=True)] == [
        BLOCKS[int(digit)] for digit in "02012100"
    ]
    assert len(set(neighbours(SPACE, code))) == 16


def test_samples_are_built_and_trained_at_a_small_size() -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        drawn = get_space("nasbench_macro").sample(generator)
        network = build(chain(drawn.genotype["chain"], scale={"channels": 4}), 10, NetworkSettings(4, 3, in_channels=1))
        logits = network(torch.randn(4, 1, 8, 8))
        assert logits.shape == (4, 10)
        logits.sum().backward()
        assert all(parameter.grad is not None for parameter in network.parameters())
        counts = network_counts(drawn.genotype["chain"], 10, 4, 1, 8)
        assert (counts.params, counts.macs) == (count_params(network), count_macs(network, (1, 8, 8)))


def test_the_published_size_is_the_table_s() -> None:
    table = get_table("nasbench_macro")
    assert dict(table.scale) == SCALE
    assert table.index(chain("02012100", scale=SCALE)) == table.index("02012100")
    assert SPACE.encode(chain("02012100", scale=SCALE)) == SPACE.encode(chain("02012100"))


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        (chain("0201210"), "'0201210' is not 8 digits, one a block: 0 identity"),
        (chain("02012103"), "'3' at place 8 of '02012103' is no block"),
        (Architecture("nasbench_macro", {"chain": [0] * 8}), "is not 8 digits"),
        (Architecture("nasbench_macro", {}), "needs 'chain'"),
        (Architecture("nasbench_macro", {"chain": "02012100", "cell": 1}), "'cell'"),
        (chain("02012100", scale={"channels": 0}), "at least one|channels"),
        (chain("02012100", scale={"depth": 9}), "'depth'"),
        (chain("02012100", widths={"a": 3}), "leave 'widths' empty"),
    ],
)
def test_what_is_no_chain(architecture: Architecture, message: str) -> None:
    with pytest.raises(ArchitectureError, match=message):
        build(architecture, 10, SETTINGS)


def test_what_no_code_stands_for() -> None:
    with pytest.raises(ArchitectureError, match="scale of its own"):
        SPACE.encode(chain("02012100", scale={"channels": 8}))
    with pytest.raises(ArchitectureError, match="stem 'imagenet'"):
        build(chain("02012100"), 10, NetworkSettings(16, 8, stem="imagenet"))
    with pytest.raises(ArchitectureError, match="mine: 7"):
        read_chain(7, "mine")
