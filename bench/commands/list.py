"""`dasbench list`: everything that can be named, and what has been run."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from bench.commands.arguments import offer
from bench.commands.output import console

HELP = "list what experiments can name (methods, spaces, data sets, tables, recipes, ...), and what has been run"
Item = tuple[str, list[str]]
"""A name, and the lines that stand beside it."""


def arguments(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"only these: {' '.join(KINDS)} (all)")
    offer(kinds, list(KINDS))


def run(options: argparse.Namespace) -> int:
    """Everything that can be named on the command line, and what has been run."""
    from bench.config import ConfigError, nearest

    for kind in options.kinds:
        if kind not in KINDS:
            raise ConfigError(f"there are no '{kind}' to list" + nearest(kind, KINDS))
    for kind in options.kinds or KINDS:
        console.print(f"[bold]{kind}[/]")
        items = list(KINDS[kind](options.runs_dir))
        width = max((len(name) for name, _ in items if len(name) <= 24), default=0)
        for name, lines in items:
            for index, line in enumerate(lines or [""]):
                console.print(f"  {'' if index else name:{width}}  {line}".rstrip(), markup=False)
    return 0


def _experiments(runs_dir: Path) -> Iterator[Item]:
    from bench.plan.catalogue import EXPERIMENTS, experiment, names

    for name in names(EXPERIMENTS):
        facts = experiment(name)
        profiles = [f"--profile {profile}: {text}" for profile, text in facts.profiles.items()]
        yield name, [f"{facts.dataset}: {facts.description}", *profiles, f"rows: {', '.join(facts.rows)}"]


def _methods(runs_dir: Path) -> Iterator[Item]:
    from bench.plan.catalogue import methods

    for name, facts in methods().items():
        where = facts.kind + (f" in {facts.space}" if facts.kind and facts.space else facts.space)
        yield name, [facts.special, "; ".join(filter(None, [where, facts.paper]))]


def _spaces(runs_dir: Path) -> Iterator[Item]:
    from bench.plan.catalogue import spaces

    yield from ((name, [text]) for name, text in spaces().items())


def _tables(runs_dir: Path) -> Iterator[Item]:
    from bench.data.listed_tables import TABLES

    yield from ((name, [table.about]) for name, table in TABLES.items())


def _evaluators(runs_dir: Path) -> Iterator[Item]:
    from bench.plan.catalogue import evaluators

    yield from ((name, [text]) for name, text in evaluators().items())


def _tasks(runs_dir: Path) -> Iterator[Item]:
    from methods.tasks import task_lines

    yield from ((name, [text]) for name, text in task_lines().items())


def _datasets(runs_dir: Path) -> Iterator[Item]:
    from bench.data.names import DATASETS

    yield from ((name, [text]) for name, text in DATASETS.items())


def _recipes(runs_dir: Path) -> Iterator[Item]:
    from bench.plan.catalogue import RECIPES, names, recipe

    yield from ((name, [recipe(name)]) for name in names(RECIPES))


def _architectures(runs_dir: Path) -> Iterator[Item]:
    from bench.plan.catalogue import GENOTYPES, architecture, names

    yield from ((name, [architecture(name)]) for name in names(GENOTYPES, ".json"))


def _clusters(runs_dir: Path) -> Iterator[Item]:
    from bench.plan.catalogue import CLUSTERS, cluster, names

    yield from ((name, [cluster(name)]) for name in names(CLUSTERS))


def _runs(runs_dir: Path) -> Iterator[Item]:
    """What lies there, counted by the files' names: `dasbench status` reads them."""
    found = False
    for folder in sorted(runs_dir.glob("*/")):
        runs = [path for path in _entries(folder) if os.path.exists(f"{path}/run.json")]
        if runs:
            found = True
            done = sum(os.path.exists(f"{run}/result.json") for run in runs)
            yield folder.name, [f"{done} of {len(runs)} done"]
    if not found:
        yield str(runs_dir), ["nothing has been run here"]


def _entries(folder: Path) -> list[str]:
    """Paths of what is in a folder, as texts: there may be thousands; none where it may not be looked into."""
    try:
        return [f"{folder}/{name}" for name in os.listdir(folder)]
    except OSError:
        return []


KINDS: dict[str, Callable[[Path], Iterable[Item]]] = {
    "experiments": _experiments,
    "methods": _methods,
    "spaces": _spaces,
    "tasks": _tasks,
    "datasets": _datasets,
    "tables": _tables,
    "evaluators": _evaluators,
    "recipes": _recipes,
    "architectures": _architectures,
    "clusters": _clusters,
    "runs": _runs,
}
