"""What a search kept that shrinks its space, by a table's truth, always beside two controls.

Both get what the search got: as many scored networks, and a list at least as short.

    own               the list of the search
    options dropped   the baseline: as many random networks scored, then the worst options dropped one by one
    table shuffled    the same search where every network has the values of another one, drawn at random
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch

from bench.data.tables import Table
from bench.run.evaluators.table import TableEvaluator
from methods.base import SamplingSearch, SearchContext
from methods.sampling.shrinking import drop_options, mean_distance
from methods.spaces import get_space
from methods.spaces.decisions import Code, enumerate_codes
from methods.spaces.listed import ListedSpace

OWN, DROPPED, SHUFFLED = "own", "options dropped", "table shuffled"
LISTED_NAME = "listed.json"
"""The shrunk space, in the run directory of a search that is no batch."""
BEST = 10
"""Networks that a list should keep."""
Values = npt.NDArray[np.float64]


@runtime_checkable
class Shrinks(Protocol):
    """A search that shrinks its space: the list, None for the whole space, and the proposals made before it had it."""

    listed: ListedSpace | None
    shrunk_after: int


class Searching(Protocol):
    """What is searched with (`bench.run.table_search.TableSearch`)."""

    @property
    def method(self) -> type[SamplingSearch]: ...
    @property
    def options(self) -> Any: ...
    @property
    def evaluator(self) -> TableEvaluator: ...
    @property
    def budgets(self) -> tuple[int, ...]: ...


def lists_of(
    search: Searching, method: SamplingSearch, asked: Sequence[int], context: SearchContext
) -> dict[str, dict[str, Any]]:
    """The search's list and those of its controls, as indices of the table; nothing of other searches, or of one whose
    budget ended before it had a list.

    Args:
        asked: what it proposed, as indices.
    """
    if not isinstance(method, Shrinks) or not method.shrunk_after:
        return {}
    table, values = search.evaluator.table, search.evaluator.values
    own = _described(table, method, asked[: method.shrunk_after])
    scored = len(set(own["scored"]))
    return {
        OWN: own,
        DROPPED: _dropped(table, values, scored, len(own["listed"]), context.seed),
        SHUFFLED: _shuffled(search, context),
    }


def measured(lists: Mapping[str, Any], truth: Values) -> dict[str, float | None]:
    """What a list keeps: all in shares of 1, accuracies in percent.

    `enrichment` is the share kept of the ten best over the list's share of all networks, `unscored` the same among the
    networks that were not scored for it, which it does not keep by having seen them.
    """
    inside, seen, best = (np.zeros(len(truth), bool) for _ in range(3))
    inside[lists["listed"]], seen[lists["scored"]] = True, True
    best[np.argsort(-truth, kind="stable")[:BEST]] = True
    share, kept = float(inside.mean()), float(inside[best].mean())
    rest = inside & ~seen
    unseen = (rest.sum() / (~seen).sum()) if (~seen).any() else 0.0
    return {
        "share": share,
        "kept": kept,
        "enrichment": kept / share,
        "unscored": float(rest[best & ~seen].mean() / unseen) if unseen and (best & ~seen).any() else None,
        "mean": float(truth[inside].mean()),
        "gain": float(truth[inside].mean() - truth.mean()),
        "distance": lists["distance"],
        "scored": float(seen.sum()),
    }


@cache
def _indices(table: Table) -> dict[Code, int]:
    """The place in the table of every code of its space."""
    space = get_space(table.space)
    return {code: table.index(space.decode(code)) for code in enumerate_codes(space)}


@cache
def codes_of(table: Table) -> dict[int, Code]:
    """The code of every network of a table, by its place."""
    return {index: code for code, index in _indices(table).items()}


def _described(table: Table, method: Shrinks, scored: Sequence[int]) -> dict[str, Any]:
    indices = _indices(table)
    codes = list(indices) if method.listed is None else method.listed.codes
    return _lists(table, codes, scored)


def _lists(table: Table, codes: Sequence[Code], scored: Sequence[int]) -> dict[str, Any]:
    indices = _indices(table)
    return {
        "listed": sorted(indices[code] for code in codes),
        "scored": sorted(set(scored)),
        "distance": mean_distance(get_space(table.space), list(codes)),
    }


def _dropped(table: Table, values: Values, scored: int, largest: int, seed: int) -> dict[str, Any]:
    indices, generator = _indices(table), torch.Generator().manual_seed(seed)
    codes = list(indices)
    drawn = [codes[place] for place in torch.randperm(len(codes), generator=generator)[:scored].tolist()]
    scores = {code: float(values[indices[code]]) for code in drawn}
    return _lists(table, drop_options(get_space(table.space), scores, largest), [indices[code] for code in drawn])


def _shuffled(search: Searching, context: SearchContext) -> dict[str, Any]:
    """Its indices are of the networks whose values were seen, so that they are measured as every list is."""
    table, values = search.evaluator.table, search.evaluator.values
    whose = torch.randperm(len(table), generator=torch.Generator().manual_seed(context.seed)).numpy()
    method: Any = search.method(replace(search.options, samples=search.budgets[-1]), context)
    asked = []
    for _ in range(search.budgets[-1]):
        proposal = method.ask()
        if method.shrunk_after:
            break
        asked.append(table.index(proposal))
        method.tell(proposal, float(values[whose[asked[-1]]]))
    found = _described(table, method, asked)
    return {**found, **{name: sorted(whose[found[name]].tolist()) for name in ("listed", "scored")}}
