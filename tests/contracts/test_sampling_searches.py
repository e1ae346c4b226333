"""What every registered sampling search keeps to: a new one is tested by being registered."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch

from bench.run.search import SamplingState, sampling_search
from methods.architecture import Architecture
from methods.base import MethodError, SamplingSearch, SearchContext
from methods.parts.counts import count_macs, count_params
from methods.registry import all_methods
from methods.spaces import NetworkSettings, build, get_space, space_names
from methods.spaces.base import ReadsGraphs, task_of_space
from methods.spaces.decisions import has_decisions
from tests.contracts.scores import InterruptedScoringError, Scoring, score_of
from tests.contracts.tiny import SAMPLING_SEARCHES

ON_IMAGES = [
    name
    for name in space_names()
    if not isinstance(get_space(name), ReadsGraphs) and task_of_space(get_space(name)) == "classification"
]
SPACES = [name for name in ON_IMAGES if has_decisions(get_space(name))]
SAMPLES = 40

every_method = pytest.mark.parametrize("name", SAMPLING_SEARCHES)
OFTEN = ("chain_xs", "darts_cell", "nasbench201", "resnet_widths")
every_pair = pytest.mark.parametrize(
    ("name", "space"),
    [
        pytest.param(name, space, marks=() if space in OFTEN or name == "random_sampling" else pytest.mark.long)
        for name in SAMPLING_SEARCHES
        for space in SPACES
    ],
)
"""Every method in every space; `make test` has one method in all and all methods in one of each family."""


def search(name: str, space: str = "nasbench201", samples: int = SAMPLES, seed: int = 3) -> SamplingSearch:
    cls: Any = all_methods()[name]
    method: SamplingSearch = cls(cls.Options(space=space, samples=samples), SearchContext(num_classes=10, seed=seed))
    return method


@cache
def whole(name: str, space: str = "nasbench201", seed: int = 3) -> tuple[tuple[str, ...], Architecture]:
    """What a whole search asks, by digest, and its answer."""
    method, evaluator = search(name, space, seed=seed), Scoring()
    answer = sampling_search(method, evaluator, SamplingState())
    return tuple(evaluator.asked), answer


@cache
def refused(name: str) -> dict[str, str]:
    """The spaces with decisions that a method cannot search, and what it says of each."""
    reasons = {}
    for space in SPACES:
        try:
            search(name, space)
        except MethodError as error:
            reasons[space] = str(error)
    return reasons


@every_method
def test_a_space_that_it_refuses_is_named_with_the_reason(name: str) -> None:
    assert not {"darts_cell", "nasbench201", "nasbench_macro"} & set(refused(name))
    for space, reason in refused(name).items():
        few = f"scores nothing twice, and {space} has " in reason
        assert few or reason.startswith(f"space is '{space}': its ")


@every_method
def test_its_options_leave_old_signatures_alone(name: str) -> None:
    fields = {field.name: field for field in all_methods()[name].Options.__dataclass_fields__.values()}
    assert fields["space"].metadata["absent"] == fields["space"].default == "darts_cell"
    assert fields["samples"].default in (1, 100)


@every_pair
def test_it_works_in_any_space_with_decisions(name: str, space: str) -> None:
    """The answer is one of its proposals, the best; it is valid, and codes for itself."""
    if space in refused(name):
        pytest.skip(refused(name)[space])
    asked, answer = whole(name, space)
    assert len(asked) <= SAMPLES
    assert answer.space == space
    assert score_of(answer) == max(score_of(digest) for digest in asked)
    get_space(space).validate(answer)
    assert get_space(space).decode(get_space(space).encode(answer)) == answer
    assert answer.provenance["method"] == name


@every_method
@pytest.mark.parametrize("space", ["darts_cell", "nasbench201"])
def test_its_answer_builds_and_counts(name: str, space: str) -> None:
    answer, settings = whole(name, space)[1], NetworkSettings(channels=4, cells=3)
    if space == "nasbench201":
        answer = replace(answer, scale={"channels": 4, "cells_per_stage": 1})
    network = build(answer, 10, settings)
    counts = get_space(space).counts(answer, 10, settings)
    assert (counts.params, counts.macs) == (count_params(network), count_macs(network, (3, 32, 32)))
    assert network.eval()(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


@every_method
def test_the_seed_decides(name: str) -> None:
    again = Scoring()
    answer = sampling_search(search(name), again, SamplingState())
    assert (tuple(again.asked), answer) == whole(name)
    assert whole(name, seed=4)[0] != whole(name)[0]


@every_method
def test_nothing_else_decides(name: str) -> None:
    """Not torch's global generator, and not what another search does in between."""
    method, other, evaluator = search(name), search(name, seed=5), Scoring()
    for number in range(SAMPLES):
        torch.manual_seed(number)
        proposal, beside = method.ask(), other.ask()
        method.tell(proposal, evaluator.score([(number, proposal)])[0].score)
        other.tell(beside, 1.0)
    assert method.architecture() == whole(name)[1]
    assert set(evaluator.asked) == set(whole(name)[0])


@every_method
@pytest.mark.parametrize("at", [0, 1, SAMPLES // 2])
def test_killed_and_continued_it_gives_the_same_answer_at_the_same_cost(name: str, at: int) -> None:
    """A continued search is a new method; the harness asks again and tells the scores that it wrote down."""
    state, cut, kept = SamplingState(), Scoring(stop_at=at), SamplingState().state_dict()

    def keep(number: int) -> None:
        kept.update(state.state_dict())

    with pytest.raises(InterruptedScoringError):
        sampling_search(search(name), cut, state, keep)
    continued, rest = SamplingState(), Scoring()
    continued.load_state_dict(kept)
    answer = sampling_search(search(name), rest, continued)
    alone = SamplingState()
    sampling_search(search(name), Scoring(), alone)
    assert (tuple(cut.asked + rest.asked), answer) == whole(name)
    assert answer.provenance == whole(name)[1].provenance
    assert continued.costs() == alone.costs()


@every_method
def test_several_can_be_asked_before_the_first_is_told(name: str) -> None:
    def searched() -> Architecture:
        method = search(name)
        for _ in range(SAMPLES // 8):
            for proposal in reversed([method.ask() for _ in range(8)]):
                method.tell(proposal, score_of(proposal))
        return method.architecture()

    assert searched() == searched()


@every_method
def test_a_score_must_be_a_number_and_of_a_proposal(name: str) -> None:
    method = search(name)
    proposal = method.ask()
    with pytest.raises(ValueError, match=name):
        method.tell(proposal, float("nan"))
    method.tell(proposal, 1.0)
    with pytest.raises(ValueError, match=name):
        method.tell(proposal, 2.0)


@every_method
def test_one_sample_needs_no_score(name: str) -> None:
    method, evaluator = search(name, samples=1), Scoring(stop_at=0)
    answer = sampling_search(method, evaluator, SamplingState())
    assert not method.needs_scores
    assert search(name).needs_scores
    assert answer == search(name).ask()


@every_method
def test_what_answers_at_any_time_does_not_know_its_budget(name: str) -> None:
    if not all_methods()[name].anytime:  # type: ignore[attr-defined]
        pytest.skip("its proposals depend on its budget")
    short, long = search(name, samples=10), search(name)
    for _ in range(10):
        one, other = short.ask(), long.ask()
        assert one == other
        short.tell(one, score_of(one))
        long.tell(other, score_of(other))
        assert short.architecture() == long.architecture()


@every_method
def test_a_space_that_it_cannot_search_is_refused(name: str) -> None:
    for space in ("nasbench20", "nothing"):
        with pytest.raises(ValueError, match=f"space is '{space}'"):
            all_methods()[name].Options(space=space)
