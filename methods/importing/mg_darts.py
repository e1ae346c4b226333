"""`Genotype(gene=[...], concat=...)`: the notation of MG-DARTS (MGAS), with widths, and its files of weight masks."""

from __future__ import annotations

import difflib
from typing import Any

from methods.architecture import ArchitectureError
from methods.gradient.mgas.cells.published import import_genotype, import_masks
from methods.gradient.mgas.cells.topology import CANDIDATES, STATES
from methods.importing.cells import MOST_NODES, is_edge
from methods.importing.found import Choices, Imported, shorten
from methods.spaces import get_space
from methods.spaces.cell.layout import INPUTS
from methods.spaces.operations import DILATED, SEPARABLE

MOST_WIDTH = 1 << 16


def read(arguments: dict[str, Any], where: str, choices: Choices, provenance: dict[str, Any]) -> Imported:
    """The architecture of a gene: every cell its own, and its widths.

    Raises:
        ArchitectureError: with the cell and the entry; or that the initial channels have to be said.
    """
    choices.only("a gene of MG-DARTS", "channels", "masks")
    for name in arguments:
        if name not in ("gene", "concat"):
            raise ArchitectureError(f"{where}: unknown '{shorten(name)}'; a gene of MG-DARTS has gene and concat")
    concat = arguments.get("concat", list(range(INPUTS, STATES)))
    if concat != list(range(INPUTS, STATES)):
        raise ArchitectureError(f"{where}: concat {shorten(concat)}; MG-DARTS joins nodes {INPUTS} to {STATES - 1}")
    _check_gene(arguments["gene"], where)
    if choices.channels is None:
        raise ArchitectureError(
            f"{where}: a gene of MG-DARTS does not say its initial channels; say --channels C (in the released code "
            "44 for MG_DARTS, 24 for MG_DARTS_small)"
        )
    try:
        architecture = import_genotype(arguments["gene"], choices.channels, provenance)
        get_space(architecture.space).validate(architecture)
        if choices.masks is not None:
            architecture = import_masks(architecture, choices.masks)
    except ArchitectureError as error:
        raise ArchitectureError(f"{where}: {error}") from None
    notes = () if architecture.masks else ("without weight masks; --masks FILE adds those of a published file",)
    return Imported(architecture, notes)


def _check_gene(gene: Any, where: str) -> None:
    if not isinstance(gene, list) or not gene or not all(isinstance(cell, list) and cell for cell in gene):
        raise ArchitectureError(f"{where}: gene must be a list of cells, each a list of entries")
    for index, cell in enumerate(gene):
        for n, entry in enumerate(cell):
            _check_entry(entry, f"{where}, cell {index}, entry {n + 1}")


def _check_entry(entry: Any, place: str) -> None:
    if not is_edge(entry) or len(entry) != 4:
        raise ArchitectureError(f"{place}: {shorten(entry)} is not (operation, source, node, [widths])")
    operation, source, node, widths = entry
    if operation not in CANDIDATES:
        near = difflib.get_close_matches(str(operation), CANDIDATES, n=1, cutoff=0.5)
        hint = f"; did you mean '{near[0]}'?" if near else "."
        raise ArchitectureError(
            f"{place}: unknown operation {shorten(repr(operation))}{hint} Known: {', '.join(CANDIDATES)}"
        )
    if not (type(source) is int and type(node) is int and 0 <= source < node and INPUTS <= node < INPUTS + MOST_NODES):
        raise ArchitectureError(f"{place}: {shorten(entry)} does not lead from an earlier state to a node")
    wanted = 3 if operation in SEPARABLE else 2 if operation in DILATED else 1
    good = isinstance(widths, list) and all(type(width) is int and 1 <= width <= MOST_WIDTH for width in widths)
    if not good or len(widths) != wanted:
        raise ArchitectureError(f"{place}: widths {shorten(widths)}; {operation} has {wanted}, in channels")
