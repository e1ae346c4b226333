"""`dasbench show`: count an architecture and draw it."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.commands.arguments import offer
from bench.commands.output import console

HELP = "count an architecture and draw it"


def arguments(parser: argparse.ArgumentParser) -> None:
    named = parser.add_argument("architecture", help="a file, a run directory, or a published name (`dasbench list`)")
    offer(named, "architectures")
    parser.add_argument("--channels", type=int, default=36, help="where the architecture does not fix its scale (36)")
    parser.add_argument("--cells", type=int, default=20, help="likewise (20)")
    parser.add_argument("--stem", choices=["cifar", "imagenet"], default="cifar")
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--image-size", type=int, help="its side in pixels (32, or 224 with the imagenet stem)")
    parser.add_argument("--out", type=Path, help="picture to write, e.g. cell.png or cell.svg")


def run(options: argparse.Namespace) -> int:
    """Counts of an architecture at a scale, and a drawing of it."""
    from bench.cost import count_macs, count_nonzero, count_params, fvcore_macs
    from methods.architecture import Architecture
    from methods.genotypes import published, published_names
    from methods.spaces import NetworkSettings, build

    name = options.architecture
    known = name in published_names()
    architecture = published(name) if known else Architecture.load(Path(name))
    imagenet = options.stem == "imagenet"
    size = options.image_size or (224 if imagenet else 32)
    settings = NetworkSettings(options.channels, options.cells, size == 32 or imagenet, options.stem)
    network = build(architecture, options.classes, settings)
    scale = architecture.scale or {"channels": options.channels, "cells": options.cells}
    console.print(f"[bold]{name}[/]  {architecture.space}, digest {architecture.digest}, {scale}")
    for key, value in architecture.provenance.items():
        console.print(f"    {key}: {value}", markup=False)
    shape = (3, size, size)
    counts = {
        "params (inference)": count_params(network),
        "params (training, with auxiliary head)": count_params(network, auxiliary=True),
        "params, non-zero": count_nonzero(network, architecture.masks),
        f"MACs at {size}x{size} (conv + linear)": count_macs(network, shape),
        "MACs, without masked weights": count_macs(network, shape, architecture.masks),
        "fvcore total": fvcore_macs(network, shape),
    }
    for text, count in counts.items():
        console.print(f"    {text:40} {count:>15,}")
    if options.out:
        from reports.draw import draw

        draw(architecture, options.out)
        console.print(f"Drawing: {options.out.resolve()}")
    return 0
