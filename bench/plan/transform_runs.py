"""The runs of a row that transforms another row's trained network."""

from __future__ import annotations

from bench.plan.planned import Plan
from bench.plan.recipe import Recipe
from bench.plan.schema import Inheritance, Row
from bench.records.run_info import RunInfo
from methods.base import Transform
from methods.registry import get_method


def transform(whole: Plan, label: str, row: Row, seeds: tuple[int | None, int]) -> list[RunInfo]:
    """A transform's runs: the dense training, the transform itself, and one training for each inheritance."""
    assert row.method is not None
    assert row.of is not None
    options = whole.options(label, row)
    cls = get_method(row.method)
    penalised = cls.training_penalty is not Transform.training_penalty  # type: ignore[attr-defined]
    penalty = {"method": row.method, "options": cls.penalty_options(options)} if penalised else None  # type: ignore[attr-defined]
    source = whole.dense(row.of, seeds, penalty)
    needs, match = [source.signature], None
    if row.match is not None:
        first = whole.profile.search_seeds[0] if seeds[0] is None else seeds[0]
        other = whole.dense(row.match.row, (first, seeds[1]))
        needs.append(other.signature)
        match = {"run": other.signature, "on": row.match.on}
    config = {"method": row.method, "options": options, "source": source.signature, "match": match}
    own = (source.search_seed, seeds[1])
    smaller = whole.add(label, row.method, "transform", config, search_seed=own[0], retrain_seed=own[1], needs=needs)
    recipes: dict[Inheritance, Recipe] = {"scratch": whole.recipe(row), "finetune": whole.tuning()}
    architecture = {"run": smaller.signature, "select": None}
    return [
        whole.train(label, row.method, architecture, recipes[kind], own, [smaller.signature], kind)
        for kind in row.inheritance
    ]
