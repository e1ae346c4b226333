"""MSG-DAS: what it is with one path and with all of them, its guidance, its identities that drop blocks."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from bench.speed.count import saved_bytes
from methods.base import MethodError
from methods.gradient.gdas import GDAS
from methods.gradient.msg_das import MSGDAS
from methods.gradient.path_search import added_up
from methods.parts.bilevel import loss_and_sums
from methods.parts.executors.dropblock import DropBlockIdentity
from methods.parts.samplers.ordered import OrderedPass
from tests.methods.small_searches import batch, begun

OFF = {"guidance": 0.0, "identity_drop": 0.0}


def msg(**changes: Any) -> MSGDAS:
    return begun(MSGDAS, **changes)


def test_with_one_path_and_nothing_besides_it_is_gdas_to_the_bit() -> None:
    one, gdas = msg(paths=1, **OFF), begun(GDAS, derive="edges")
    for number in range(3):
        sums = [method.step(batch(number), batch(number + 10)) for method in (one, gdas)]
        assert all(torch.equal(sums[0][key], sums[1][key]) for key in sums[1])
    for (name, mine), theirs in zip(one.supernet.named_parameters(), gdas.supernet.parameters(), strict=True):
        assert torch.equal(mine, theirs), name
    assert one.architecture().genotype == gdas.architecture().genotype


def test_with_all_paths_its_weights_have_the_gradients_of_the_ordered_pass() -> None:
    """Same noise, that is the same orders: sums over paths in which every operation comes once."""
    method = msg(paths=8, **OFF)
    paths = method.draw()
    orders = {kind: list(zip(*(path[kind].chosen for path in paths), strict=True)) for kind in paths[0]}
    assert all(sorted(order) == list(range(8)) for rows in orders.values() for order in rows)
    ordered: list[dict] = [{} for _ in paths]
    for kind, rows in orders.items():
        sampler = OrderedPass(torch.Generator())
        sampler.load_state_dict({"left": rows})
        for path in ordered:
            path[kind] = sampler(method.parameterisation.logits(kind))
    found = []
    for each in (paths, ordered):
        losses = [partial(loss_and_sums, partial(method.supernet, gates=path), batch()) for path in each]
        found.append(added_up(losses, method.weights)[0])
    assert all(one is not None and torch.equal(one, other) for one, other in zip(*found, strict=True))
    method.step(batch(), batch(1))
    assert {count for rows in method.counts.updates.values() for row in rows for count in row} == {1}


def test_gradients_of_weights_are_added_and_those_of_alphas_averaged(monkeypatch: pytest.MonkeyPatch) -> None:
    method = msg(paths=3, **OFF)
    paths = method.draw()
    monkeypatch.setattr(method, "draw", lambda: paths)
    taken: dict[str, list] = {}
    monkeypatch.setattr(method, "update_weights", lambda gradients: taken.update(weights=gradients))
    monkeypatch.setattr(method, "update_architecture", lambda gradients: taken.update(alphas=gradients))
    sums = method.step(batch(), batch(1))
    assert float(sums["count"]) == 4
    losses = [F.cross_entropy(method.supernet(batch()[0], path), batch()[1]) for path in paths]
    wanted = torch.autograd.grad(sum(losses), method.weights, allow_unused=True, retain_graph=True)
    for one, other in zip(taken["weights"], wanted, strict=True):
        assert (one is None) == (other is None)
        assert one is None or torch.allclose(one, other, rtol=1e-4, atol=1e-6)
    losses = [F.cross_entropy(method.supernet(batch(1)[0], path), batch(1)[1]) for path in paths]
    wanted = torch.autograd.grad(sum(losses) / 3, method.alphas)
    assert all(torch.allclose(one, other, atol=1e-6) for one, other in zip(taken["alphas"], wanted, strict=True))


def test_guidance_is_the_divergence_from_the_supernet() -> None:
    method = msg(paths=2, identity_drop=0.0, guidance=0.7, guidance_temperature=3.0)
    paths = method.draw()
    images, labels = batch()
    losses = [compute()[0] for compute in method.train_losses((images, labels), paths)]
    teacher = (method.supernet(images) / 3).softmax(1)  # all operations, softmax weights
    for path, found in zip(paths, losses, strict=True):
        logits = method.supernet(images, path)
        divergence = (teacher * (teacher.log() - (logits / 3).log_softmax(1))).sum(1).mean()
        torch.testing.assert_close(found, F.cross_entropy(logits, labels) + 0.7 * 9 * divergence)
    assert not torch.autograd.grad(losses[0], method.alphas, allow_unused=True)[0].isnan().any()


def test_a_guided_step_keeps_no_more_than_one_path() -> None:
    """The supernet guides without a gradient, and the paths are run in turn."""
    kept = {}
    for name, changes in {"one": {"paths": 1, "guidance": 0.0}, "guided": {"paths": 3, "guidance": 1.0}}.items():
        method = msg(identity_drop=0.0, **changes)
        same = [dict(method.draw()[0])] * method.options.paths
        method.draw = lambda same=same: same  # type: ignore[method-assign]
        method.supernet.train()
        kept[name] = saved_bytes(lambda method=method: method._weight_step(batch(0, 16)))
    assert kept["guided"] < 1.05 * kept["one"]


def test_identities_drop_blocks_in_training_alone() -> None:
    identity, x = DropBlockIdentity(3), torch.ones(32, 8, 16, 16)
    assert torch.equal(identity(x), x)
    identity.rate, identity.seed = 0.2, 5
    y = identity(x)
    assert torch.equal(identity(x), y)  # run again, the same
    dropped = (y == 0).float()
    assert dropped.mean().item() == pytest.approx(0.2, abs=0.03)  # blocks overlap: a little less than the rate
    assert y.mean().item() == pytest.approx(1.0)
    assert F.max_pool2d(dropped, 3, stride=1, padding=1).mean() > 1.5 * dropped.mean()  # not single pixels
    windows = F.avg_pool2d(dropped, 3, stride=1)
    assert bool((F.max_pool2d(F.pad((windows == 1).float(), (2, 2, 2, 2)), 3, stride=1) == dropped).all())
    identity.seed = 6
    assert not torch.equal(identity(x), y)
    assert torch.equal(identity.eval()(x), x)
    assert identity.train()(torch.ones(2, 2, 2, 2)).shape == (2, 2, 2, 2)  # an image smaller than a block


def test_the_rate_of_dropping_falls_to_zero() -> None:
    method = msg(identity_drop=0.3)
    assert method.identities
    rates = []
    for epoch in range(4):
        method.on_epoch_start(epoch)
        rates.append(method.on_epoch_end(epoch)["paths/identity_drop"])
    assert rates == pytest.approx([0.3, 0.2, 0.1, 0.0])


def test_more_paths_than_operations_are_refused() -> None:
    with pytest.raises(MethodError, match="8 operations"):
        msg(paths=9)
