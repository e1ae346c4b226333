"""LISSNAS: lists that shrink while their means rise, around seeds, and a search that keeps to the last of them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from methods.base import MethodError
from methods.sampling.lissnas import LISSNAS, LISSNASOptions
from methods.spaces import get_space
from methods.spaces.decisions import Code, ball
from tests.methods.sampling.landscapes import NB201, context, landscape, run

SPACE = get_space(NB201)
SCORES = landscape(SPACE, rugged=0.5)
TEN = set(sorted(SCORES, key=lambda code: -SCORES[code])[:10])


def lissnas(seed: int = 0, space: str = NB201, **options: Any) -> LISSNAS:
    return LISSNAS(LISSNASOptions(space=space, **options), context(seed))


def shuffled() -> dict[Code, float]:
    return dict(zip(SCORES, np.random.default_rng(0).permutation(list(SCORES.values())).tolist(), strict=True))


@pytest.mark.parametrize("at_once", [1, 7])
@pytest.mark.parametrize("seed", range(3))
def test_it_shrinks_while_the_mean_rises(seed: int, at_once: int) -> None:
    search = lissnas(seed, samples=150)
    run(search, SCORES, at_once)
    assert len(search.sizes) == len(search.means) >= 2
    assert all(after < before for before, after in pairwise(search.sizes))
    assert all(after > before for before, after in pairwise(search.means))
    assert search.listed is not None
    assert len(search.listed.codes) == search.sizes[-1]


def test_its_means_are_of_what_it_drew_from_each_list() -> None:
    search = lissnas(samples=150)
    codes = run(search, SCORES)
    assert search.means[0] == pytest.approx(np.mean([SCORES[code] for code in codes[:40]]))
    assert search.means[1] == pytest.approx(np.mean([SCORES[code] for code in codes[40:52]]))
    assert len(set(codes[: search.shrunk_after])) == search.shrunk_after, "nothing is scored twice while it shrinks"


def test_a_list_is_what_is_near_its_seeds() -> None:
    search = lissnas(samples=150, rounds=1, radius=1, seeds=3)
    run(search, SCORES)
    assert search.listed is not None
    first = sorted(search.codes[:40], key=lambda code: -SCORES[code])
    assert first[0] in search.listed.codes
    assert set(search.listed.codes) <= set().union(*(ball(SPACE, code, 1) for code in first[:6]))
    assert 25 <= len(search.listed.codes) <= 75


@pytest.mark.parametrize("then", ["random_sampling", "regularized_evolution", "reinforce"])
@pytest.mark.parametrize("at_once", [1, 7])
def test_the_search_that_follows_keeps_to_the_list(then: str, at_once: int) -> None:
    search = lissnas(samples=160, then=then)
    codes = run(search, SCORES, at_once)
    assert search.listed is not None
    assert search.shrunk_after < 120
    rest = codes[search.shrunk_after :]
    assert set(rest) <= set(search.listed.codes)
    assert len(rest) == 160 - search.shrunk_after
    assert not +search.inside, "all that the following search proposed was told to it"


def test_it_keeps_more_of_the_best_than_its_share() -> None:
    shares, kept = [], []
    for seed in range(8):
        search = lissnas(seed, samples=100)
        run(search, SCORES)
        codes = set(search.listed.codes if search.listed else SCORES)
        shares.append(len(codes) / len(SCORES))
        kept.append(len(TEN & codes) / 10)
    assert np.mean(kept) > 2 * np.mean(shares)


def test_without_locality_nothing_is_gained() -> None:
    """Where no list is better than the whole space, that stays; a list is no better by more than chance."""
    scores = shuffled()
    gains = []
    for seed in range(8):
        search = lissnas(seed, samples=100)
        run(search, scores)
        codes = search.listed.codes if search.listed else tuple(scores)
        gains.append(np.mean([scores[code] for code in codes]) - np.mean(list(scores.values())))
    assert abs(np.mean(gains)) < 0.1 * np.std(list(scores.values()))


def test_what_it_found_out_is_told() -> None:
    search = lissnas(samples=150)
    run(search, SCORES)
    found = search.findings()
    near, means, sizes, apart = found.values()
    assert near[0] > near[1] > near[2]
    assert (means, sizes) == (search.means, search.sizes)
    assert sizes[0] == 15_625
    assert 2 < apart < 5


def test_a_space_smaller_than_its_first_round_stays_whole() -> None:
    space = get_space("timm")
    scores, search = landscape(space), lissnas(space="timm", samples=20)
    codes = run(search, scores)
    assert set(codes[:4]) == set(scores)
    assert search.listed is None
    assert space.encode(search.architecture()) == max(scores, key=scores.__getitem__)


def test_lists_that_nobody_could_hold_are_refused() -> None:
    with pytest.raises(MethodError, match=r"space is 'dense_cell': its networks have some .* take a smaller radius"):
        LISSNASOptions(space="dense_cell", radius=3)
