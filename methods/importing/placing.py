"""Into which space a cell of other people goes, and which family's networks are built from it.

The same cell stands for different networks in different papers (docs/cells.md, conventions). A cell that keeps all
rules of DARTS is built as DARTS builds it unless a person says otherwise, and this is said; every other cell needs to
be told, for a guess would make another network of it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

from methods.architecture import Architecture, ArchitectureError
from methods.importing.cells import ForeignCell
from methods.importing.found import Choices, Imported, shorten
from methods.spaces import get_space
from methods.spaces.cell.conventions import DARTS, FAMILIES
from methods.spaces.cell.topology import TOPOLOGY
from methods.spaces.operations import OPERATIONS, is_pool

NODES_OF_DARTS = tuple(TOPOLOGY.node_numbers)


def place(
    cells: Mapping[str, ForeignCell],
    where: str,
    choices: Choices,
    provenance: Mapping[str, Any],
    *,
    name: str | None = None,
    scale: Mapping[str, Any] | None = None,
    family: str | None = None,
    doubt: str | None = None,
) -> Imported:
    """The architecture of a normal and a reduction cell.

    Args:
        cells: "normal" and "reduce".
        name: what the text calls it.
        family: whose networks they are, where the way of writing says it.
        doubt: why a cell with pools cannot be taken for one of DARTS without a word.

    Raises:
        ArchitectureError: a family has to be named.
    """
    _check_family(choices.conventions)
    departures = [text for kind, cell in cells.items() if (text := departure(kind, cell))]
    pools = any(is_pool(operation) for cell in cells.values() for operation in cell.operations)
    named = choices.conventions or family
    if named is None and departures:
        raise ArchitectureError(
            f"{where}: not a cell of DARTS' space ({departures[0]}); the general cell space builds it, but has to know "
            f"whose networks these are: --conventions {' | '.join(FAMILIES)} (docs/cells.md has what they differ in)"
        )
    doubt = doubt or _named_after(name)
    if named is None and doubt and pools:
        raise ArchitectureError(f"{where}: {doubt}")
    conventions = FAMILIES[named or "darts"]
    exact = conventions == DARTS and not departures
    genotype: dict[str, Any] = {kind: cell.to_json() for kind, cell in cells.items()}
    if not exact:
        genotype["conventions"] = conventions.to_json()
    space = "darts_cell" if exact else "general_cell"
    architecture = Architecture(space, genotype, scale or {}, provenance=dict(provenance))
    try:
        get_space(space).validate(architecture)
    except ArchitectureError as error:
        raise ArchitectureError(f"{where}: {error}") from None
    return Imported(architecture, tuple(_notes(cells, choices, family, named, departures, pools)))


def _notes(
    cells: Mapping[str, ForeignCell],
    choices: Choices,
    family: str | None,
    named: str | None,
    departures: list[str],
    pools: bool,
) -> list[str]:
    notes = []
    if any(cell.weighted for cell in cells.values()):
        notes.append("the numbers beside edges are their weights in a search; they are no part of the network")
    if named is None and pools:
        notes.append(
            "pools without normalisation, as DARTS builds them; --conventions snas, mdenas or drnas builds others"
        )
    if departures and named is not None:
        notes.append(f"not of DARTS' space: {departures[0]}")
    if choices.conventions is None and family is not None:
        notes.append(f"conventions of {family}, whose way of writing this is; --conventions says otherwise")
    return notes


def _check_family(name: str | None) -> None:
    if name is not None and name not in FAMILIES:
        near = difflib.get_close_matches(name, FAMILIES, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ";"
        raise ArchitectureError(f"--conventions '{shorten(name)}'{hint} known: {', '.join(FAMILIES)}")


def _named_after(name: str | None) -> str | None:
    """The doubt that a name raises: networks of the family it begins with normalise after pools."""
    begins = re.sub(r"[^a-z0-9]", "", (name or "").lower())
    for family, conventions in FAMILIES.items():
        if begins.startswith(family) and conventions.pool_norm != DARTS.pool_norm:
            return (
                f"the released networks of {family} normalise after pools and those of DARTS do not; say "
                f"--conventions {family}, or --conventions darts"
            )
    return None


def departure(kind: str, cell: ForeignCell) -> str | None:
    """The first rule of DARTS' space that a cell does not keep; None if it keeps all."""
    nodes = sorted({node for _, _, node in cell.edges})
    for operation, source, node in cell.edges:
        if operation not in OPERATIONS[1:]:
            return f"{kind} cell: {operation} from state {source} to node {node}"
    if tuple(nodes) != NODES_OF_DARTS:
        return f"{kind} cell: edges into nodes {nodes} instead of {list(NODES_OF_DARTS)}"
    for node in nodes:
        sources = cell.sources(node)
        if len(sources) != 2 or len(set(sources)) != 2:
            return f"{kind} cell: node {node} reads states {sources} instead of two different ones"
    if cell.concat != NODES_OF_DARTS:
        return f"{kind} cell: the output joins {list(cell.concat)} instead of {list(NODES_OF_DARTS)}"
    return None
