"""`dasbench report`: tables, plots and the page."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.commands.arguments import add_formats, add_recorded, local_path
from bench.commands.output import console, print_report
from bench.commands.selection import folders_of
from bench.config import ConfigError

HELP = "make tables, plots and one page of what is finished"


def arguments(parser: argparse.ArgumentParser) -> None:
    add_recorded(parser)
    parser.add_argument("--out", type=local_path, default=Path("report"), help="folder to write (./report)")
    add_formats(parser, ("csv", "md", "tex", "png", "svg", "pdf", "html"))
    parser.add_argument("--compare", nargs=2, type=local_path, metavar=("A", "B"), help="what changed between two")
    parser.add_argument("--merge", nargs="+", type=local_path, metavar="RUNS_DIR", help="report over several folders")


def run(options: argparse.Namespace) -> int:
    """Tables, plots and the page of finished runs."""
    import reports

    try:
        if options.compare:
            console.print(reports.compare(*options.compare), markup=False)
        else:
            print_report(options.merge or folders_of(options), options.out, options.formats)
    except reports.ReportError as error:
        raise ConfigError(str(error)) from None
    return 0
