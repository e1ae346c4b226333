"""`dasbench doctor`: what works on this machine, and what image folders hold."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from bench.commands.arguments import add_data_root, local_path
from bench.commands.output import console, say
from bench.names import printable

if TYPE_CHECKING:
    from bench.device.doctor import Check

HELP = "check this machine (versions, devices, data sets, folders, tracking), or image folders"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "data", nargs="*", metavar="DATA", help="check only this: an image folder, an experiment's file, or imagenet"
    )
    parser.add_argument("--test", help="of a folder: the folder of its test images, or their share (0.2)")
    add_data_root(parser)


def run(options: argparse.Namespace) -> int:
    """Say what works here and what does not; exit 1 when something needed is missing."""
    from bench.device.doctor import checks

    problems = 0
    found = _of_data(options) if options.data else checks(options.runs_dir)
    for check in found:
        colour, word = ("green", "ok ") if check.good else ("yellow", "no ")
        console.print(f"[{colour}]{word}[/] {escape(printable(f'{check.name}: {check.text}'))}")
        problems += check.needed and not check.good
    return int(problems > 0)


def _of_data(options: argparse.Namespace) -> Iterator[Check]:
    from bench.config import ConfigError
    from bench.data.folder_settings import FolderSettings, beside
    from bench.device.data_checks import folder_checks, imagenet_checks
    from bench.plan.experiment import load_experiment

    for given in options.data:
        settings: object = given
        if given.endswith((".yaml", ".yml")):
            settings = load_experiment(given).dataset
        elif local_path(given).is_dir():
            settings = beside(FolderSettings(given, test=_share(options.test)), Path.cwd())
        if isinstance(settings, FolderSettings):
            yield from folder_checks(settings, options.runs_dir, say)
        elif settings == "imagenet":
            root = Path(os.environ.get("DATA_ROOT") or "data").absolute()
            yield from imagenet_checks(root, options.runs_dir, say)
        else:
            raise ConfigError(f"{given} is no image folder, no experiment on one, and not imagenet")


def _share(text: str | None) -> str | float | None:
    """A number as a share, a word as a folder's name."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return text
