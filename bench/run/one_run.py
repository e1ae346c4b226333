"""One run, from its run.json alone: search, transform or train; resumable at every step.

    python -m bench.run RUN_DIR [--device cuda:0]

exits with 0 when the run is done, 1 when it failed, 75 when it was interrupted (run the same command again), and 73
when another process is running it. Under torchrun, or with its environment variables, several processes do it together.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from bench.config import parse
from bench.device import proofs
from bench.device.calibration import recall
from bench.device.distributed import ALONE, Group, join
from bench.device.engine import choose_device, device_name, environment, make_engine
from bench.records.atomic import remove_left_overs
from bench.records.checkpoint import list_checkpoints
from bench.records.directory import RecordError, RunDirectory, RunInfo, SilentDirectory, read_record
from bench.records.inputs import checksums
from bench.records.lease import LeaseHeldError, LeaseLostError, hold
from bench.records.repair import is_settled, settle
from bench.records.run_info import computes, name_commit, needs_images
from bench.records.soundness import identity_fault
from bench.run.phases.by_name import PHASES
from bench.run.phases.context import RunContext, RunError
from bench.run.stop import InterruptedRunError, StopFlag
from methods.parts import compiled
from methods.parts.cpu_choices import DEFAULT_CHOICES, CpuChoices

DONE, FAILED, BUSY, INTERRUPTED = 0, 1, 73, 75


def execute(path: Path, device: str = "auto", stop: StopFlag | None = None, group: Group = ALONE) -> int:
    """Do what the run directory's run.json asks for and record how it went; returns the exit code.

    Args:
        group: the processes that do this run together; all of them call this. The first one holds the lease and writes.
    """
    stop = stop or StopFlag()
    if group.rank:
        return _assist(path, device, stop, group)
    answered = False

    def answer(code: int | None) -> None:
        """Tell the others once: a code when there is nothing to do, None to begin."""
        nonlocal answered
        if not answered:
            answered = True
            group.from_first(code)

    code = FAILED
    try:
        code = _hold_and_execute(path, device, stop, group, lambda: answer(None))
    finally:
        answer(code)
    return code


def _hold_and_execute(path: Path, device: str, stop: StopFlag, group: Group, begin: Callable[[], None]) -> int:
    directory = RunDirectory(path)

    def lost() -> None:
        stop.reason = "another process, which took this run over"

    try:
        record = read_record(path)
        if record.result is not None and is_settled(record):
            return DONE
        with hold(path, lost) as lease:
            directory.may_write = lease.check
            remove_left_overs(path)
            return _execute(directory, device, stop, group, begin)
    except (LeaseHeldError, LeaseLostError) as error:
        print(f"{path.name}: {error}", file=sys.stderr)
        return BUSY
    except RecordError as error:
        print(f"{path.name}: {error}", file=sys.stderr)
        return FAILED


def _assist(path: Path, device: str, stop: StopFlag, group: Group) -> int:
    """What a process that does not write does of a run."""
    code = group.from_first(None)
    if code is not None:
        return int(code)
    directory = SilentDirectory(path)
    try:
        _perform(directory, read_record(path).info, device, stop, group)
    except InterruptedRunError:
        return INTERRUPTED
    except Exception as error:
        print(f"process {group.rank}: {type(error).__name__}: {error}", file=sys.stderr)
        return FAILED
    return DONE


def _execute(
    directory: RunDirectory, device: str, stop: StopFlag, group: Group = ALONE, begin: Callable[[], None] = lambda: None
) -> int:
    record = read_record(directory.path)
    info = record.info
    if record.result is not None:  # another copy finished it, or was killed just before it could say so
        problem = settle(record, directory)
        if problem is not None:
            print(f"{info.name}: {problem}", file=sys.stderr)
        return DONE
    try:
        begin()
        result = _perform(directory, info, device, stop, group)
        _write_result(directory, info, result)
    except InterruptedRunError as reason:
        _note(directory, info, "interrupted", None)
        print(f"{info.name}: interrupted by {reason}; the same command continues it", file=sys.stderr)
        return INTERRUPTED
    except LeaseLostError:
        raise
    except Exception as error:
        print(f"{info.name}: {type(error).__name__}: {error}", file=sys.stderr)
        with contextlib.suppress(OSError, RecordError):  # a full disk may be the very error
            (directory.path / "error.log").write_text(traceback.format_exc())
            _note(directory, info, "failed", f"{type(error).__name__}: {error}")
        return FAILED
    with contextlib.suppress(RecordError):  # the result is written, and it is what counts
        directory.write_info(info)
    return DONE


def _write_result(directory: RunDirectory, info: RunInfo, result: dict[str, Any]) -> None:
    """The result, with what a reader needs to verify it and to do without run.json."""
    info.status, info.error, info.finished = "done", None, time.time()
    identity = {"phase": info.phase, "signature": info.signature}
    try:
        directory.write_result({**identity, **result, "files": checksums(directory.path), "run": asdict(info)})
    except BaseException:
        info.status, info.finished = "running", None
        raise


def _note(directory: RunDirectory, info: RunInfo, status: str, error: str | None) -> None:
    info.status, info.error, info.finished = status, error, time.time()
    directory.write_info(info)


def _perform(
    directory: RunDirectory, info: RunInfo, device_name: str, stop: StopFlag, group: Group = ALONE
) -> dict[str, Any]:
    fault = identity_fault(vars(info))
    if fault is not None:
        raise RunError(
            f"{directory.path / 'run.json'}: {fault}. Remove it and begun.json: `dasbench run` writes it as planned"
        )
    if not PHASES[info.phase].shared(info):
        if group.rank:
            return {}
        group = ALONE
        device_name = device_name if computes(info) else "cpu"
    elif not group.alone and torch.cuda.is_available() and device_name == "auto":
        device_name = f"cuda:{group.local_rank % torch.cuda.device_count()}"
    device = choose_device(device_name)
    started_on = info.environment.get("device_type")
    if started_on and started_on != device.type and _has_begun(directory):
        raise RunError(
            f"this run was started on {started_on} and would continue on {device.type}: the bits would differ. "
            f"Continue with --device {started_on}, or remove {directory.path} to start anew"
        )
    config, choices = info.config, DEFAULT_CHOICES
    ways: dict[str, Any]
    if device.type == "cpu":  # process 0's for all: another may be on another machine
        choices = group.from_first(_cpu_choices(directory, info))
        ways = {"cpu_choices": asdict(choices)}
    else:
        ways = {"fast_paths": _fast_paths(directory, info, device, group)}
    info.environment = _environment(directory, info, device, group) | ways

    def remark(key: str, text: str) -> None:
        info.environment[key] = text
        if info.status == "running":
            directory.write_info(info)

    engine = make_engine(
        device, config["precision"], config["deterministic"], config["threads"], group, choices, remark
    )
    info.status, info.started, info.error = "running", info.started or time.time(), None
    directory.begin(info)
    run = RunContext(directory, info, engine, stop)
    if needs_images(info):
        run.note_data("train", run.data.train)
    return PHASES[info.phase].run(run)


def _environment(directory: RunDirectory, info: RunInfo, device: torch.device, group: Group) -> dict[str, Any]:
    """Where and with what the run is done now; of one that goes on, also its data and every commit that had a part."""
    now = {**environment(device, info.config["threads"]), "processes": group.size}
    now["commits"] = [name_commit(now)]
    if _has_begun(directory):
        now["commits"] = [*info.commits, *(name for name in now["commits"] if name != info.commits[-1])]
        now |= {"data": info.environment["data"]} if "data" in info.environment else {}
    return now


def _has_begun(directory: RunDirectory) -> bool:
    """Whether there is something to continue from."""
    proxies = (directory.path / "proxies").glob("*/checkpoints")
    return any(list_checkpoints(folder) for folder in (directory.checkpoints, *proxies))


def _cpu_choices(directory: RunDirectory, info: RunInfo) -> CpuChoices:
    """What the run was begun with, whatever has been measured since: its bits depend on it.

    Raises:
        ConfigError: the record names choices that this version does not have.
        RunError: it was begun with compiled loops, which are not here.
    """
    recorded = info.environment.get("cpu_choices")
    if recorded is not None:
        choices = parse(CpuChoices, recorded, f"{directory.path / 'run.json'}: environment.cpu_choices")
        if choices.compiled and compiled.why_not() and _has_begun(directory):
            raise RunError(
                f"this run was begun with compiled loops, and {compiled.why_not()}: the bits would differ. "
                f"Install it (pip install numba), or remove {directory.path} to start anew"
            )
        return choices
    if _has_begun(directory):  # begun before there was a choice
        return DEFAULT_CHOICES
    return recall(directory.path.resolve().parent.parent, info.config["threads"])


def _fast_paths(directory: RunDirectory, info: RunInfo, device: torch.device, group: Group) -> dict[str, Any]:
    """Process 0's verdicts for all, relied on from here; as they stand in the record."""
    runs_dir = directory.path.resolve().parent.parent
    verdicts: dict[str, proofs.Verdict] = {}
    if not group.rank:
        recorded, begun = info.environment.get("fast_paths"), bool(list_checkpoints(directory.checkpoints))
        verdicts = proofs.for_run(recorded, begun, runs_dir, device, info.config["precision"])
    verdicts = group.from_first(verdicts)
    proofs.rely_on(verdicts, f"{device_name(device)} ({runs_dir / proofs.FILE_NAME})")
    return {name: asdict(verdict) for name, verdict in verdicts.items()}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.run", description="Do one run from its run directory.")
    parser.add_argument("run_directory", type=Path)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:0, ...")
    options = parser.parse_args(arguments)
    stop = StopFlag()
    stop.install()
    try:
        wants_gpu = options.device != "cpu" and torch.cuda.is_available()
        return execute(options.run_directory, options.device, stop, join("cuda" if wants_gpu else "cpu"))
    except RecordError as error:
        print(error, file=sys.stderr)
        return FAILED
