"""`dasbench pack`: records as pieces that can be carried."""

from __future__ import annotations

import argparse
import re

from bench.commands.arguments import add_recorded, local_path
from bench.commands.output import counted, say
from bench.commands.selection import folders_of
from bench.config import ConfigError

HELP = "write records as pieces of a size, to be carried to another machine"
UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}
LEAST = 1000
"""Bytes of a piece."""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("to", type=local_path, metavar="TO", help="the folder to make")
    add_recorded(parser)
    parser.add_argument("--piece-size", type=size, default="15M", metavar="SIZE", help="of a file at most (15M)")
    parser.add_argument("--records-only", action="store_true", help="without checkpoints and weights")


def size(text: str) -> int:
    """Bytes, as "15M" (15,000,000), "800K" or a plain number."""
    found = re.fullmatch(r"(\d{1,12})([KMG]?)B?", text.upper())
    if not found or int(found[1]) * UNITS[found[2]] < LEAST:
        raise argparse.ArgumentTypeError(f"'{text[:40]}' is not a size like 15M, of {LEAST} bytes at least")
    return int(found[1]) * UNITS[found[2]]


def run(options: argparse.Namespace) -> int:
    """Pack runs and what lies beside them."""
    from bench.records.packing import left_out, pack

    folders = [folder.resolve() for folder in folders_of(options)]
    runs_dir = options.runs_dir.resolve()
    for folder in folders:
        if folder.parent != runs_dir:
            raise ConfigError(f"{folder} is not in {runs_dir}; name its folder with --runs-dir {folder.parent}")
    made = pack(runs_dir, folders, options.to, options.piece_size, options.records_only)
    runs, pieces = counted(made.number, "run"), counted(len(made.pieces), "piece")
    say(f"{runs} in {pieces}, {made.packed_bytes:,} bytes in all: {options.to}")
    others = left_out(runs_dir, folders)
    if others:
        more = f" and {len(others) - 8} more" if others[8:] else ""
        say(f"Left out: {', '.join(others[:8])}{more} (MLflow's store is made again by `dasbench sync`)")
    say(f"Restore them anywhere with: dasbench unpack {options.to.name} --runs-dir RUNS_DIR")
    return 0
