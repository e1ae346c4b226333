"""What holds in every registered space: a new one is tested by being registered."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import replace
from functools import cache

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2, chisquare

from methods.architecture import Architecture, ArchitectureError
from methods.parts.counts import count_macs, count_params
from methods.spaces import NetworkSettings, Space, build, get_space, register_space, space_names
from methods.spaces.base import ReadsGraphs, task_of_space
from methods.spaces.cell.general import GeneralCellSpace
from methods.spaces.decisions import (
    Code,
    Decision,
    NoDecisionsError,
    SubsetDecision,
    ball,
    check_code,
    crossover,
    distance,
    enumerate_codes,
    has_decisions,
    mutate,
    neighbours,
    neutral_code,
    sample,
    sample_code,
    size,
)
from methods.tasks import CLASSIFICATION


def is_of_image_classes(name: str) -> bool:
    """Whether its networks read images and give logits; `tests/methods/test_dlsr.py` has others."""
    return not isinstance(get_space(name), ReadsGraphs) and task_of_space(get_space(name)) == CLASSIFICATION.name


DECIDED = [name for name in space_names() if has_decisions(get_space(name))]
PROPERTY = settings(max_examples=25, deadline=None)
DRAWS, BINS = 1500, 8

every_space = pytest.mark.parametrize("name", [name for name in space_names() if is_of_image_classes(name)])
every_decided = pytest.mark.parametrize("name", DECIDED)
seeds = st.integers(0, 2**32)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@st.composite
def codes(draw: st.DrawFn, name: str) -> Code:
    """Any code, its first and last options included."""
    return tuple(draw(st.integers(0, len(decision.options) - 1)) for decision in get_space(name).decisions())


def in_the_small(architecture: Architecture) -> Architecture:
    """The same architecture with few channels, where its space leaves that open."""
    scales = {"nasbench201": {"channels": 4, "cells_per_stage": 1}, "nasbench_macro": {"channels": 4}}
    by_stem = [
        name for name in space_names() if any(kind in name for kind in ("chain", "stage_graph", "block_network"))
    ]
    chains = [name for name in by_stem if not name.endswith("_widths")]
    scales |= {name: {"channels": 4} for name in (*chains, "graph_5", "graph_8")}
    return replace(architecture, scale=scales.get(architecture.space, architecture.scale))


def stem_of(name: str) -> str:
    """For which images a space has networks."""
    return "imagenet" if name.endswith("chain_imagenet") else "cifar"


def test_spaces_without_decisions_say_so() -> None:
    assert set(space_names()) - set(DECIDED) == {"general_cell"}
    space = get_space("general_cell")
    for use in (space.decisions, lambda: space.decode((0,)), lambda: sample(space, generator(0)), lambda: size(space)):
        with pytest.raises(NoDecisionsError, match="general_cell has cells of any shape"):
            use()


def test_a_class_registered_elsewhere_is_a_space_and_no_name_is_given_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("methods.spaces.registry._spaces", {})

    @register_space("of_others", "from another package", nodes=3)
    class OfOthers(GeneralCellSpace):
        pass

    assert get_space("of_others") == OfOthers("of_others", nodes=3)
    assert "of_others" in space_names()
    with pytest.raises(ArchitectureError, match=r"two spaces are called 'vgg': methods.spaces.plain.vgg and tests\."):
        register_space("vgg", "another one")(OfOthers)
    with pytest.raises(ArchitectureError, match="unknown search space 'of_other'; did you mean 'of_others'"):
        get_space("of_other")


@every_decided
def test_decisions_are_named_once_and_offer_something(name: str) -> None:
    decisions = get_space(name).decisions()
    assert len({decision.name for decision in decisions}) == len(decisions)
    for decision in decisions:
        ends = (0, len(decision.options) - 1)
        assert len(decision.options) > 1
        assert len({str(decision.options[end]) for end in ends}) == 2
        assert [decision.options.index(decision.options[end]) for end in ends] == list(ends)


@every_decided
@PROPERTY
@given(data=st.data())
def test_encode_and_decode_are_inverse(name: str, data: st.DataObject) -> None:
    space, code = get_space(name), data.draw(codes(name))
    architecture = space.decode(code)
    space.validate(architecture)
    assert space.encode(architecture) == code
    assert space.decode(space.encode(architecture)) == architecture
    assert Architecture.from_json(architecture.to_json()) == architecture


@every_decided
@PROPERTY
@given(data=st.data())
def test_codes_that_are_none_are_refused(name: str, data: st.DataObject) -> None:
    space, code = get_space(name), data.draw(codes(name))
    place = data.draw(st.integers(0, len(code) - 1))
    beyond = data.draw(st.sampled_from([-1, len(space.decisions()[place].options)]))
    for wrong in (code[:-1], (*code, 0), (*code[:place], beyond, *code[place + 1 :])):
        with pytest.raises(ArchitectureError, match=space.name):
            check_code(space, wrong)
        with pytest.raises(ArchitectureError, match=space.name):
            space.decode(wrong)


@every_decided
@PROPERTY
@given(data=st.data())
def test_a_neighbour_differs_in_one_decision(name: str, data: st.DataObject) -> None:
    space, code = get_space(name), data.draw(codes(name))
    found = list(itertools.islice(neighbours(space, code), 400))
    assert len(set(found)) == len(found) > 0
    for other in found:
        check_code(space, other)
        assert sum(a != b for a, b in zip(code, other, strict=True)) == 1
        assert code in itertools.islice(neighbours(space, other), 400)
    assert space.decode(found[-1]) != space.decode(code)


@every_decided
@PROPERTY
@given(data=st.data(), seed=seeds)
def test_a_mutation_is_a_neighbour_and_a_crossover_has_parents(name: str, data: st.DataObject, seed: int) -> None:
    space, one, other = get_space(name), data.draw(codes(name)), data.draw(codes(name))
    assert mutate(space, one, generator(seed)) in neighbours(space, one)
    child = crossover(space, one, other, generator(seed))
    check_code(space, child)
    assert all(entry in pair for entry, pair in zip(child, zip(one, other, strict=True), strict=True))
    assert child == crossover(space, one, other, generator(seed))


@every_decided
def test_mutations_and_crossovers_are_uniform(name: str) -> None:
    """Mutation: over decisions, and over the near options of each. Crossover: every entry from either parent."""
    space, source = get_space(name), generator(6)
    decisions = space.decisions()
    one, other = (0,) * len(decisions), tuple(len(decision.options) - 1 for decision in decisions)
    mutants = [mutate(space, one, source) for _ in range(DRAWS)]
    places = Counter(next(n for n, entry in enumerate(code) if entry) for code in mutants)
    assert len(decisions) == 1 or chisquare([places[n] for n in range(len(decisions))]).pvalue > 1e-5
    for n, decision in enumerate(decisions):
        near = Counter(code[n] for code in mutants if code[n])
        assert set(near) <= set(decision.near(0))
        if 1 < len(decision.near(0)) < 20:
            assert chisquare([near[option] for option in decision.near(0)]).pvalue > 1e-5
    children = [crossover(space, one, other, source) for _ in range(DRAWS)]
    taken = [sum(code[n] > 0 for code in children) for n in range(len(decisions))]
    assert all(abs(count - DRAWS / 2) < 5 * (DRAWS / 4) ** 0.5 for count in taken)


@cache
def drawn(name: str) -> list[Code]:
    """Samples as the space itself draws them."""
    space, source = get_space(name), generator(7)
    return [space.encode(space.sample(source)) for _ in range(DRAWS)]


@every_decided
def test_samples_are_uniform(name: str) -> None:
    """Chi-square of every decision (options in up to eight bins of consecutive ones), and of all of them together."""
    space, total, degrees = get_space(name), 0.0, 0
    source = generator(8)
    for found in (drawn(name), [sample_code(space, source) for _ in range(DRAWS)]):
        for place, decision in enumerate(space.decisions()):
            number = len(decision.options)
            bins = min(number, BINS)
            counts = Counter(code[place] * bins // number for code in found)
            expected = Counter(option * bins // number for option in range(number)) if number < 4096 else None
            shares = [expected[each] / number if expected else 1 / bins for each in range(bins)]
            result = chisquare([counts[each] for each in range(bins)], [DRAWS * share for share in shares])
            assert result.pvalue > 1e-5, decision.name
            total, degrees = total + result.statistic, degrees + bins - 1
    assert 1e-4 < chi2.sf(total, degrees) < 1 - 1e-4


@every_decided
def test_decisions_are_sampled_independently(name: str) -> None:
    """Chi-square of two successive decisions together: lower and upper half of each, four cells."""
    decisions = get_space(name).decisions()
    for place, (one, other) in enumerate(itertools.pairwise(decisions)):
        halves = [len(decision.options) // 2 for decision in (one, other)]
        table = Counter((code[place] < halves[0], code[place + 1] < halves[1]) for code in drawn(name))
        shares = [half / len(decision.options) for half, decision in zip(halves, (one, other), strict=True)]
        expected = {
            (low, second): (shares[0] if low else 1 - shares[0]) * (shares[1] if second else 1 - shares[1])
            for low in (True, False)
            for second in (True, False)
        }
        result = chisquare([table[cell] for cell in expected], [DRAWS * share for share in expected.values()])
        assert result.pvalue > 1e-5, (one.name, other.name)


@every_decided
def test_the_size_is_that_of_the_enumeration(name: str) -> None:
    space = get_space(name)
    assert size(space) == math.prod(len(decision.options) for decision in space.decisions())
    first = list(itertools.islice(enumerate_codes(space), 300)) if size(space) < 10**7 else []
    assert len(set(first)) == len(first)
    if name == "nasbench201":
        every = [space.decode(code) for code in enumerate_codes(space)]
        assert len({each.genotype["cell"] for each in every}) == size(space) == 15_625


@every_space
def test_the_reference_stands_in_for_any_architecture_of_its_space(name: str) -> None:
    found = get_space(name).reference()
    assert found.space == name
    assert not found.scale
    chosen = NetworkSettings(channels=8, cells=6, stem=stem_of(name))
    with torch.device("meta"):
        network = build(found, 10, chosen)
    assert count_params(network) == get_space(name).counts(found, 10, chosen).params


@every_space
@settings(max_examples=3, deadline=None)
@given(seed=seeds)
def test_every_sample_builds_runs_and_is_counted_in_closed_form(name: str, seed: int) -> None:
    space = get_space(name)
    architecture = in_the_small(space.sample(generator(seed)))
    check_runs(space, architecture, classes=3, image=16, channels=1)


def check_runs(space: Space, architecture: Architecture, classes: int, image: int, channels: int) -> None:
    chosen = NetworkSettings(channels=8, cells=3, stem=stem_of(space.name), in_channels=channels)
    space.validate(architecture)
    network = build(architecture, classes, chosen)
    counts = space.counts(architecture, classes, chosen, image)
    assert (counts.params, counts.params_training) == (count_params(network), count_params(network, auxiliary=True))
    assert counts.macs == count_macs(network, (channels, image, image))
    logits = network.train()(torch.randn(2, channels, image, image))
    assert logits.shape == (2, classes)
    F.cross_entropy(logits, torch.tensor([0, 1])).backward()
    gradients = [parameter.grad for parameter in network.parameters()]
    reached = [gradient for gradient in gradients if gradient is not None]
    unread = space.name == "general_cell" or "stage_graph" in space.name  # whose cells may leave an input unread
    assert len(reached) == len(gradients) or unread
    assert all(torch.isfinite(gradient).all() for gradient in reached)
    assert any(gradient.any() for gradient in reached)


@every_decided
@PROPERTY
@given(data=st.data(), seed=seeds)
def test_distance_is_the_number_of_steps(name: str, data: st.DataObject, seed: int) -> None:
    space, code = get_space(name), data.draw(codes(name))
    assert distance(space, code, code) == 0
    here, draws = code, generator(seed)
    for steps in range(1, 4):
        last, here = here, mutate(space, here, draws)
        assert distance(space, last, here) == distance(space, here, last) == 1
        assert distance(space, code, here) <= steps


def _names(decision: Decision) -> list[str]:
    return [] if isinstance(decision, SubsetDecision) else list(map(str, decision.options))


@every_decided
def test_what_is_undecided_is_a_network(name: str) -> None:
    """The neutral option of every decision; a space that has a skip or an empty place names that."""
    space = get_space(name)
    architecture = space.decode(neutral_code(space))
    space.validate(architecture)
    for decision, option in zip(space.decisions(), neutral_code(space), strict=True):
        named = {"skip_connect", "zero", "identity"} & set(_names(decision))
        if named:
            assert {decision.options[option]} == named


def test_a_ball_is_what_is_near() -> None:
    space, centre = get_space("nasbench_macro"), (0, 1, 2, 0, 1, 2, 0, 1)
    every = list(enumerate_codes(space))
    for radius in range(3):
        assert ball(space, centre, radius) == {code for code in every if distance(space, centre, code) <= radius}
    assert [len(ball(space, centre, radius)) for radius in range(3)] == [1, 17, 129]
