"""PNAS: it grows as the paper has it, a wide beam is exhaustive search, and its predictor is judged on what is new."""

from __future__ import annotations

from typing import Any

import pytest
from scipy import stats

from methods.base import MethodError
from methods.sampling.pnas import PNAS, PNASOptions
from methods.spaces import get_space
from methods.spaces.decisions import Code, neutral_code
from methods.spaces.operation_names import SKIP
from tests.methods.sampling.landscapes import NB201, TinySpace, context, landscape, run

SPACE = get_space(NB201)
SCORES = landscape(SPACE, rugged=0.2)
SKIPS = neutral_code(SPACE)


def pnas(seed: int = 0, space: str = NB201, **options: Any) -> PNAS:
    return PNAS(PNASOptions(space=space, steps=60, **options), context(seed))


def decided(code: Code) -> int:
    """How many decisions can be taken at most, where all others are left open."""
    return max((place + 1 for place, option in enumerate(code) if option != SKIPS[place]), default=0)


def test_an_undecided_edge_of_nasbench201_is_a_skip() -> None:
    assert SPACE.decode(SKIPS).genotype["cell"].count(SKIP) == 6


@pytest.mark.parametrize("beam", [24, 1000, 0])
@pytest.mark.parametrize("at_once", [1, 5])
def test_a_beam_larger_than_the_space_is_exhaustive_search(tiny: TinySpace, beam: int, at_once: int) -> None:
    scores, search = landscape(tiny, rugged=2), pnas(space="tiny", samples=24, beam=beam)
    assert sorted(run(search, scores, at_once)) == sorted(scores)
    assert tiny.encode(search.architecture()) == max(scores, key=scores.__getitem__)
    with pytest.raises(MethodError, match="has proposed all 24 networks of tiny"):
        search.ask()


def test_every_level_takes_one_decision_more() -> None:
    search = pnas(samples=200, beam=12)
    codes = run(search, SCORES)
    levels = [codes[:5], *(codes[5 + 12 * level : 17 + 12 * level] for level in range(5))]
    for level, scored in enumerate(levels, 1):
        assert all(decided(code) <= level for code in scored)
        assert all(decided(code) == level for code in scored if code != SKIPS)
    assert len(set(codes)) == 200, "nothing is scored twice"
    assert any(decided(code) < 6 for code in codes[65:]), "what the levels leave of the budget is random"


def test_continuations_are_of_the_beam() -> None:
    search = pnas(samples=60)
    known: set[Code] = set()
    for _ in range(60):
        level, beam = search.level, list(search.beam)
        proposal = search.ask()
        code = search.codes[-1]
        if search.level > level:
            assert search.level == level + 1
            assert all((*each[:level], SKIPS[level], *each[level + 1 :]) in beam for each in search.beam)
            known = {each for each in search.beam if each in search.scores}
            assert known <= set(beam), "a continuation whose score is known is a network of the last beam"
        search.tell(proposal, SCORES[code])
    assert known


def test_the_budget_is_spread_over_the_levels() -> None:
    search, counts = pnas(samples=100), []
    for _ in range(100):
        proposal = search.ask()
        counts.append(search.level)
        search.tell(proposal, SCORES[search.codes[-1]])
    assert [counts.count(level) for level in range(1, 7)] == [5, 19, 19, 19, 19, 19]


def test_its_predictor_is_judged_by_what_it_had_not_seen() -> None:
    """Kendall's tau of predictions made before, with scores told afterwards; by level, and high where it can be."""
    search = pnas(samples=150)
    seen: dict[Code, bool] = {}
    for _ in range(150):
        proposal = search.ask()
        for each in search.predicted:
            seen |= {code: code in search.scores for code in each if code not in seen}
        search.tell(proposal, SCORES[search.codes[-1]])
    assert seen
    assert not any(seen.values())
    (found,) = search.findings().values()
    assert len(found) == 6
    assert found[0] is None, "nothing is known before the first level"
    textbook = [
        stats.kendalltau(list(each.values()), [SCORES[code] for code in each]).statistic
        for each in search.predicted[1:]
    ]
    assert found[1:] == pytest.approx(textbook)
    assert sum(textbook) / 5 > 0.15, "of the best by its own word, which are alike"


def test_a_predictor_beats_chance() -> None:
    best = sorted(SCORES.values())[-20]
    found = [max(SCORES[code] for code in run(pnas(seed, samples=100), SCORES)) for seed in range(3)]
    assert min(found) > best


def test_what_it_cannot_search_is_refused() -> None:
    with pytest.raises(MethodError, match=r"samples is 20000; .*nasbench201 has 15625 networks"):
        PNASOptions(samples=20_000, space=NB201)
    with pytest.raises(MethodError, match=r"space is 'dense_cell': its decision 'normal.2' has .* options, and pnas"):
        PNASOptions(space="dense_cell")
