"""`dasbench export`: a trained network for other programs."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.commands.arguments import add_formats, local_path, offer
from bench.commands.output import console

HELP = "write a trained network as ONNX and torch.export, checked against PyTorch"


def arguments(parser: argparse.ArgumentParser) -> None:
    named = parser.add_argument("run_directory", type=local_path, help="the directory of a finished training")
    offer(named, "trained")
    parser.add_argument("--out", type=local_path, default=Path("exported"), help="folder to write (./exported)")
    add_formats(parser, ("onnx", "torch"))


def run(options: argparse.Namespace) -> int:
    """Write a trained network for other programs."""
    from bench.run.export import export as write

    for made in write(options.run_directory, options.out, options.formats):
        console.print(f"{made.path}  (largest difference from PyTorch's logits: {made.difference:.2g})")
    return 0
