"""`dasbench launch`: submit an experiment to SLURM."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.commands.arguments import add_data_root, add_planned, offer, whole
from bench.commands.output import console, say
from bench.commands.selection import choose_profile, planned_runs, records_folder

if TYPE_CHECKING:
    from bench.records.directory import RunInfo

HELP = "submit an experiment to SLURM; again: only what is missing, failed or lost"


def arguments(parser: argparse.ArgumentParser) -> None:
    add_planned(parser)
    add_data_root(parser)
    named = "--cluster", "a cluster profile's name (`dasbench list clusters`) or the path of its YAML file"
    offer(parser.add_argument(named[0], help=named[1]), "clusters")
    parser.add_argument(
        "--estimate", action="store_true", help="say what it takes: device-hours, memory, storage, jobs; submit nothing"
    )
    parser.add_argument("--on", metavar="DEVICE", help="with --estimate: a device on which steps were timed earlier")
    parser.add_argument(
        "--gpus", type=whole(1, 100_000), nargs="+", default=[1, 8, 64], help="with --estimate: wall time on so many"
    )
    parser.add_argument("--dry-run", action="store_true", help="print the exact sbatch text, submit nothing")
    parser.add_argument("--yes", action="store_true", help="do not ask, whatever it costs")


def run(options: argparse.Namespace) -> int:
    """Submit an experiment to SLURM, or print what would be submitted."""
    from bench.config import ConfigError
    from bench.plan.experiment import load_experiment
    from slurm import commands
    from slurm.cluster import Cluster, load_cluster

    experiment = load_experiment(options.experiment)
    profile = choose_profile(experiment, options.profile)
    planned, left_out = planned_runs(options, experiment, profile)
    for sentence in left_out:
        console.print(sentence, markup=False)
    if options.estimate:
        from slurm.estimates import estimate

        cluster = load_cluster(options.cluster) if options.cluster else Cluster("defaults")
        estimate(console, options.runs_dir, planned, cluster, options.on, options.gpus)
        return 0
    if options.cluster is None:
        raise ConfigError("name the cluster to launch on with --cluster, or ask what it takes with --estimate")
    folder = records_folder(options.runs_dir, experiment.name, profile)
    of_phase = {phase: load_cluster(options.cluster).for_phase(phase) for phase in ("search", "train")}
    processes = {phase: own.nodes * own.processes for phase, own in of_phase.items()}
    check_where_the_data_is(planned, options.runs_dir, processes)
    return commands.launch(console, folder, planned, options.cluster, dry_run=options.dry_run, yes=options.yes)


def check_where_the_data_is(planned: Sequence[RunInfo], runs_dir: Path, processes: Mapping[str, int]) -> None:
    """As `dasbench run` does; on a machine without the images, the estimate says so.

    Args:
        processes: by phase, that search or train together.

    Raises:
        ConfigError, DataError: something that a run needs is missing or does not fit.
    """
    from bench.data.images import DataError
    from bench.run.check import check, check_files, check_packages
    from bench.run.images import images_of
    from bench.run.phases.check import check_searches, check_shares

    check_packages(planned)
    try:
        data = images_of(planned, runs_dir, say)
    except DataError:
        return
    if data is not None:
        check(planned, data)
        check_searches(planned, data, processes["search"])
        check_shares(planned, len(data.train), processes["train"])
        check_files(planned, data, runs_dir, say, most=50_000)
