# PYTHON_ARGCOMPLETE_OK
"""`dasbench`: the command line. Each command is a file of `bench.commands`; the work is done in the rooms they call."""

from __future__ import annotations

import argparse
import difflib
import importlib
import io
import os
import re
import sys
import tempfile
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

from rich.console import Console

from bench.commands import COMMANDS
from bench.commands.arguments import add_where
from bench.device import compiler
from bench.names import one_line, printable

DEBUG = "--debug"

errors = Console(stderr=True, highlight=False, soft_wrap=True)


class Parser(argparse.ArgumentParser):
    """Says what is valid, points to the help of the command that was meant, and ends with exit code 2."""

    def error(self, message: str) -> NoReturn:
        shortened = re.sub(r"\S{200,}", lambda word: word[0][:80] + "...", message)
        errors.print(printable(f"{self.prog}: {shortened}"), markup=False)
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
        added.add_argument(DEBUG, action="store_true", help="show the traceback of an error")
        added.set_defaults(run=command.run)
    return parser


EXPECTED = {
    "bench.records.checkpoint.CheckpointError",
    "bench.config.ConfigError",
    "bench.data.images.DataError",
    "bench.data.tables.table.TableError",
    "bench.device.engine.DeviceError",
    "bench.run.export.ExportError",
    "bench.records.run_info.RecordError",
    "bench.tracking.store.TrackingError",
    "methods.domain.MethodError",
    "methods.form.ArchitectureError",
}
"""Errors whose message is meant for the user: printed without a traceback, exit code 2. By name: importing them would
load torch, and could be what has just failed."""


def is_expected(error: Exception) -> bool:
    return any(f"{cls.__module__}.{cls.__qualname__}" in EXPECTED for cls in type(error).__mro__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    compiler.keep_out()
    for stream in (sys.stdout, sys.stderr):  # no character of a record or a name ends a command
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `dasbench list | head`: whoever read has seen enough
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - the interpreter flushes it at its end
        return 0


def _run(arguments: Sequence[str] | None) -> int:
    words = list(sys.argv[1:] if arguments is None else arguments)
    command = next((word for word in words if word in COMMANDS), "")
    debug = DEBUG in words
    try:
        options = _read(words)
        return int(options.run(options))
    except BrokenPipeError:
        raise
    except Exception as error:
        if debug:
            raise
        prog = f"dasbench {command}".strip()
        if is_expected(error):
            errors.print(printable(f"{prog}: {error}"), markup=False)
            return 2
        errors.print(printable(f"{prog}: {last_line(error)}"), markup=False)
        return 1


def last_line(error: Exception) -> str:
    """One line for an error that nobody expected, and the file with its traceback."""
    text = one_line(f"{type(error).__name__}: {error}")[:500]
    try:
        with tempfile.NamedTemporaryFile("w", prefix="dasbench-", suffix=".log", delete=False) as file:
            traceback.print_exception(error, file=file)
        where = f"the traceback is in {file.name}"
    except OSError:
        where = "the traceback could not be written"
    return f"{text}; {where}, and {DEBUG} shows it"


def _read(words: Sequence[str]) -> argparse.Namespace:
    parser = build_parser()
    if "_ARGCOMPLETE" in os.environ:  # a shell asks what could stand at its cursor
        import argcomplete

        argcomplete.autocomplete(parser)
    options = parser.parse_args(words)
    if getattr(options, "data_root", None):
        os.environ["DATA_ROOT"] = str(options.data_root.resolve())
    return options
