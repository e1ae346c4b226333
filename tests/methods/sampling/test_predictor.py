"""The predictor: what it reads of a code, and that it learns what can be learned."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from scipy import stats

from methods.base import MethodError
from methods.sampling.predictor import Encoder, Ensemble, Fit, Predictor, refuse_wide
from methods.spaces import get_space
from methods.spaces.decisions import Decision, NonEmptySubsets, SubsetDecision, enumerate_codes, sample_code
from tests.methods.sampling.landscapes import NB201, TinySpace, landscape


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@dataclass(frozen=True)
class Subset(TinySpace):
    def decisions(self) -> tuple[Decision, ...]:
        return (SubsetDecision("items", NonEmptySubsets(("p", "q", "r"))),)


def test_what_it_reads() -> None:
    """One-hot of the first two, the steps below the chosen one of the ordered."""
    read = Encoder(TinySpace())([(0, 1, 0), (2, 0, 3)])
    assert read.tolist() == [[1, 0, 0, 0, 1, 0, 0, 0], [0, 0, 1, 1, 0, 1, 1, 1]]
    assert Encoder(TinySpace()).size == 8
    assert Encoder(Subset())([(0,), (4,), (6,)]).tolist() == [[1, 0, 0], [1, 0, 1], [1, 1, 1]]


@pytest.mark.parametrize("space", [TinySpace(), Subset(), get_space("resnet")])
def test_no_two_codes_read_alike(space: TinySpace) -> None:
    codes = list(enumerate_codes(space))
    assert len(torch.unique(Encoder(space)(codes), dim=0)) == len(codes)


def test_it_is_an_ensemble_of_ordinary_perceptrons() -> None:
    ensemble = Ensemble(4, Fit(members=3, width=7), generator())
    x = torch.randn(5, 4, generator=generator())
    found = ensemble(x)
    for member in range(3):
        hidden = (x @ ensemble.into[member] + ensemble.bias[member]).relu()
        torch.testing.assert_close(found[member], (hidden @ ensemble.out[member] + ensemble.level[member])[:, 0])
    assert len({tuple(row) for row in found.tolist()}) == 3


def test_each_member_leaves_out_its_part() -> None:
    """Two scores change places, mean and deviation stay: a member that sees neither network is as it was."""
    space, codes = TinySpace(), list(enumerate_codes(TinySpace()))[:10]
    scores, members = [float(number % 2) for number in range(10)], 2

    def fitted(values: list[float]) -> Predictor:
        known = list(zip(codes, values, strict=True))
        return Predictor(Encoder(space), known, Fit(members=members, steps=30), generator())

    before, untouched = fitted(scores), 0
    for first in range(0, 10, 2):
        for second in range(1, 10, 2):
            swapped = list(scores)
            swapped[first], swapped[second] = scores[second], scores[first]
            after = fitted(swapped)
            pairs = zip(before.ensemble.into, after.ensemble.into, strict=True)
            same = [torch.equal(a, b) for a, b in pairs]
            assert sum(same) <= 1
            untouched += sum(same)
    assert untouched in (8, 12), "of five and five in two parts: k (5 - k) pairs in each"


def test_it_learns_a_sum() -> None:
    space = get_space(NB201)
    scores, draws = landscape(space, rugged=0.0), generator(1)
    known = [(code, scores[code]) for code in (sample_code(space, draws) for _ in range(120))]
    new = [code for code in (sample_code(space, draws) for _ in range(200)) if code not in dict(known)]
    predictor = Predictor(Encoder(space), known, Fit(), generator())
    assert stats.kendalltau(predictor(new), [scores[code] for code in new]).statistic > 0.75
    assert predictor(new) == Predictor(Encoder(space), known, Fit(), generator())(new)


def test_it_knows_nothing_of_noise() -> None:
    space, draws = get_space(NB201), generator(1)
    codes = [sample_code(space, draws) for _ in range(300)]
    noise = torch.rand(300, generator=draws).tolist()
    predictor = Predictor(Encoder(space), list(zip(codes[:100], noise[:100], strict=True)), Fit(), generator())
    assert abs(stats.kendalltau(predictor(codes[100:]), noise[100:]).statistic) < 0.15


def test_equal_scores_are_predicted_as_such() -> None:
    space = TinySpace()
    predictor = Predictor(Encoder(space), [((0, 0, 0), 5.0), ((1, 1, 1), 5.0)], Fit(), generator())
    assert predictor([(2, 0, 3)]) == pytest.approx([5.0], abs=1e-4)


def test_decisions_that_are_too_wide_are_refused() -> None:
    refuse_wide("it", NB201, get_space(NB201))
    with pytest.raises(MethodError, match="it takes spaces of at most 1000 a decision"):
        refuse_wide("mine", "dense_cell", get_space("dense_cell"))
