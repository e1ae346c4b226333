"""`dasbench run` asked once more for what is done: when nothing changed since, the answer is the one it gave before.

Beside the folder of its runs lies `<folder>.again.json`: digests of everything that the answer followed from (what was
asked, the experiment, the code, every record, the report's files, the MLflow database), and what was printed. Any
difference, however small, and the command goes its whole way; so it does with third-party methods, whose code is not
ours to look at, with the profile "auto", which depends on the machine, and with an MLflow server, which only answers
when it is asked.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.config import ConfigError
from bench.plan import catalogue
from bench.strict_yaml import read_mapping

ROOMS = ("bench", "methods", "reports", "slurm")
WITHOUT_EFFECT = ("run", "debug", "command")
"""What argparse keeps beside the options."""


def before(options: argparse.Namespace) -> tuple[Path, str] | None:
    """The folder of records and what was printed, if everything is as it was when all was done; else None."""
    folder = _folder(options)
    if folder is None:
        return None
    try:
        noted = json.loads(_place(folder).read_text())
        if noted["stand"] == _stand(options, folder):
            return folder, str(noted["printed"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass
    return None


def note(options: argparse.Namespace, folder: Path, printed: str, reported: str) -> None:
    """Keep what was printed for the next time; only after everything was done and told to the tracker.

    Args:
        reported: `records_digest` from before the report was made. Who changes a record meanwhile has another now.
    """
    from bench.records.atomic import write_whole

    if _folder(options) != folder or records_digest(folder) != reported:
        return
    with contextlib.suppress(OSError):  # nothing is lost but time
        write_whole(_place(folder), json.dumps({"stand": _stand(options, folder), "printed": printed}).encode())


def report_folder(folder: Path) -> Path:
    """Where `dasbench run` writes the report of a folder of records."""
    return Path("report") / folder.name


def _place(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.again.json")


def _folder(options: argparse.Namespace) -> Path | None:
    """The folder of records; None where only the whole way tells."""
    if options.dry_run or options.profile == "auto" or any(catalogue.plugins()):
        return None
    try:
        experiment = catalogue.experiment(options.experiment)
    except ConfigError:  # what is wrong with it is said on the whole way
        return None
    profile = options.profile or (next(iter(experiment.profiles)) if len(experiment.profiles) == 1 else None)
    return None if profile is None else options.runs_dir / f"{experiment.name}-{profile}"


def _stand(options: argparse.Namespace, folder: Path) -> dict[str, str]:
    asked = {name: str(value) for name, value in vars(options).items() if name not in WITHOUT_EFFECT}
    environment = {name: os.environ.get(name) for name in ("DATA_ROOT", "MLFLOW_TRACKING_URI")}
    return {
        "asked": _digest([json.dumps([asked, environment], sort_keys=True)]),
        "experiment": _digest(_experiment(options.experiment)),
        "code": _digest(line for room in ROOMS for line in _tree(catalogue.ROOT / room)),
        "records": records_digest(folder),
        "report": _digest([str(report_folder(folder).resolve()), *_tree(report_folder(folder))]),
        "store": "" if options.no_tracking else _digest(_store(options)),
    }


def _experiment(name: str) -> Iterator[str]:
    """The file of an experiment that is not shipped, and the architectures that it gives; shipped ones are code."""
    if not name.endswith((".yaml", ".yml")):
        return
    path = Path(name)
    yield path.read_text()
    for row in _rows(path):
        if "architecture" in row:
            given = path.parent / Path(str(row["architecture"])).expanduser()
            yield from _tree(given if given.is_dir() else given.parent)


def _rows(path: Path) -> Iterable[Mapping[str, Any]]:
    rows = read_mapping(path).get("rows", {})
    return [row for row in rows.values() if isinstance(row, Mapping)]


def records_digest(folder: Path) -> str:
    """Of every file of every run of a folder."""
    return _digest(_records(folder))


def _records(folder: Path) -> Iterator[str]:
    """Every file of every run: what is JSON by its content, anything else by its size and time."""
    with os.scandir(folder) as runs:
        names = sorted(run.name for run in runs if run.is_dir())
    for name in names:
        yield name
        with os.scandir(folder / name) as entries:
            files = sorted((entry for entry in entries if entry.is_file()), key=lambda entry: entry.name)
        for entry in files:
            yield _content(entry.path) if entry.name.endswith(".json") else _mark(entry.path, entry.stat())


def _store(options: argparse.Namespace) -> Iterator[str]:
    from bench.tracking.store import open_store

    file = open_store(options.runs_dir, options.tracking_uri).file
    if file is None:
        yield os.urandom(16).hex()  # a server is never known to be as it was
        return
    for path in (file, file.with_name(f"{file.name}-wal")):
        if path.exists():
            yield _mark(str(path), path.stat())


def _tree(folder: Path) -> Iterator[str]:
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted(files):
            path = os.path.join(place, name)
            yield _mark(path, os.stat(path))


def _mark(path: str, found: os.stat_result) -> str:
    return f"{path} {found.st_size} {found.st_mtime_ns}"


def _content(path: str) -> str:
    with open(path, "rb") as file:
        return f"{path} {hashlib.sha256(file.read()).hexdigest()}"


def _digest(lines: Iterable[str]) -> str:
    sha = hashlib.sha256()
    for line in lines:
        sha.update(line.encode(errors="surrogateescape") + b"\n")
    return sha.hexdigest()
