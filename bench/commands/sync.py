"""`dasbench sync`: MLflow from the records."""

from __future__ import annotations

import argparse
import time

from bench.commands.arguments import add_recorded, add_tracking
from bench.commands.mirroring import MIRROR_SECONDS
from bench.commands.output import console, picture_of
from bench.commands.selection import folders_of

HELP = "bring MLflow up to date with the records (safe to repeat)"


def arguments(parser: argparse.ArgumentParser) -> None:
    add_recorded(parser)
    add_tracking(parser)
    parser.add_argument("--models", action="store_true", help="log every trained network as an MLflow model too")
    parser.add_argument("--watch", "--follow", action="store_true", dest="watch", help="keep going until interrupted")


def run(options: argparse.Namespace) -> int:
    """Rebuild or update MLflow from the records."""
    from bench.records.directory import RecordError
    from bench.tracking import mirror as tracking

    problems = 0
    try:
        store = tracking.open_store(options.runs_dir, options.tracking_uri)
        while True:
            for folder in folders_of(options):
                report = tracking.sync(folder, store, picture_of)
                problems += len(report.problems)
                console.print(f"{folder.name}: {report}")
                for problem in report.problems:
                    console.print(f"    {problem}", markup=False)
                if options.models:
                    new, unlogged = tracking.log_models(folder, store)
                    console.print(f"    {new} models new")
                    problems += len(unlogged)
                    for problem in unlogged:
                        console.print(f"    {problem}", markup=False)
            if not options.watch:
                break
            time.sleep(MIRROR_SECONDS)
    except tracking.TrackingError as error:
        raise RecordError(str(error)) from None
    console.print(f"Browse it with: mlflow ui --backend-store-uri {store.shown}")
    return int(problems > 0)
