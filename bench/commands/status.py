"""`dasbench status`: how runs stand, here and on a cluster."""

from __future__ import annotations

import argparse

from rich.console import Console

from bench.commands.arguments import add_recorded, add_tracking
from bench.commands.selection import folders_of

HELP = "how runs stand: pending, running, lost, failed, done; here and on SLURM"


def arguments(parser: argparse.ArgumentParser) -> None:
    add_recorded(parser)
    parser.add_argument("--watch", action="store_true", help="keep looking until everything has ended")
    add_tracking(parser)


def run(options: argparse.Namespace) -> int:
    """How the runs stand, on this machine and on the cluster, and whether MLflow knows."""
    from slurm.watch import show_status
    from slurm.witness import Tracker

    folders = folders_of(options)
    tracker = Tracker(options.runs_dir, options.tracking_uri)
    return show_status(Console(), folders, tracker, options.watch)
