"""DLSR: its supernet against a textbook, one-hot gates against built networks, the gradient of the parameter term."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from methods.architecture import ArchitectureError
from methods.base import MethodError, SearchContext
from methods.genotypes import published
from methods.gradient.dlsr import DLSR, DLSROptions, parameter_shares
from methods.parts.bicubic import Bicubic
from methods.parts.counts import count_macs, count_params
from methods.parts.gates import Gates
from methods.spaces import NetworkSettings, at_scale, build, get_space
from methods.spaces.base import SizeMatch
from methods.spaces.decisions import enumerate_codes, size
from methods.spaces.superres.layout import OPERATIONS, inputs_of
from methods.spaces.superres.supernet import JOINS, REFINED, DistillationSupernet
from methods.tasks import get_task
from tests.oracles import dlsr as oracle

TASK = get_task("super_resolution", {"scale": 2})
CONTEXT = SearchContext(num_classes=12, image_size=16, task=TASK, seed=1)
SMALL = NetworkSettings(scales={"dlsr": {"channels": 8}})


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def search(**options: Any) -> DLSR:
    torch.manual_seed(0)
    made = DLSR(DLSROptions(**{"epochs": 2, "channels": 8, "arch_start_epoch": 0, "patch": 32, **options}), CONTEXT)
    made.to(torch.device("cpu"))
    with torch.no_grad():
        for alpha in made.alphas:
            alpha.copy_(torch.randn(alpha.shape, generator=torch.Generator().manual_seed(alpha.numel())))
    return made


def batch(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(2, 3, 16, 16, generator=generator), torch.rand(2, 3, 32, 32, generator=generator)


def test_the_supernet_is_the_textbook_s_in_values_and_gradients() -> None:
    """In float64, so that only the order of sums differs; weights and architecture parameters alike."""
    supernet = search().supernet.double()
    low, high = (each.double() for each in batch(1))
    gates = supernet.gates()
    parameters = [*supernet.architecture_parameters(), *supernet.weights()]
    betas = [gates[name].options[0] for name in JOINS]
    expected = oracle.enlarged(supernet, low, gates[REFINED].options, betas)
    found = supernet(low)
    assert found.shape == high.shape
    assert torch.allclose(found, expected, rtol=1e-10, atol=1e-12)
    ours = torch.autograd.grad((found - high).abs().mean(), parameters)
    theirs = torch.autograd.grad((expected - high).abs().mean(), parameters)
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one, other, rtol=1e-7, atol=1e-13)
    assert all(bool(gradient.any()) for gradient in ours[: len(supernet.architecture_parameters())])


def one_hot(name: str) -> dict[str, Gates]:
    genotype = published(name).genotype
    options = torch.zeros(3, len(OPERATIONS))
    for row, operation in enumerate(genotype["operations"]):
        options[row, OPERATIONS.index(operation)] = 1
    gates = {REFINED: Gates(options, torch.ones(3))}
    for (join, inputs), pair in zip(JOINS.items(), inputs_of(genotype), strict=True):
        chosen = torch.zeros(1, inputs)
        chosen[0, [source - 1 for source in pair]] = 1
        gates[join] = Gates(chosen, torch.ones(1))
    return gates


@pytest.mark.parametrize("name", ["DLSR", "DLSR_parameters"])
def test_one_hot_it_is_the_network_that_is_built(name: str) -> None:
    supernet: DistillationSupernet = search().supernet
    architecture = at_scale(published(name), SMALL)
    network = build(architecture, 12, SMALL)
    weights = {key: value for key, value in supernet.backbone.state_dict().items() if ".refine." not in key}
    for block in range(6):
        for row, operation in enumerate(architecture.genotype["operations"]):
            place, column = f"blocks.{block}.refine.{row}", OPERATIONS.index(operation)
            inner = supernet.backbone.state_dict()
            start = f"{place}.operations.{column}."
            weights |= {f"{place}.{key.removeprefix(start)}": inner[key] for key in inner if key.startswith(start)}
    for number, pair in enumerate(inputs_of(architecture.genotype)):
        whole = weights[f"joins.{number}.weight"].split(8, dim=1)
        weights[f"joins.{number}.weight"] = torch.cat([whole[source - 1] for source in pair], dim=1)
    network.load_state_dict(weights)
    low, _ = batch(2)
    assert torch.allclose(network(low), supernet(low, one_hot(name)), rtol=1e-4, atol=1e-5)


def test_the_parameter_term_has_a_gradient_and_as_released_none() -> None:
    """Against the Jacobian of the softmax; the released table (thousands, at 50 channels) is that of the counts."""
    method = search()
    released = torch.tensor([2.5, 22.5, 62.5, 122.5, 5.9, 7.5, 9.9, 2.95, 3.75])
    assert torch.allclose(parameter_shares(), released / 240)
    alpha = method.parameterisation.alpha[REFINED]
    probabilities = alpha.softmax(-1)
    assert torch.allclose(method.parameter_term(), (probabilities * released).sum() / released.sum())
    gradient = torch.autograd.grad(method.parameter_term(), alpha)[0]
    shares = released / released.sum()
    jacobian = probabilities * (shares - (probabilities * shares).sum(-1, keepdim=True))
    assert torch.allclose(gradient, jacobian, atol=1e-7)
    assert float(gradient.abs().max()) > 1e-3
    assert not search(as_released=True).parameter_term().requires_grad


def moved(**options: Any) -> Tensor:
    method = search(**options)
    method.on_epoch_start(0)
    method.step(batch(1), batch(2))
    return method.parameterisation.alpha[REFINED].detach()


def test_the_parameter_term_as_released_changes_nothing() -> None:
    without = moved(parameter_weight=0.0)
    assert torch.equal(moved(as_released=True), without)
    assert not torch.equal(moved(parameter_weight=100.0), without)


def test_the_architecture_s_loss_is_of_both_batches_after_the_weight_step() -> None:
    """Textbook: the gradient of the sum of both losses and the term, on the weights that the first step left."""
    method = search(arch_lr=0.0)
    method.on_epoch_start(0)
    first, second = batch(1), batch(2)
    seen: dict[str, Any] = {}
    update = method._update

    def noted(optimiser: Any, parameters: Any, gradients: Any) -> None:
        if parameters is method.alphas:
            outputs = [(method.supernet(low), high) for low, high in (first, second)]
            losses = [TASK.loss(out, high, hfen_weight=0.2) for out, high in outputs]
            seen["expected"] = torch.autograd.grad(sum(losses) + method.parameter_term(), method.alphas)
            seen["found"] = gradients
        update(optimiser, parameters, gradients)

    method._update = noted  # type: ignore[method-assign]
    sums = method.step(first, second)
    assert {"loss_sum", "psnr_sum", "count", "valid_loss_sum", "valid_psnr_sum", "valid_count"} == set(sums)
    for expected, found in zip(seen["expected"], seen["found"], strict=True):
        assert torch.allclose(expected, found, rtol=1e-5, atol=1e-7)


def test_rates_fall_and_the_architecture_starts_late() -> None:
    method = search(epochs=10, arch_start_epoch=3, lr=1e-3)
    rates = []
    for epoch in range(10):
        assert method.on_epoch_start(epoch) == (epoch == 3)
        rates.append(float(method.weight_optimiser.param_groups[0]["lr"]))
    assert rates == pytest.approx([1e-3] * 2 + [5e-4] * 2 + [2.5e-4] * 2 + [1.25e-4] * 4)
    method.epoch = 0
    before = [alpha.clone() for alpha in method.alphas]
    assert "valid_count" not in method.step(batch(1), batch(2))
    assert all(torch.equal(one, other) for one, other in zip(before, method.alphas, strict=True))


def test_it_answers_what_is_strongest() -> None:
    method = search()
    with torch.no_grad():
        method.parameterisation.alpha[REFINED][:, 6] = 9.0
        method.parameterisation.beta["block6"][0, [1, 4]] = 9.0
    genotype = method.architecture().genotype
    assert genotype["operations"] == ["sep_conv_7x7"] * 3
    assert genotype["inputs"][0] == [1, 2]
    assert genotype["inputs"][3] == [2, 5]


def test_another_task_is_refused() -> None:
    with pytest.raises(MethodError, match="dlsr searches networks of super-resolution; say `task: super_resolution`"):
        DLSR(DLSROptions(), SearchContext(num_classes=10))
    with pytest.raises(MethodError, match="channels=10; the blocks of dlsr need a multiple of 4"):
        DLSROptions(channels=10)


def test_the_space_is_counted_and_every_network_builds() -> None:
    space = get_space("dlsr")
    assert size(space) == 9**3 * 3 * 6 * 10
    generator = torch.Generator().manual_seed(3)
    for architecture in (space.sample(generator), space.reference(), space.decode(next(enumerate_codes(space)))):
        space.validate(architecture)
        small = at_scale(architecture, SMALL)
        network = build(small, 4, replace(SMALL, in_channels=1))
        counts = space.counts(small, 4, replace(SMALL, in_channels=1), 16)
        assert (counts.params, counts.macs) == (count_params(network), count_macs(network, (1, 16, 16)))
        outputs = network.train()(torch.rand(2, 1, 16, 16))
        assert outputs.shape == (2, 1, 32, 32)
        outputs.mean().backward()
        assert all(parameter.grad is not None for parameter in network.parameters())


def test_with_a_residual_it_begins_as_bicubic_interpolation() -> None:
    settings = NetworkSettings(scales={"dlsr": {"channels": 8, "residual": 1}})
    network = build(at_scale(published("DLSR"), settings), 12, settings)
    low, _ = batch(1)
    assert torch.equal(network(low), Bicubic(2)(low))
    plain = get_space("dlsr").counts(at_scale(published("DLSR"), SMALL), 12, SMALL)
    assert get_space("dlsr").counts(at_scale(published("DLSR"), settings), 12, settings) == plain


def test_networks_are_drawn_at_a_size() -> None:
    space, generator = get_space("dlsr"), torch.Generator().manual_seed(4)
    wanted = space.counts(at_scale(published("DLSR"), SMALL), 12, SMALL).params
    match = SizeMatch("params", wanted, 0.05, scale={"channels": 8})
    drawn = [space.sample_at_size(generator, match, 12, NetworkSettings(), 32) for _ in range(12)]  # type: ignore[attr-defined]
    assert len({each.digest for each in drawn}) > 6
    for each in drawn:
        space.validate(each)
        assert 0.95 * wanted <= count_params(build(each, 12, NetworkSettings())) <= wanted
        assert each.provenance["sizes"]["params"] == count_params(build(each, 12, NetworkSettings()))
    nothing = replace(match, value=100.0)
    with pytest.raises(ArchitectureError, match=r"params = 100 is .*, and no network of dlsr is within 5\.00% below"):
        space.sample_at_size(generator, nothing, 12, NetworkSettings(), 32)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"operations": ["conv_1x1"] * 2}, "'operations' of dlsr names 3 operations"),
        ({"operations": ["conv_1x1", "conv_9x9", "conv_1x1"]}, "unknown operation 'conv_9x9'; dlsr has conv_1x1"),
        ({"inputs": [[1, 2], [2, 3], [2, 4]]}, "'inputs' of dlsr has two blocks for each of 4"),
        ({"inputs": [[1, 2], [2, 3], [2, 4], [5, 4]]}, r"block 6 of dlsr reads two of the blocks before it, ascending"),
        ({"scale": {"channels": 10}}, "channels of dlsr are 10; its blocks need a multiple of 4"),
        ({"scale": {"residual": 2}}, "residual of dlsr is 2; it is 1 for a network that adds"),
    ],
)
def test_what_is_no_network_is_refused(change: dict[str, Any], message: str) -> None:
    whole = published("DLSR")
    genotype = {**whole.genotype, **{key: value for key, value in change.items() if key != "scale"}}
    with pytest.raises(ArchitectureError, match=message):
        get_space("dlsr").validate(replace(whole, genotype=genotype, scale=change.get("scale", {})))


def test_it_is_shown_at_the_size_at_which_the_field_counts(capsys: pytest.CaptureFixture[str]) -> None:
    from bench.cli import main

    assert main(["show", "DLSR"]) == 0
    shown = capsys.readouterr().out
    assert "322,620" in shown
    assert "MACs at 640x360" in shown
    assert "67,306,238,496" in shown
