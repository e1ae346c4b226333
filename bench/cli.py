"""`dasbench`: the command line. Each command is a function below; the work is done in the rooms they call."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from bench.checkpoint import CheckpointError
from bench.config import ConfigError
from bench.data.datasets import DataError
from bench.engine import DeviceError
from bench.export import ExportError
from bench.records import RecordError
from bench.tracking import TrackingError
from methods.architecture import ArchitectureError
from methods.base import MethodError

EXPECTED = (
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
"""Errors whose message is meant for the user: printed without a traceback, exit code 2."""

Command = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]
"""Adds a command: its name, what runs it, what it does in a few words."""

errors = Console(stderr=True, highlight=False, soft_wrap=True)


class Parser(argparse.ArgumentParser):
    """Says what is valid and ends with exit code 2."""

    def error(self, message: str) -> NoReturn:
        errors.print(f"dasbench: {message}", markup=False)
        errors.print(f"Try '{self.prog} --help'.", markup=False)
        sys.exit(2)


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


def add_what(parser: argparse.ArgumentParser) -> None:
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


def build_parser() -> argparse.ArgumentParser:
    parser = Parser(prog="dasbench", description="Benchmark and reproduce differentiable architecture search.")
    commands = parser.add_subparsers(dest="command", required=True, parser_class=Parser)

    def command(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        added.set_defaults(run=run)
        add_where(added)
        return added

    add_running(command)
    add_reporting(command)
    add_looking(command)
    return parser


def add_running(command: Command) -> None:
    """run, launch, status, cancel."""
    from bench import commands as do

    run = command("run", do.run, "run an experiment on this machine; again: only what is missing or failed")
    add_what(run)
    run.add_argument("--device", default="auto", help="auto (GPUs if there are any), cpu, cuda, cuda:1")
    run.add_argument("--jobs", type=int, help="runs at once (default: one a GPU, or as many as the CPU's cores allow)")
    run.add_argument("--data-root", type=Path, help="where the data sets lie (DATA_ROOT, else ./data)")
    run.add_argument("--tracking-uri", help="MLflow tracking URI (default: SQLite in the runs folder)")
    run.add_argument("--no-tracking", action="store_true", help="write records only; `dasbench sync` can follow later")
    run.add_argument("--fail-fast", action="store_true", help="stop everything at the first failure")
    run.add_argument("--dry-run", action="store_true", help="print the plan and the estimate of time, run nothing")

    launch = command("launch", do.launch, "submit an experiment to SLURM; again: only what is missing, failed or lost")
    add_what(launch)
    launch.add_argument("--cluster", required=True, help="a cluster profile's name or the path of its YAML file")
    launch.add_argument("--dry-run", action="store_true", help="print the exact sbatch text, submit nothing")
    launch.add_argument("--yes", action="store_true", help="do not ask, whatever it costs")

    status = command("status", do.status, "how runs stand: pending, running, lost, failed, done; here and on SLURM")
    status.add_argument("experiments", nargs="*", metavar="EXPERIMENT")
    status.add_argument("--watch", action="store_true", help="keep looking until everything has ended")
    status.add_argument("--tracking-uri", help="MLflow tracking URI (default: SQLite in the runs folder)")

    cancel = command("cancel", do.cancel, "cancel an experiment's SLURM jobs; checkpoints stay")
    cancel.add_argument("experiments", nargs="+", metavar="EXPERIMENT")
    cancel.add_argument("--methods", nargs="+", metavar="ROW", help="only these rows")


def add_reporting(command: Command) -> None:
    """report, sync."""
    from bench import commands as do

    report = command("report", do.report, "make tables, plots and one page of what is finished")
    report.add_argument(
        "experiments", nargs="*", metavar="EXPERIMENT", help="name, name-profile or folder; all if none"
    )
    report.add_argument("--profile", help="only this profile")
    report.add_argument("--out", type=Path, default=Path("report"), help="folder to write (./report)")
    report.add_argument("--formats", nargs="+", metavar="FORMAT", help="csv md tex png svg pdf html (all)")
    report.add_argument("--compare", nargs=2, type=Path, metavar=("A", "B"), help="what changed between two folders")
    report.add_argument("--merge", nargs="+", type=Path, metavar="RUNS_DIR", help="report over several runs folders")

    sync = command("sync", do.sync, "bring MLflow up to date with the records (safe to repeat)")
    sync.add_argument("experiments", nargs="*", metavar="EXPERIMENT")
    sync.add_argument("--tracking-uri", help="MLflow tracking URI (default: SQLite in the runs folder)")
    sync.add_argument("--models", action="store_true", help="log every trained network as an MLflow model too")
    sync.add_argument("--follow", action="store_true", help="keep going until interrupted")


def add_looking(command: Command) -> None:
    """show, export, speed, list, doctor."""
    from bench import inspection as look

    show = command("show", look.show, "count an architecture and draw it")
    show.add_argument("architecture", help="a file, a run directory, or a published name (`dasbench list`)")
    show.add_argument("--channels", type=int, default=36, help="where the architecture does not fix its scale (36)")
    show.add_argument("--cells", type=int, default=20, help="likewise (20)")
    show.add_argument("--stem", choices=["cifar", "imagenet"], default="cifar")
    show.add_argument("--classes", type=int, default=10)
    show.add_argument("--size", type=int, help="side of the image in pixels (32, or 224 with the imagenet stem)")
    show.add_argument("--out", type=Path, help="picture to write, e.g. cell.png or cell.svg")

    export = command("export", look.export, "write a trained network as ONNX and torch.export, checked against PyTorch")
    export.add_argument("run_directory", type=Path, help="the directory of a finished training")
    export.add_argument("--out", type=Path, default=Path("exported"), help="folder to write (./exported)")
    export.add_argument("--formats", nargs="+", default=["onnx", "torch"], metavar="FORMAT", help="onnx torch")

    speed = command(
        "speed", look.speed, "time the steps of searches and of retraining, beside a textbook and the roofline"
    )
    speed.add_argument(
        "cases",
        nargs="*",
        default=["darts", "pc_darts", "mgas", "retrain"],
        metavar="CASE",
        help="darts darts-2nd darts-low pc_darts mgas retrain",
    )
    speed.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1")
    speed.add_argument("--size", choices=["small", "published"], help="small on a CPU, published on a GPU")
    speed.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    speed.add_argument("--threads", type=int, default=1)
    speed.add_argument("--repeats", type=int, default=5)
    speed.add_argument(
        "--count", action="store_true", help="count what steps do on a GPU instead of timing; needs none"
    )
    speed.add_argument("--no-oracle", action="store_true", help="leave the textbook implementation out")
    speed.add_argument("--out", type=Path, default=Path("reports/results/speed"), help="folder of the CSV")

    command("list", look.list_all, "list experiments, methods, recipes, published architectures, and what has been run")
    doctor = command("doctor", look.doctor, "check this machine: versions, devices, data sets, folders, tracking")
    doctor.add_argument("--data-root", type=Path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    options = build_parser().parse_args(arguments)
    if getattr(options, "data_root", None):
        os.environ["DATA_ROOT"] = str(options.data_root.resolve())
    try:
        return int(options.run(options))
    except EXPECTED as error:
        errors.print(f"dasbench {options.command}: {error}", markup=False)
        return 2
    except KeyboardInterrupt:
        return 130
