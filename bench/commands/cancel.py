"""`dasbench cancel`: cancel jobs on a cluster."""

from __future__ import annotations

import argparse

from bench.commands.arguments import add_recorded, add_rows
from bench.commands.output import console
from bench.commands.selection import folders_of

HELP = "cancel an experiment's SLURM jobs; checkpoints stay"


def arguments(parser: argparse.ArgumentParser) -> None:
    add_recorded(parser, nargs="+")
    add_rows(parser)


def run(options: argparse.Namespace) -> int:
    """Cancel an experiment's jobs on the cluster."""
    from slurm import commands

    return commands.cancel(console, folders_of(options), options.methods or [])
