"""`dasbench measure-latency`: how long networks of a space take on this machine, and predictors fitted to that."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.commands.arguments import add_device, add_profile, local_path, offer, whole
from bench.commands.output import console

if TYPE_CHECKING:
    from bench.latency.conditions import Conditions
    from bench.latency.dataset import LatencyData, Measured
    from bench.latency.found import Found

HELP = "measure networks of a space on this machine, and fit predictors of latency"
EVERY = 25
"""Measurements between two lines on the screen."""


def arguments(parser: argparse.ArgumentParser) -> None:
    named = parser.add_argument("space", nargs="?", help="a search space (`dasbench list spaces`)")
    offer(named, "spaces")
    text = "instead of a space: measure what its trainings found, for the report; their size and images are taken"
    offer(parser.add_argument("--experiment", metavar="EXPERIMENT", help=text), "recorded")
    add_profile(parser, "of the experiment, where it has run at several")
    parser.add_argument("--count", type=whole(0, 100_000), default=500, help="random networks (500)")
    parser.add_argument("--no-operations", action="store_true", help="leave out networks of single operations")
    add_conditions(parser)
    parser.add_argument("--seed", type=whole(0, 10**9), default=0, help="of the random networks (0)")
    parser.add_argument("--out", type=local_path, metavar="FILE", help="RUNS_DIR/latency/<conditions>.jsonl")
    parser.add_argument("--no-fit", action="store_true", help="only measure; `dasbench fit-latency` fits later")


def add_conditions(parser: argparse.ArgumentParser) -> None:
    """Of what is measured and how."""
    parser.add_argument("--channels", type=whole(1, 4096), default=36, help="of networks of cells (36)")
    parser.add_argument("--cells", type=whole(1, 200), default=20, help="likewise (20)")
    parser.add_argument("--stem", choices=["cifar", "imagenet"], default="cifar")
    parser.add_argument("--scale", type=scale, default={}, metavar="KEY=N,...", help="size in the space's own words")
    parser.add_argument("--classes", type=whole(1, 100_000), default=10)
    parser.add_argument("--image-size", type=whole(1, 2048), default=32, help="its side in pixels (32)")
    parser.add_argument("--image-channels", type=whole(1, 1024), default=3, help="of an image (3)")
    offer(parser.add_argument("--backend", choices=["torch", "onnxruntime"], default="torch"), ("torch", "onnxruntime"))
    add_device(parser)
    parser.add_argument("--threads", type=whole(1, 1024), default=1, help="1: CPU time is measured, else wall time")
    parser.add_argument("--batch", type=whole(1, 4096), default=1, help="images of a forward pass (1)")
    parser.add_argument("--rounds", type=whole(1, 1000), default=8, help="of network and reference in turn (8)")
    parser.add_argument("--calls", type=whole(1, 1000), default=3, help="forward passes of each in a round (3)")


def scale(text: str) -> dict[str, int]:
    """`channels=8,cells_per_stage=1`."""
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(name.isidentifier() and value.isdigit() for name, _, value in pairs):
        raise argparse.ArgumentTypeError(f"'{text[:60]}' is no scale; write e.g. channels=8,cells_per_stage=1")
    return {name: int(value) for name, _, value in pairs}


def conditions(options: argparse.Namespace, space: str, of: Found | None = None) -> Conditions:
    """What was asked for, on this machine; the size of found networks is their own."""
    from bench.latency.conditions import sized_by_settings
    from bench.latency.here import conditions_here
    from methods.spaces import NetworkSettings

    scales = {space: options.scale} if options.scale else {}
    asked = NetworkSettings(stem=options.stem, scales=scales, in_channels=options.image_channels)
    if sized_by_settings(space):
        asked = replace(asked, channels=options.channels, cells=options.cells)
    return conditions_here(
        space, of.settings if of else asked, backend=options.backend, device=options.device, threads=options.threads,
        batch=options.batch, classes=of.classes if of else options.classes,
        image_size=of.image_size if of else options.image_size, seed=options.seed, rounds=options.rounds,
        calls=options.calls,
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Measure what is not measured yet; then, of a space, fit."""
    from bench.config import ConfigError

    if (options.space is None) == (options.experiment is None):
        raise ConfigError("name a space, or an experiment with --experiment; `dasbench list spaces` has the spaces")
    return _measure_found(options) if options.experiment else _measure_space(options)


def _measure_space(options: argparse.Namespace) -> int:
    from bench.commands.fit_latency import fit_and_tell
    from bench.latency.collect import collect
    from bench.latency.networks import jobs

    asked = conditions(options, options.space)
    path: Path = options.out or options.runs_dir / "latency" / f"{asked.slug}.jsonl"
    planned = jobs(options.space, options.count, options.seed, not options.no_operations)
    _tell_whole(collect(path, asked, planned, tell), path)
    return 0 if options.no_fit else fit_and_tell(path, 0)


def _measure_found(options: argparse.Namespace) -> int:
    from bench.commands.selection import folders_of
    from bench.config import ConfigError
    from bench.latency.collect import collect
    from bench.latency.found import found_networks

    options.experiments = [options.experiment]
    folders = folders_of(options)
    if len(folders) > 1:
        raise ConfigError("name one of its profiles with --profile: " + ", ".join(folder.name for folder in folders))
    by_space, problems = found_networks(folders[0])
    for problem in problems:
        console.print(problem, markup=False)
    if options.out and len(by_space) > 1:
        spaces = ", ".join(found.space for found in by_space)
        raise ConfigError(f"its networks are of {spaces}, and each space has a file of its own; leave --out away")
    for found in by_space:
        asked = conditions(options, found.space, found)
        path = options.out or folders[0] / f"latency-{found.space}-{asked.place}.jsonl"
        _tell_whole(collect(path, asked, found.jobs, tell), path)
    console.print(f"`dasbench report {folders[0].name}` shows them", markup=False)
    return 0


def _tell_whole(data: LatencyData, path: Path) -> None:
    console.print(
        f"{path.resolve()}: {len(data.measured)} measurements, {data.conditions.unit}; the reference takes "
        f"{data.reference_ms:.4g} ms, and up to {100 * data.drift():.0f} % more while others computed",
        markup=False,
    )


def tell(done: int, total: int, measured: Measured) -> None:
    """A line now and then."""
    if done % EVERY == 0 or done == total:
        ms, beside = min(measured.timed.network), min(measured.timed.reference)
        console.print(f"{done} of {total}: {ms:.4g} ms, the reference {beside:.4g} ms", markup=False)
