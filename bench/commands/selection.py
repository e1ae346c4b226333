"""From what was named on the command line to profiles, runs and folders of records."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.config import ConfigError, nearest
from bench.plan.catalogue import experiment

if TYPE_CHECKING:
    from bench.plan.experiment import Experiment
    from bench.records.run_info import RunInfo

RECORDS_ASKED = 20
"""Records of a folder that are asked whose it is."""


def choose_profile(of: Experiment, name: str | None) -> str:
    """The profile asked for, or the only one there is; "auto" is "short" on a GPU and "quick" on a CPU.

    Raises:
        ConfigError: none was asked for and there are several.
    """
    if name is not None:
        name = resolve_auto(name)
        of.profile(name)
        return name
    if len(of.profiles) > 1:
        raise ConfigError(
            f"experiment {of.name} has several profiles; choose one with --profile: " + ", ".join(of.profiles)
        )
    return next(iter(of.profiles))


def resolve_auto(name: str) -> str:
    """The profile that "auto" stands for on this machine; any other name as it is."""
    if name != "auto":
        return name
    import torch

    return "short" if torch.cuda.is_available() else "quick"


def what(options: argparse.Namespace) -> dict[str, Any]:
    """What of an experiment is asked for, as arguments of `bench.plan.runs.plan`."""
    names = {"rows": "methods", "search_seeds": "search_seeds", "retrain_seeds": "retrain_seeds", "memory": "memory"}
    return {argument: getattr(options, name) for argument, name in names.items()}


def planned_runs(options: argparse.Namespace, of: Experiment, profile: str) -> tuple[list[RunInfo], list[str]]:
    """The runs that were asked for, and what to say of rows whose start another experiment has not made yet.

    Raises:
        ConfigError: as `bench.plan.runs.plan`; or none of the rows can start.
    """
    from bench.plan.runs import plan
    from bench.plan.transfers import find_transfers

    asked = what(options)
    seeds, memory = asked["search_seeds"], asked["memory"]
    transfers = find_transfers(of, profile, options.runs_dir, asked["rows"], seeds, memory)
    planned = plan(of, profile, **asked, transfers=transfers)
    said = transfers.sentences(of, asked["rows"] or of.lines)
    if not planned:
        raise ConfigError(" ".join(said))
    return planned, said


def folders_of(options: argparse.Namespace) -> list[Path]:
    """The record folders that names, name-profile pairs, paths or experiment files stand for; all if none is given.

    Raises:
        ConfigError: nothing there by that name, or of that profile.
    """
    there = {path: owner(path) for path in sorted(options.runs_dir.glob("*")) if any(path.glob("*/run.json"))}
    if not there and not any(Path(name).is_dir() for name in options.experiments):
        raise ConfigError(f"no runs in {options.runs_dir}; `dasbench run demo` makes some, --runs-dir looks elsewhere")
    chosen = {} if options.experiments else there
    for name in options.experiments:
        chosen |= _named(name, there, options.runs_dir)
    if options.profile is None:
        return list(chosen)
    profile = resolve_auto(options.profile)
    kept = [path for path, (_, its_profile) in chosen.items() if its_profile == profile]
    if not kept:
        profiles = dict.fromkeys(its_profile for _, its_profile in chosen.values())
        names = ", ".join(path.name for path in chosen)
        raise ConfigError(f"no runs of profile '{profile}' among {names}" + nearest(profile, profiles))
    return kept


def _named(name: str, there: dict[Path, tuple[str, str]], runs_dir: Path) -> dict[Path, tuple[str, str]]:
    given = Path(name)
    if given.is_dir() and any(given.glob("*/run.json")):
        return {given: owner(given)}
    if name.endswith((".yaml", ".yml")):
        name = experiment(name).name
    found = {path: who for path, who in there.items() if name in (path.name, who[0])}
    if not found:
        raise ConfigError(f"no runs of '{name}' in {runs_dir}" + nearest(name, [path.name for path in there]))
    return found


def records_folder(runs_dir: Path, experiment: str, profile: str) -> Path:
    """Where the runs of an experiment at a profile lie.

    Raises:
        ConfigError: another experiment, whose name and profile come out the same, is there.
    """
    folder = runs_dir / f"{experiment}-{profile}"
    its = owner(folder) if folder.is_dir() and any(folder.glob("*/run.json")) else (experiment, profile)
    if its != (experiment, profile):
        raise ConfigError(
            f"{folder} holds the runs of experiment {its[0]} at profile {its[1]}; rename one of the two, or give "
            "another --runs-dir"
        )
    return folder


def owner(folder: Path) -> tuple[str, str]:
    """Experiment and profile of a folder of records: what a record says that fits the folder's name, else the first
    that says anything, else by the name itself. One record that was edited does not decide it."""
    said = list(islice(_owners(folder), RECORDS_ASKED))
    fitting = [pair for pair in said if "-".join(pair) == folder.name]
    experiment, _, profile = folder.name.rpartition("-")
    return next(iter([*fitting, *said]), (experiment, profile))


def _owners(folder: Path) -> Iterator[tuple[str, str]]:
    """Experiment and profile as each readable run.json names them."""
    for path in sorted(folder.glob("*/run.json")):
        try:
            content = json.loads(path.read_text())
            pair = content["experiment"], content["profile"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            continue
        if all(isinstance(name, str) for name in pair):
            yield pair
