"""`dasbench doctor`: what works on this machine."""

from __future__ import annotations

import argparse

from bench.commands.arguments import add_data_root
from bench.commands.output import console

HELP = "check this machine: versions, devices, data sets, folders, tracking"


def arguments(parser: argparse.ArgumentParser) -> None:
    add_data_root(parser)


def run(options: argparse.Namespace) -> int:
    """Say what works here and what does not; exit 1 when something needed is missing."""
    from bench.device.doctor import checks

    problems = 0
    for check in checks(options.runs_dir):
        console.print(
            f"[{'green' if check.good else 'yellow'}]{'ok ' if check.good else 'no '}[/] {check.name}: {check.text}"
        )
        problems += check.needed and not check.good
    return int(problems > 0)
