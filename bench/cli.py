# PYTHON_ARGCOMPLETE_OK
"""`dasbench`: the command line. Each command is a file of `bench.commands`; the work is done in the rooms they call."""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from rich.console import Console

from bench.commands import COMMANDS
from bench.commands.arguments import add_where

errors = Console(stderr=True, highlight=False, soft_wrap=True)


class Parser(argparse.ArgumentParser):
    """Says what is valid, points to the help of the command that was meant, and ends with exit code 2."""

    def error(self, message: str) -> NoReturn:
        errors.print(f"{self.prog}: {message}", markup=False)
        errors.print(f"Try '{self.prog} --help'.", markup=False)
        sys.exit(2)


class CommandParser(Parser):
    """The parser of one command: what it does not know is its own mistake, not that of `dasbench`."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            close = difflib.get_close_matches(unknown[0].partition("=")[0], self._option_string_actions, n=1)
            self.error(f"unknown argument {unknown[0]!r}" + (f"; did you mean '{close[0]}'?" if close else ""))
        return found, unknown


def build_parser() -> argparse.ArgumentParser:
    parser = Parser(prog="dasbench", description="Benchmark and reproduce differentiable architecture search.")
    commands = parser.add_subparsers(dest="command", required=True, parser_class=CommandParser, metavar="COMMAND")
    for name, module_name in COMMANDS.items():
        command = importlib.import_module(module_name)
        text = command.HELP
        added = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        command.arguments(added)
        add_where(added)
        added.set_defaults(run=command.run)
    return parser


def expected() -> tuple[type[Exception], ...]:
    """Errors whose message is meant for the user: printed without a traceback, exit code 2."""
    from bench.checkpoint import CheckpointError
    from bench.config import ConfigError
    from bench.data.datasets import DataError
    from bench.engine import DeviceError
    from bench.export import ExportError
    from bench.records import RecordError
    from bench.tracking import TrackingError
    from methods.architecture import ArchitectureError
    from methods.base import MethodError

    return (
        ConfigError,
        DataError,
        DeviceError,
        ExportError,
        RecordError,
        TrackingError,
        CheckpointError,
        ArchitectureError,
        MethodError,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    parser = build_parser()
    if "_ARGCOMPLETE" in os.environ:  # a shell asks what could stand at its cursor
        import argcomplete

        argcomplete.autocomplete(parser)
    options = parser.parse_args(arguments)
    if getattr(options, "data_root", None):
        os.environ["DATA_ROOT"] = str(options.data_root.resolve())
    try:
        return int(options.run(options))
    except Exception as error:
        if not isinstance(error, expected()):  # imports torch, so only when something has gone wrong
            raise
        errors.print(f"dasbench {options.command}: {error}", markup=False)
        return 2
    except KeyboardInterrupt:
        return 130
