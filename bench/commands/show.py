"""`dasbench show`: count an architecture and draw it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from bench.commands.arguments import local_path, offer, whole
from bench.commands.output import console

if TYPE_CHECKING:
    from bench.data.tables import Measure, Table
    from methods.architecture import Architecture
    from methods.spaces import NetworkSettings

HELP = "count an architecture and draw it"
LARGEST_TRACED = 200_000_000
"""Parameters of the largest network that is built in memory for fvcore, which cannot count without."""


def arguments(parser: argparse.ArgumentParser) -> None:
    named = parser.add_argument(
        "architecture", help="a published name (`dasbench list`), a file, a run directory, or a genotype's text"
    )
    offer(named, "architectures")
    parser.add_argument(
        "--channels", type=whole(1, 4096), default=36, help="where the architecture does not fix its scale (36)"
    )
    parser.add_argument("--cells", type=whole(1, 200), default=20, help="likewise (20)")
    parser.add_argument("--stem", choices=["cifar", "imagenet"], default="cifar")
    parser.add_argument("--classes", type=whole(1, 100_000), default=10)
    parser.add_argument(
        "--image-size", type=whole(1, 2048), help="its side in pixels (32, or 224 with the imagenet stem)"
    )
    parser.add_argument("--out", type=local_path, help="picture to write, e.g. cell.png or cell.svg")


def run(options: argparse.Namespace) -> int:
    """Counts of an architecture at a scale, and a drawing of it."""
    from bench.plan.architectures import find_architecture
    from methods.architecture import ArchitectureError
    from methods.spaces import get_space

    name, architecture, notes = find_architecture(options.architecture)
    counts = count(architecture, options)
    scale = dict(get_space(architecture.space).scale(architecture, settings_of(options)))
    console.print(f"{name}  {architecture.space}, digest {architecture.digest}, {scale}", markup=False, style="bold")
    for key, value in architecture.provenance.items():
        for each in value if isinstance(value, list) else [value]:
            said = ", ".join(f"{name} {told}" for name, told in each.items()) if isinstance(each, dict) else each
            console.print(f"    {key}: {said}", markup=False)
    for note in notes:
        console.print(f"    {note}", markup=False)
    for text, number in counts.items():
        console.print(f"    {text:40} {number:>15,}" if isinstance(number, int) else f"    {number}", markup=False)
    for line in looked_up(architecture):
        console.print(f"    {line}", markup=False)
    if options.out:
        from reports.draw import draw

        try:
            draw(architecture, options.out)
        except OSError as error:
            raise ArchitectureError(f"cannot write {options.out}: {error.strerror}") from None
        console.print(f"Drawing: {options.out.resolve()}", markup=False)
    return 0


def looked_up(architecture: Architecture) -> Iterator[str]:
    """What the tables that ship with the package say of it: its index, and its accuracies by training budget."""
    from bench.data.tables import TableError, get_table, tables_of

    for name in tables_of(architecture.space):
        table = get_table(name)
        try:
            index = table.index(architecture)
        except TableError as error:
            yield str(error)
            continue
        yield f"network {index:,} of table {name} (0 to {len(table) - 1:,}); accuracies in %, epochs in parentheses:"
        for dataset in table.datasets:
            found = [measure for measure in table.measures if measure.dataset == dataset]
            yield f"    {dataset:10} " + ", ".join(_value(table, measure, index) for measure in found)


def _value(table: Table, measure: Measure, index: int) -> str:
    values = table.validation if measure.split == "validation" else table.final
    value = values(measure.dataset, measure.epochs, measure.version)[index]
    version = "" if measure.version == table.name else f", {measure.version}"
    return f"{measure.split} {value:.2f} ({measure.epochs}{version})"


def settings_of(options: argparse.Namespace) -> NetworkSettings:
    """With the auxiliary head, where the space has one."""
    from methods.spaces import NetworkSettings

    return NetworkSettings(options.channels, options.cells, True, options.stem)


def count(architecture: Architecture, options: argparse.Namespace) -> dict[str, int | str]:
    """Parameters and multiply-adds at the scale, stem and image size asked for; nothing is computed but sizes.

    A count that cannot be made is the sentence that says why.

    Raises:
        ArchitectureError: it cannot be built at this scale, or takes no image of this size.
    """
    from bench.device.packages import fvcore_obstacle
    from bench.run.cost import count_macs, count_nonzero, count_params, fvcore_macs
    from methods.spaces import build, get_space
    from methods.spaces.base import task_of_space
    from methods.spaces.image_size import fits, on_meta, refuse_image_size
    from methods.tasks import get_task

    task = get_task(task_of_space(get_space(architecture.space)))
    size = options.image_size or (224 if options.stem == "imagenet" else 32)
    settings, outputs = settings_of(options), task.outputs(3) or options.classes
    network = on_meta(architecture, settings, outputs)
    if not fits(network, settings.in_channels, size):
        settings = replace(settings, auxiliary=False)
        refuse_image_size(architecture, settings, size, outputs)
        network = on_meta(architecture, settings, outputs)
    height, width = (None if options.image_size else task.counted_at) or (size, size)
    shape = (3, height, width)
    inference = count_params(network)
    counts: dict[str, int | str] = {
        "params (inference)": inference,
        "params (training, with auxiliary head)": count_params(network, auxiliary=True),
        "params, non-zero": count_nonzero(network, architecture.masks),
        f"MACs at {width}x{height} (conv + linear)": count_macs(network, shape),
        "MACs, without masked weights": count_macs(network, shape, architecture.masks),
    }
    if inference <= LARGEST_TRACED:
        total = fvcore_macs(build(architecture, outputs, settings), shape)
        counts["fvcore total"] = str(fvcore_obstacle()) if total is None else total
    return counts
