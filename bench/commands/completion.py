"""What a shell offers when Tab is pressed: names from `bench.plan.catalogue` and the runs folder, never an error.

A completer gets what was typed of the word and what stands before it on the line (argcomplete's interface).
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

from bench.commands.selection import owner
from bench.config import ConfigError
from bench.plan.catalogue import CLUSTERS, EXPERIMENTS, GENOTYPES, ExperimentFacts, experiment, names
from methods.facts import own_spaces


def experiments(prefix: str, **_: object) -> list[str]:
    """Shipped experiments, and YAML files."""
    return [*names(EXPERIMENTS), *files(prefix, ".yaml", ".yml")]


def recorded(prefix: str, parsed_args: argparse.Namespace, **_: object) -> list[str]:
    """Experiments with runs, and each with its profile."""
    found = _folders(parsed_args)
    return sorted({owner(path)[0] for path in found} | {path.name for path in found})


def profiles(prefix: str, parsed_args: argparse.Namespace, **_: object) -> list[str]:
    """Those of the experiment that stands on the line; without one, those that have been run."""
    meant = list(_meant(parsed_args))
    if meant:
        return list(dict.fromkeys(profile for facts in meant for profile in [*facts.profiles, "auto"]))
    return sorted({owner(path)[1] for path in _folders(parsed_args)})


def rows(prefix: str, parsed_args: argparse.Namespace, **_: object) -> list[str]:
    """The rows of the experiment that stands on the line."""
    return list(dict.fromkeys(row for facts in _meant(parsed_args) for row in facts.rows))


def architectures(prefix: str, **_: object) -> list[str]:
    """Published ones, files, and run directories."""
    return [*names(GENOTYPES, ".json"), *files(prefix, ".json")]


def spaces(prefix: str, **_: object) -> list[str]:
    """Every registered search space."""
    return sorted(own_spaces())


def trained(prefix: str, parsed_args: argparse.Namespace, **_: object) -> list[str]:
    """Directories of finished trainings."""
    found = sorted(path.parent for path in parsed_args.runs_dir.glob("*/train-*/result.json"))
    shown = [os.path.relpath(path) for path in found]
    return [*shown, *map(str, found)] if prefix.startswith("/") else [*shown, *files(prefix)]


def clusters(prefix: str, **_: object) -> list[str]:
    return [*names(CLUSTERS), *files(prefix, ".yaml", ".yml")]


def files(prefix: str, *suffixes: str) -> list[str]:
    """Files with one of the suffixes, and folders to look further in."""
    start = Path(prefix)
    folder = start if prefix.endswith("/") else start.parent
    try:
        inside = [folder / path.name for path in folder.expanduser().iterdir()]
        found = [f"{path}/" if path.expanduser().is_dir() else str(path) for path in inside]
    except OSError:
        return []
    return sorted(name for name in found if name.endswith((*suffixes, "/")))


def _folders(parsed_args: argparse.Namespace) -> list[Path]:
    return sorted({path.parents[1] for path in parsed_args.runs_dir.glob("*/*/run.json")})


def _meant(parsed_args: argparse.Namespace) -> Iterator[ExperimentFacts]:
    given = [getattr(parsed_args, "experiment", None), *(getattr(parsed_args, "experiments", None) or [])]
    for name in filter(None, given):
        candidates = [str(name), str(name).rpartition("-")[0]]
        for candidate in candidates:  # "demo-quick", as `dasbench status` takes it, is of the experiment "demo"
            try:
                yield experiment(candidate)
                break
            except (ConfigError, OSError):
                continue
