"""The supernets of chains: the fused mixture beside one module for each candidate, single paths beside networks."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor, nn

from methods.architecture import ArchitectureError
from methods.base import MethodError, SearchContext
from methods.gradient.darts import DARTS, DARTSOptions
from methods.gradient.pc_darts import PCDARTS
from methods.parts.executors.choice import Choice
from methods.parts.executors.mixed_blocks import MixedBlocks
from methods.parts.executors.protocol import branches_on_host
from methods.parts.executors.slots import PartialSlot
from methods.parts.gates import Gates
from methods.parts.monitor import entropies
from methods.parts.parameterisation import EdgeNormalisedSoftmax, Softmax
from methods.parts.samplers.hard_gumbel import HardGumbel
from methods.spaces import NetworkSettings, build, get_space
from methods.spaces.chain.supernet import options
from methods.spaces.decisions import sample_code
from methods.spaces.supernet_settings import SupernetSettings
from methods.spaces.supernets import path_supernet, relaxation

CODE = (4, 1, 6, 3, 6, 0)
"""Of chain_xs: both of its places that may be empty are."""
SETTINGS = NetworkSettings()
ARCHITECTURE = re.compile(r"frame\.slots\.(\d+)\.blocks\.options\.(\d+)\.(.+)")


def one_hot(code: tuple[int, ...], single: bool = True) -> Gates:
    chosen = torch.nn.functional.one_hot(torch.tensor(code), 7).float()
    return Gates(chosen, torch.ones(len(code)), code if single else None)


def chain_supernet(single: bool = True, space: str = "chain_xs") -> nn.Module:
    torch.manual_seed(0)
    relaxed = relaxation(space)
    executor = relaxed.single_path() if single else relaxed.mixture
    return relaxed.supernet(10, SupernetSettings(), Softmax(relaxed.topology), executor)


def built(state: dict[str, Tensor], code: tuple[int, ...]) -> nn.Module:
    """The network of a code with the weights of a single-path supernet."""
    network = build(get_space("chain_xs").decode(code), 10, SETTINGS)
    given = {}
    for name, value in state.items():
        found = ARCHITECTURE.fullmatch(name)
        if found is None:
            given[name.removeprefix("frame.")] = value
        elif int(found[2]) == code[int(found[1])]:
            given[f"slots.{found[1]}.blocks.0.{found[3]}"] = value
    missing, unexpected = network.load_state_dict(given, strict=False)
    assert {name.rpartition(".")[2] for name in missing} <= {"weight", "bias"}  # 1 and 0: candidates have none
    assert all("norm" in name for name in missing)
    assert all(name.startswith("parameterisation") for name in unexpected)
    return network


def of_candidates(fused: MixedBlocks, c_in: int) -> dict[str, Tensor]:
    """The weights of a fused mixture by the names of one module for each candidate."""
    state, found = fused.state_dict(), {}
    width = 9 * c_in
    for column, (kernel, expansion) in enumerate((k, e) for k in range(3) for e in (3, 6)):
        first = 0 if expansion == 3 else 3 * c_in
        inside = slice(first, first + expansion * c_in)
        outside = slice(kernel * width + inside.start, kernel * width + inside.stop)
        of = f"options.{column}."
        found[of + "expand.weight"] = state["expand"][outside]
        found[of + "depthwise.weight"] = state[f"depthwise.{kernel}"][inside]
        found[of + "project.weight"] = state[f"project.{column}"]
        for statistic in ("running_mean", "running_var"):
            found[of + f"norm1.{statistic}"] = state[f"norm1.{statistic}"][outside]
            found[of + f"norm2.{statistic}"] = state[f"norm2.{kernel}.{statistic}"][inside]
            found[of + f"norm3.{statistic}"] = state[f"norm3.{statistic}"].chunk(6)[column]
    return found


@pytest.mark.parametrize(("c_in", "c_out", "stride"), [(4, 4, 1), (4, 6, 2), (4, 4, 2), (4, 6, 1)])
def test_the_fused_mixture_is_one_module_for_each_candidate(c_in: int, c_out: int, stride: int) -> None:
    torch.manual_seed(0)
    fused = MixedBlocks(c_in, c_out, stride, (3, 5, 7), (3, 6)).double()
    plain = Choice(options(c_in, c_out, stride)).double()
    missing, unexpected = plain.load_state_dict(of_candidates(fused, c_in), strict=False)
    assert not unexpected
    assert all(name.endswith("num_batches_tracked") for name in missing)
    x = torch.randn(3, c_in, 9, 9, dtype=torch.float64, requires_grad=True)
    values = torch.rand(2, 7, dtype=torch.float64).requires_grad_()
    weights = torch.tensor([0.3, 0.7], dtype=torch.float64).requires_grad_()
    gates = Gates(values, weights)
    outcomes = [module(x, gates, 1) for module in (fused, plain)]
    torch.testing.assert_close(*outcomes)
    direction = torch.randn_like(outcomes[0])
    gradients = [torch.autograd.grad((y * direction).sum(), [x, values, weights], retain_graph=True) for y in outcomes]
    for ours, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, expected)
    sums = [
        sum(map(torch.sum, torch.autograd.grad((y * direction).sum(), list(module.parameters()))))
        for y, module in zip(outcomes, (fused, plain), strict=True)
    ]
    torch.testing.assert_close(*sums)
    after, seen = of_candidates(fused, c_in), plain.state_dict()
    for name in after:
        torch.testing.assert_close(after[name], seen[name])  # running statistics, too


def test_a_single_path_is_the_built_network_to_the_bit() -> None:
    supernet, x = chain_supernet(), torch.randn(4, 3, 32, 32)
    network = built(supernet.state_dict(), CODE)
    logits = supernet(x, {"slot": one_hot(CODE)})
    assert torch.equal(logits, network(x.contiguous(memory_format=torch.channels_last)))
    logits.sum().backward()
    touched = {name for name, parameter in supernet.named_parameters() if parameter.grad is not None}
    inside = {match.group(1, 2) for match in map(ARCHITECTURE.fullmatch, touched) if match}
    assert inside == {(str(slot), str(column)) for slot, column in enumerate(CODE) if column < 6}
    assert branches_on_host(supernet)


def test_a_mixture_with_one_gate_is_the_built_network() -> None:
    supernet, x = chain_supernet(single=False), torch.randn(4, 3, 32, 32)
    assert not branches_on_host(supernet)
    state = {name: value for name, value in supernet.state_dict().items() if ".slots." not in name}
    for slot, executor in enumerate(supernet.frame.slots):  # type: ignore[union-attr,arg-type]
        blocks = executor.blocks
        found = of_candidates(blocks, blocks.expand.shape[1])
        state |= {f"frame.slots.{slot}.blocks.{name}": value for name, value in found.items()}
    network = built(state, CODE)
    torch.testing.assert_close(supernet(x, {"slot": one_hot(CODE, single=False)}), network(x), atol=2e-5, rtol=1e-4)


def test_an_option_that_is_not_there_is_never_chosen() -> None:
    relaxed = relaxation("chain_s")
    changing = [row for row, _ in relaxed.topology.absent]
    assert changing == [0, 3, 6, 9]
    assert {column for _, column in relaxed.topology.absent} == {6}
    torch.manual_seed(0)
    alphas = Softmax(relaxed.topology)
    gates = alphas.gates("slot")
    assert not gates.options[changing, 6].any()
    torch.testing.assert_close(gates.options.sum(-1), torch.ones(11))
    gates.options.square().sum().backward()
    gradient = alphas.alpha["slot"].grad
    assert gradient is not None
    assert not gradient[changing, 6].any()
    assert gradient.isfinite().all()
    sampler = HardGumbel(torch.Generator().manual_seed(0))
    drawn = torch.tensor([sampler(alphas.logits("slot")).chosen for _ in range(400)])
    assert int(drawn[:, changing].max()) == 5
    assert int(drawn[:, 1].max()) == 6
    values = entropies({"slot": Gates(gates.options.new_zeros(11, 7), gates.weights)}, relaxed.topology.absent)
    expected = (4 * torch.tensor(6.0).log() + 7 * torch.tensor(7.0).log()) / 11
    assert values["arch/entropy_uniform"] == pytest.approx(float(expected))


def test_the_weight_of_the_only_edge_into_a_slot_is_one() -> None:
    relaxed = relaxation("chain_s")
    normalised = EdgeNormalisedSoftmax(relaxed.topology)
    assert torch.equal(normalised.gates("slot").weights, torch.ones(11))


@pytest.mark.parametrize(("c_in", "c_out", "stride"), [(8, 8, 1), (8, 12, 1), (8, 16, 2), (8, 4, 2)])
def test_a_partial_slot(c_in: int, c_out: int, stride: int) -> None:
    """A quarter through the mixture, the rest around it in turn; pooled at stride 2; then the channels are shuffled."""
    torch.manual_seed(0)
    slot = PartialSlot(c_in, c_out, stride, 4, relaxation("chain_xs").mixture).double()
    x, gates = torch.randn(2, c_in, 7, 7).double(), Gates(torch.rand(1, 7).double(), torch.ones(1).double())
    y = slot(x, gates, 0)
    assert y.shape == (2, c_out, (7 + stride - 1) // stride, (7 + stride - 1) // stride)
    through, around = x[:, : c_in // 4], x[:, c_in // 4 :]
    if stride == 2:
        around = nn.MaxPool2d(2, 2, ceil_mode=True)(around)
    rest = c_out - c_out // 4
    around = torch.stack([around[:, channel % around.shape[1]] for channel in range(rest)], dim=1)
    together = torch.cat([slot.slot(through, gates, 0), around], dim=1)
    shuffled = torch.stack([together[:, (c % 4) * (c_out // 4) + c // 4] for c in range(c_out)], dim=1)
    torch.testing.assert_close(y, shuffled)


def batches(steps: int, number: int = 4) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(2)
    return [
        (torch.randn(number, 3, 16, 16, generator=generator), torch.randint(10, (number,), generator=generator))
        for _ in range(steps)
    ]


@pytest.mark.parametrize("cls", [DARTS, PCDARTS])
def test_low_memory_has_the_same_bits(cls: type[DARTS]) -> None:
    found = []
    for memory in ("full", "low"):
        torch.manual_seed(1)
        options = cls.Options(space="chain_xs", batch_size=4, epochs=2, arch_start_epoch=0, memory=memory)
        search = cls(options, SearchContext(num_classes=10, image_size=16))
        search.on_epoch_start(0)
        for train, valid in zip(batches(2), batches(2), strict=True):
            search.step(train, valid)
        found.append([value.clone() for value in search.supernet.state_dict().values()])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_a_search_derives_what_its_gates_say() -> None:
    torch.manual_seed(1)
    search = DARTS(DARTSOptions(space="chain_xs", batch_size=4), SearchContext(num_classes=10))
    with torch.no_grad():
        search.parameterisation.alpha["slot"].copy_(one_hot(CODE).options)  # type: ignore[index]
        search.parameterisation.alpha["slot"][0, 6] = 9.0  # type: ignore[index]  # no option there
    found = search.architecture()
    assert get_space("chain_xs").encode(found) == CODE
    values = search.on_epoch_end(0)
    assert {key: value for key, value in values.items() if value and "operations" in key} == {
        "arch/operations/k3e3": 1,
        "arch/operations/k3e6": 1,
        "arch/operations/k5e6": 1,
        "arch/operations/k7e3": 1,
        "arch/operations/zero": 2,
    }


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(MethodError, match="channels=8 says nothing of a supernet of chain_s: its size is that of the"):
        DARTSOptions(space="chain_s", channels=8)
    with pytest.raises(ArchitectureError, match="set 'stem: imagenet'"):
        DARTS(DARTSOptions(space="chain_imagenet"), SearchContext(num_classes=10))


@pytest.mark.parametrize("space", ["chain_xs", "chain_s"])
def test_a_path_of_the_one_shot_weights_is_the_built_network(space: str) -> None:
    torch.manual_seed(0)
    supernet = path_supernet(space, 10, SupernetSettings())
    code = CODE if space == "chain_xs" else sample_code(get_space(space), torch.Generator().manual_seed(1))
    x = torch.randn(2, 3, 32, 32)
    logits = supernet(x, code)
    state = {re.sub(r"(slots\.\d+)\.options", r"\1.blocks.options", k): v for k, v in supernet.state_dict().items()}
    if space == "chain_xs":
        assert torch.equal(logits, built(state, code)(x))
    logits.sum().backward()
    touched = {name for name, parameter in supernet.named_parameters() if parameter.grad is not None}
    inside = {
        match.group(1, 2) for match in (re.search(r"slots\.(\d+)\.options\.(\d+)", name) for name in touched) if match
    }
    assert inside == {(str(slot), str(column)) for slot, column in enumerate(code) if column < 6}
