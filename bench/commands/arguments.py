"""Arguments that several commands share: they have one name and one meaning everywhere."""

from __future__ import annotations

import argparse
import os
from pathlib import Path


def default_runs_dir() -> Path:
    return Path(os.environ.get("RUNS_DIR", "runs")).expanduser().resolve()


def seeds(text: str) -> list[int]:
    """Seeds as "0,1,2" or "0-3"."""
    result: list[int] = []
    for part in text.replace(",", " ").split():
        try:
            first, _, last = part.partition("-")
            result += list(range(int(first), int(last or first) + 1))
        except ValueError:
            raise argparse.ArgumentTypeError(f"'{part}' is not a seed or a range like 0-3") from None
    return result


def add_where(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--runs-dir", type=Path, default=default_runs_dir(), help="where records are kept (RUNS_DIR, else ./runs)"
    )


def add_planned(parser: argparse.ArgumentParser) -> None:
    """What of one experiment is to be done."""
    parser.add_argument("experiment", help="a shipped experiment (`dasbench list`) or the path of a YAML file")
    parser.add_argument("--profile", help="quick, short, paper, or auto: short on a GPU, quick on a CPU")
    parser.add_argument("--methods", nargs="+", metavar="ROW", help="only these rows of the experiment")
    parser.add_argument("--search-seeds", type=seeds, metavar="SEEDS", help="e.g. 0-3, instead of the profile's")
    parser.add_argument("--retrain-seeds", type=seeds, metavar="SEEDS", help="e.g. 0,1, instead of the profile's")
    parser.add_argument(
        "--memory",
        choices=["full", "low"],
        help="low: searches that can (DARTS, PC-DARTS) keep less and compute it again, to the same bits",
    )


def add_recorded(parser: argparse.ArgumentParser, nargs: str = "*") -> None:
    """Which experiments' records are meant."""
    text = "name, name-profile, folder or YAML file" + ("; all if none" if nargs == "*" else "")
    parser.add_argument("experiments", nargs=nargs, metavar="EXPERIMENT", help=text)
    parser.add_argument("--profile", help="only this profile")


def add_tracking(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tracking-uri", help="MLflow tracking URI (default: SQLite in the runs folder)")


def add_data_root(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data-root", type=Path, help="where the data sets lie (DATA_ROOT, else ./data)")
