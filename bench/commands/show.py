"""`dasbench show`: count an architecture and draw it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from bench.commands.arguments import offer, whole
from bench.commands.output import console

if TYPE_CHECKING:
    from torch import nn

    from methods.architecture import Architecture

HELP = "count an architecture and draw it"


def arguments(parser: argparse.ArgumentParser) -> None:
    named = parser.add_argument(
        "architecture", help="a published name (`dasbench list`), a file, a run directory, or a genotype's text"
    )
    offer(named, "architectures")
    parser.add_argument(
        "--channels", type=whole(1, 65536), default=36, help="where the architecture does not fix its scale (36)"
    )
    parser.add_argument("--cells", type=whole(1, 1000), default=20, help="likewise (20)")
    parser.add_argument("--stem", choices=["cifar", "imagenet"], default="cifar")
    parser.add_argument("--classes", type=whole(1, 1_000_000), default=10)
    parser.add_argument(
        "--image-size", type=whole(1, 4096), help="its side in pixels (32, or 224 with the imagenet stem)"
    )
    parser.add_argument("--out", type=Path, help="picture to write, e.g. cell.png or cell.svg")


def run(options: argparse.Namespace) -> int:
    """Counts of an architecture at a scale, and a drawing of it."""
    from bench.architectures import find_architecture
    from methods.architecture import ArchitectureError
    from methods.spaces import NetworkSettings, build

    name, architecture, notes = find_architecture(options.architecture)
    imagenet = options.stem == "imagenet"
    size = options.image_size or (224 if imagenet else 32)
    settings = NetworkSettings(options.channels, options.cells, size == 32 or imagenet, options.stem)
    network = build(architecture, options.classes, settings)
    scale = architecture.scale or {"channels": options.channels, "cells": options.cells}
    console.print(f"[bold]{escape(name)}[/]  {architecture.space}, digest {architecture.digest}, {scale}")
    for key, value in architecture.provenance.items():
        console.print(f"    {key}: {value}", markup=False)
    for note in notes:
        console.print(f"    {note}", markup=False)
    for text, count in _counts(network, architecture, size).items():
        console.print(f"    {text:40} {count:>15,}")
    if options.out:
        from reports.draw import draw

        try:
            draw(architecture, options.out)
        except OSError as error:
            raise ArchitectureError(f"cannot write {options.out}: {error.strerror}") from None
        console.print(f"Drawing: {options.out.resolve()}", markup=False)
    return 0


def _counts(network: nn.Module, architecture: Architecture, size: int) -> dict[str, int]:
    from bench.cost import count_macs, count_nonzero, count_params, fvcore_macs
    from methods.architecture import ArchitectureError

    shape = (3, size, size)
    try:
        return {
            "params (inference)": count_params(network),
            "params (training, with auxiliary head)": count_params(network, auxiliary=True),
            "params, non-zero": count_nonzero(network, architecture.masks),
            f"MACs at {size}x{size} (conv + linear)": count_macs(network, shape),
            "MACs, without masked weights": count_macs(network, shape, architecture.masks),
            "fvcore total": fvcore_macs(network, shape),
        }
    except RuntimeError as error:
        if "input size" not in str(error):
            raise
        raise ArchitectureError(
            f"images of {size}x{size} pixels are too small for this network; --image-size N"
        ) from None
