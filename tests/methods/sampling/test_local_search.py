"""Local search: the textbook's climbs, optima checked by enumeration, nothing scored twice."""

from __future__ import annotations

from itertools import pairwise

import pytest

from methods.base import MethodError, SearchContext
from methods.sampling.local_search import LocalSearch, LocalSearchOptions
from methods.spaces import get_space
from methods.spaces.decisions import Code, neighbours
from tests.methods.sampling.landscapes import NB201, TinySpace, context, landscape, run

SPACE = get_space(NB201)
SCORES = landscape(SPACE, rugged=1.5)


class Watched(LocalSearch):
    """Keeps the climbs: the places of each, where it sets out first."""

    def __init__(self, options: LocalSearchOptions, of: SearchContext) -> None:
        super().__init__(options, of)
        self.walks: list[list[Code]] = []

    def climb(self, place: Code) -> bool:
        if self.place is None:
            self.walks.append([])
        self.walks[-1].append(place)
        return super().climb(place)


def local_search(seed: int = 0, space: str = NB201, **options: object) -> Watched:
    return Watched(LocalSearchOptions(space=space, **options), context(seed))  # type: ignore[arg-type]


def is_optimum(code: Code) -> bool:
    return all(SCORES[other] <= SCORES[code] for other in neighbours(SPACE, code))


def climb(start: Code) -> list[Code]:
    """Textbook steepest ascent, all scores known: the places it goes through."""
    best = max(neighbours(SPACE, start), key=SCORES.__getitem__)
    return [start, *climb(best)] if SCORES[best] > SCORES[start] else [start]


@pytest.mark.parametrize("at_once", [1, 7])
def test_its_climbs_are_the_textbooks(at_once: int) -> None:
    search = local_search(samples=800)
    run(search, SCORES, at_once)
    *whole, cut = search.walks
    assert len(whole) > 3
    for walk in whole:
        assert walk == climb(walk[0])
    assert cut == climb(cut[0])[: len(cut)]
    assert [walk[-1] for walk in whole] == search.optima[: len(whole)]


@pytest.mark.parametrize("at_once", [1, 7])
@pytest.mark.parametrize("options", [{}, {"improvement": "first"}, {"starts": 10, "improvement": "first"}])
def test_it_ends_in_local_optima(options: dict[str, object], at_once: int) -> None:
    search = local_search(samples=800, **options)
    codes = run(search, SCORES, at_once)
    assert len(set(codes)) == 800, "nothing is scored twice"
    assert len(search.optima) > 2
    assert all(is_optimum(code) for code in search.optima)
    assert is_optimum(SPACE.encode(search.architecture()))


def test_the_first_better_neighbour_is_where_it_goes() -> None:
    search = local_search(samples=400, improvement="first")
    codes = run(search, SCORES)
    for walk in search.walks:
        for place, following in pairwise(walk):
            between = codes[codes.index(place) + 1 : codes.index(following)]
            assert following in neighbours(SPACE, place)
            assert SCORES[following] > SCORES[place]
            assert not [code for code in between if code in neighbours(SPACE, place) and SCORES[code] > SCORES[place]]
    assert max(map(len, search.walks)) > 2


def test_a_climb_sets_out_from_the_best_of_its_starts() -> None:
    search = local_search(samples=11, starts=10)
    codes = run(search, SCORES)
    assert search.place == max(codes[:10], key=SCORES.__getitem__)
    assert codes[10] in neighbours(SPACE, search.place)


def test_equal_scores_are_no_improvement(tiny: TinySpace) -> None:
    search = local_search(space="tiny", samples=24)
    run(search, dict.fromkeys(landscape(tiny), 1.0))
    assert len(search.optima) > 1
    assert search.architecture() is search.history.asked[0]


@pytest.mark.parametrize("options", [{}, {"improvement": "first"}, {"starts": 30}])
@pytest.mark.parametrize("at_once", [1, 5, 24])
def test_a_whole_small_space_is_gone_through(tiny: TinySpace, options: dict[str, object], at_once: int) -> None:
    scores, search = landscape(tiny, rugged=2), local_search(space="tiny", samples=24, **options)
    assert sorted(run(search, scores, at_once)) == sorted(scores)
    assert tiny.encode(search.architecture()) == max(scores, key=scores.__getitem__)
    with pytest.raises(MethodError, match="has proposed all 24 networks of tiny"):
        search.ask()


def test_a_budget_beyond_the_space_is_refused() -> None:
    with pytest.raises(MethodError, match=r"samples is 20000; .*nasbench201 has 15625 networks"):
        LocalSearchOptions(samples=20_000, space=NB201)
