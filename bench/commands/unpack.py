"""`dasbench unpack`: packed records back into RUNS_DIR."""

from __future__ import annotations

import argparse

from bench.commands.arguments import local_path
from bench.commands.output import counted, say

HELP = "restore packed records, verified, into RUNS_DIR"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=local_path, metavar="FROM", help="a folder that `dasbench pack` made")


def run(options: argparse.Namespace) -> int:
    """Restore runs and what lies beside them."""
    from bench.records.unpacking import unpack

    found = unpack(options.source, options.runs_dir)
    there = f", {found.same} were there already" if found.same else ""
    say(f"{counted(found.new, 'run')} restored in {options.runs_dir}{there}")
    return 0
