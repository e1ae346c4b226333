"""Arguments that several commands share: they have one name and one meaning everywhere."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

MOST_SEEDS = 1000
"""Seeds of one argument."""


def local_path(text: str) -> Path:
    """A path; "~" is the home folder, also behind "=" where no shell replaces it."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise argparse.ArgumentTypeError(f"there is no home folder to put in '{text}'") from None


def default_runs_dir() -> Path:
    return local_path(os.environ.get("RUNS_DIR") or "runs").resolve()


def seeds(text: str) -> list[int]:
    """Seeds as "0,1,2" or "0-3"."""
    result: list[int] = []
    for part in text.replace(",", " ").split():
        found = re.fullmatch(r"(\d{1,18})(?:-(\d{1,18}))?", part)
        if not found:
            raise argparse.ArgumentTypeError(f"{part[:40]!r} is not a seed or a range like 0-3")
        first, last = int(found[1]), int(found[2] or found[1])
        if last < first:
            raise argparse.ArgumentTypeError(f"the range '{part}' is empty; write {last}-{first}")
        if len(result) + last - first >= MOST_SEEDS:
            raise argparse.ArgumentTypeError(f"'{part}' names too many seeds; at most {MOST_SEEDS}")
        result += range(first, last + 1)
    if not result:
        raise argparse.ArgumentTypeError("there is no seed; write e.g. 0-3, or leave the option out")
    if len(set(result)) < len(result):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} names a seed twice")
    return result


def whole(least: int, most: int) -> Callable[[str], int]:
    """Reads a whole number of a range."""

    def read(text: str) -> int:
        number = int(text) if re.fullmatch(r"[+-]?\d{1,18}", text) else least - 1
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"'{text[:40]}' is not a whole number of {least} to {most}")
        return number

    return read


PROFILES = "quick, short, paper, ..., or auto: short on a GPU, quick on a CPU"


def offer(argument: argparse.Action, what: str | Sequence[str]) -> None:
    """Let a shell complete an argument: with words, or with a function of `bench.commands.completion` by its name."""

    def complete(**line: Any) -> Sequence[str]:
        from bench.commands import completion

        return getattr(completion, what)(**line) if isinstance(what, str) else what

    argument.completer = complete  # type: ignore[attr-defined]


def add_where(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--runs-dir", type=local_path, default=default_runs_dir(), help="where records are kept (RUNS_DIR, else ./runs)"
    )


def add_planned(parser: argparse.ArgumentParser) -> None:
    """What of one experiment is to be done."""
    named = parser.add_argument("experiment", help="a shipped experiment (`dasbench list`) or the path of a YAML file")
    offer(named, "experiments")
    add_profile(parser, f"{PROFILES}; needed where the experiment has several")
    add_rows(parser)
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
    offer(parser.add_argument("experiments", nargs=nargs, metavar="EXPERIMENT", help=text), "recorded")
    add_profile(parser, f"only this one: {PROFILES}")


def add_profile(parser: argparse.ArgumentParser, text: str) -> None:
    offer(parser.add_argument("--profile", help=text), "profiles")


def add_rows(parser: argparse.ArgumentParser) -> None:
    offer(parser.add_argument("--methods", nargs="+", metavar="ROW", help="only these rows of the experiment"), "rows")


def add_formats(parser: argparse.ArgumentParser, formats: Sequence[str]) -> None:
    """What to write, all by default; an unknown one is refused where it is written."""
    text = f"only these: {' '.join(formats)} (all)"
    offer(parser.add_argument("--formats", nargs="+", metavar="FORMAT", default=list(formats), help=text), formats)


def add_device(parser: argparse.ArgumentParser) -> None:
    text = "auto (GPUs if there are any), cpu, cuda, cuda:1"
    offer(parser.add_argument("--device", default="auto", help=text), ("auto", "cpu", "cuda"))


def add_tracking(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tracking-uri", help="MLflow tracking URI (default: SQLite in the runs folder)")


def add_data_root(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data-root", type=local_path, help="where the data sets lie (DATA_ROOT, else ./data)")
