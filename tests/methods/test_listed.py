"""A space of listed codes: its neighbours are the whole space's, and every sampling search can work in it."""

from __future__ import annotations

from typing import Any

import pytest

from methods.architecture import ArchitectureError
from methods.base import MethodError, SearchContext
from methods.registry import all_methods
from methods.spaces import get_space
from methods.spaces.decisions import ball, distance, mutate, neighbours, size
from methods.spaces.listed import ListedSpace
from tests.contracts.scores import score_of
from tests.contracts.tiny import SAMPLING_SEARCHES
from tests.methods.sampling.landscapes import TinySpace

NB201 = get_space("nasbench201")
HERE, FAR = (0, 0, 0, 0, 0, 0), (3, 3, 3, 3, 3, 3)


def listed(*more: tuple[int, ...]) -> ListedSpace:
    return ListedSpace.of(NB201, [*ball(NB201, HERE, 1), *more])


def test_an_architecture_is_one_of_the_list() -> None:
    space = listed(FAR)
    assert size(space) == 26
    assert space.name == "nasbench201"
    for number, code in enumerate(space.codes):
        assert space.decode((number,)) == NB201.decode(code)
        assert space.encode(NB201.decode(code)) == (number,)
    with pytest.raises(ArchitectureError, match="is none of the 26 in the list"):
        space.encode(NB201.decode((3, 3, 3, 3, 3, 0)))


def test_neighbours_are_the_whole_spaces() -> None:
    space = listed()
    for number, code in enumerate(space.codes):
        near = [space.codes[other] for (other,) in neighbours(space, (number,))]
        assert near == [other for other in space.codes if distance(NB201, code, other) == 1]


def test_who_has_no_neighbour_has_the_nearest(tiny_generator: Any) -> None:
    space = listed(FAR)
    near = [space.codes[other] for (other,) in neighbours(space, space.encode(NB201.decode(FAR)))]
    away = {code: distance(NB201, FAR, code) for code in space.codes if code != FAR}
    assert near == [code for code in away if away[code] == min(away.values())]
    assert space.codes[mutate(space, (space.codes.index(FAR),), tiny_generator)[0]] in near


def test_a_list_of_nothing_or_of_no_codes_is_refused() -> None:
    with pytest.raises(ArchitectureError, match="needs at least one"):
        ListedSpace.of(TinySpace(), [])
    with pytest.raises(ArchitectureError, match="decision 'a'"):
        ListedSpace.of(TinySpace(), [(9, 0, 0)])


@pytest.fixture
def tiny_generator() -> Any:
    import torch

    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("name", SAMPLING_SEARCHES)
def test_any_sampling_search_keeps_to_the_list(name: str) -> None:
    space, cls = listed(FAR), all_methods()[name]
    options: Any = cls.Options(space="nasbench201", samples=20)
    search: Any = cls(options, SearchContext(10, within=space))  # type: ignore[call-arg]
    for _ in range(20):
        proposal = search.ask()
        assert NB201.encode(proposal) in space.codes
        search.tell(proposal, score_of(proposal))
    assert NB201.encode(search.architecture()) in space.codes


def test_a_search_that_repeats_nothing_says_when_the_list_is_through() -> None:
    cls = all_methods()["local_search"]
    options: Any = cls.Options(space="nasbench201", samples=100)
    search: Any = cls(options, SearchContext(10, within=listed()))  # type: ignore[call-arg]
    for _ in range(25):
        proposal = search.ask()
        search.tell(proposal, score_of(proposal))
    with pytest.raises(MethodError, match="has proposed all 25 networks"):
        search.ask()
