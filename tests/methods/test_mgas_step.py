"""The step function, its derivative, and the segments that give every unit its threshold."""

from __future__ import annotations

import pytest
import torch

from methods.gradient.mgas.step import Segments, long_tailed_step

POINTS = [-1.5, -1, -0.7, -0.4, -0.2, 0, 0.2, 0.4, 0.7, 1, 1.5]
VALUES = [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1]
DERIVATIVES = [0, 0.4, 0.4, 0.4, 1.2, 2, 1.2, 0.4, 0.4, 0.4, 0]


def test_step_and_derivative_at_the_published_points():
    u = torch.tensor(POINTS, requires_grad=True)
    value = long_tailed_step(u)
    value.sum().backward()
    assert value.tolist() == VALUES
    torch.testing.assert_close(u.grad, torch.tensor(DERIVATIVES), atol=1e-6, rtol=0)


def test_step_scales_the_incoming_gradient():
    u = torch.tensor([0.2, -0.7], requires_grad=True)
    (torch.tensor([3.0, -5.0]) * long_tailed_step(u)).sum().backward()
    torch.testing.assert_close(u.grad, torch.tensor([3.6, -2.0]))


def segments() -> tuple[Segments, torch.Tensor]:
    counts, owners = [2, 3, 1, 4], [1, 0, 1, 3]
    owner = torch.tensor([1, 1, 0, 0, 0, 1, 3, 3, 3, 3])
    return Segments(counts, owners, 5, torch.device("cpu")), owner


def test_spread_gives_every_element_its_owners_value_and_sums_the_gradient():
    made, owner = segments()
    values = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0], requires_grad=True)
    factor = torch.arange(1.0, 11.0)
    spread = made.spread(values)
    assert torch.equal(spread, values.detach()[owner])
    (factor * spread).sum().backward()
    expected = torch.zeros(5).index_add(0, owner, factor)
    assert torch.equal(values.grad, expected)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_quantile_keeps_a_share_of_every_owner(share: float):
    counts, owners = [40, 60], [1, 0]
    made = Segments(counts, owners, 3, torch.device("cpu"))
    elements = torch.rand(100, generator=torch.Generator().manual_seed(0))
    kept = (torch.tensor([60, 40, 0]) * share).ceil().long()
    on = elements > made.spread(made.quantile(elements, kept))
    assert int(on[:40].sum()) == int(kept[1])
    assert int(on[40:].sum()) == int(kept[0])


def test_quantile_keeps_all_of_equals():
    made = Segments([5], [0], 1, torch.device("cpu"))
    elements = torch.full((5,), 0.5)
    assert bool((elements > made.spread(made.quantile(elements, torch.tensor([2])))).all())
