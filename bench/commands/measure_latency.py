"""`dasbench measure-latency`: how long networks of a space take on this machine, and predictors fitted to that."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from bench.commands.arguments import add_device, local_path, offer, whole
from bench.commands.output import console

if TYPE_CHECKING:
    from bench.latency.conditions import Conditions
    from bench.latency.dataset import Measured

HELP = "measure networks of a space on this machine, and fit predictors of latency"
EVERY = 25
"""Measurements between two lines on the screen."""


def arguments(parser: argparse.ArgumentParser) -> None:
    offer(parser.add_argument("space", help="a search space (`dasbench list spaces`)"), "spaces")
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
    offer(parser.add_argument("--backend", choices=["torch", "onnxruntime"], default="torch"), ("torch", "onnxruntime"))
    add_device(parser)
    parser.add_argument("--threads", type=whole(1, 1024), default=1, help="1: CPU time is measured, else wall time")
    parser.add_argument("--batch", type=whole(1, 4096), default=1, help="images of a forward pass (1)")
    parser.add_argument("--rounds", type=whole(1, 1000), default=5, help="of reference and network in turn (5)")
    parser.add_argument("--calls", type=whole(1, 1000), default=3, help="forward passes of each in a round (3)")


def scale(text: str) -> dict[str, int]:
    """`channels=8,cells_per_stage=1`."""
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(name.isidentifier() and value.isdigit() for name, _, value in pairs):
        raise argparse.ArgumentTypeError(f"'{text[:60]}' is no scale; write e.g. channels=8,cells_per_stage=1")
    return {name: int(value) for name, _, value in pairs}


def conditions(options: argparse.Namespace, space: str) -> Conditions:
    """What was asked for, on this machine."""
    from bench.latency.here import conditions_here
    from methods.spaces import NetworkSettings

    scales = {space: options.scale} if options.scale else {}
    return conditions_here(
        space, NetworkSettings(options.channels, options.cells, stem=options.stem, scales=scales),
        backend=options.backend, device=options.device, threads=options.threads, batch=options.batch,
        classes=options.classes, image_size=options.image_size, seed=getattr(options, "seed", 0),
        rounds=options.rounds, calls=options.calls,
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Measure what is not measured yet, then fit."""
    from bench.commands.fit_latency import fit_and_tell
    from bench.latency.collect import collect
    from bench.latency.networks import jobs

    asked = conditions(options, options.space)
    path: Path = options.out or options.runs_dir / "latency" / f"{asked.slug}.jsonl"
    planned = jobs(options.space, options.count, options.seed, not options.no_operations)
    data = collect(path, asked, planned, tell)
    console.print(
        f"{path.resolve()}: {len(data.measured)} measurements, {asked.unit}; the reference takes "
        f"{data.reference_ms:.4g} ms and moved by {100 * data.drift():.0f} % meanwhile",
        markup=False,
    )
    return 0 if options.no_fit else fit_and_tell(path, 0)


def tell(done: int, total: int, measured: Measured) -> None:
    """A line now and then."""
    if done % EVERY == 0 or done == total:
        ms, beside = min(measured.timed.network), min(measured.timed.reference)
        console.print(f"{done} of {total}: {ms:.4g} ms, the reference {beside:.4g} ms", markup=False)
