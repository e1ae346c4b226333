"""What scores the proposals of a sampling search, behind one interface (`base.Evaluator`): each a file of this folder.

A file is called as its evaluator and has `make`; the file of that name in `bench.plan.evaluations` has its options.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from bench.config import restore
from bench.plan.evaluation import evaluation_class

if TYPE_CHECKING:
    from bench.run.evaluators.base import Evaluator
    from bench.run.phases.context import RunContext


def make_evaluator(run: RunContext) -> Evaluator:
    """The evaluator that a run's configuration names; short trainings where it names none."""
    given = dict(run.config.get("evaluator", {"name": "proxy"}))
    name = given.pop("name")
    made: Evaluator = import_module(f"bench.run.evaluators.{name}").make(
        run, restore(evaluation_class(name), given, name)
    )
    return made
