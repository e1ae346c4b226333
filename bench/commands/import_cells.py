"""`dasbench import`: other people's cells become architecture files."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from bench.commands.arguments import local_path, whole
from bench.commands.output import console

if TYPE_CHECKING:
    from methods.architecture import ArchitectureError
    from methods.importing import Imported

HELP = "make architecture files of other people's cells, from their text"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="a file with Genotype(...), a gene of MG-DARTS, a sample of NNI, ...; - for standard input; or the text",
    )
    parser.add_argument("--name", help="which of several; or what to call the only one")
    parser.add_argument("--all", action="store_true", help="every architecture of the text")
    parser.add_argument(
        "--out", type=local_path, default=Path("architectures"), help="folder to write (./architectures)"
    )
    parser.add_argument(
        "--conventions", metavar="FAMILY", help="whose networks: darts, snas, mdenas, drnas, ... (docs/cells.md)"
    )
    parser.add_argument("--concat", choices=["all", "loose"], help="nodes joined, where the text does not say")
    parser.add_argument("--channels", type=whole(1, 65536), help="initial channels of a gene of MG-DARTS")
    parser.add_argument("--masks", type=local_path, help="its file of weight masks")


def run(options: argparse.Namespace) -> int:
    """Read, check, write one folder for each architecture; 2 if any could not be."""
    from bench.plan.architectures import import_all, import_text, read_source
    from methods.architecture import ArchitectureError
    from methods.importing import Choices

    if options.all and options.name:
        raise ArchitectureError("--name chooses one and --all takes every one; leave one of them out")
    source = read_source(options.source)
    choices = Choices(options.conventions, options.concat, options.channels, options.masks)
    if not options.all:
        _write(*import_text(source, options.name, choices), options.out)
        return 0
    return _write_all(import_all(source, choices), options.out)


def _write_all(found: Iterable[tuple[str, Imported | ArchitectureError]], out: Path) -> int:
    from methods.architecture import ArchitectureError

    written, wrong = 0, []
    for name, imported in found:
        try:
            if isinstance(imported, ArchitectureError):
                raise imported
            _write(name, imported, out)
            written += 1
        except ArchitectureError as error:
            wrong.append(str(error))
    for message in wrong:
        console.print(f"not imported: {message}", markup=False)
    console.print(f"{written} of {written + len(wrong)} imported")
    return 2 if wrong else 0


def _write(name: str, imported: Imported, out: Path) -> None:
    from bench.plan.architectures import keep

    architecture = imported.architecture
    path, is_new = keep(architecture, out / name)
    console.print(f"{name}: {architecture.space}, digest {architecture.digest}", markup=False)
    for note in imported.notes:
        console.print(f"    {note}", markup=False)
    console.print(f"    {'written to' if is_new else 'already in'} {path}", markup=False)
