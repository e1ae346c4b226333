"""The notations in which cells are published, written from genotypes: the oracle of their readers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from methods.architecture import Architecture

Cell = Mapping[str, Any]


def pairs(cell: Cell) -> dict[int, list[tuple[str, int]]]:
    """(operation, source) of each node, in order."""
    nodes = range(2, max(node for _, _, node in cell["edges"]) + 1)
    return {node: [(operation, source) for operation, source, to in cell["edges"] if to == node] for node in nodes}


def flat(cell: Cell) -> str | None:
    if any(len(edges) != 2 for edges in pairs(cell).values()):
        return None
    return repr([edge for edges in pairs(cell).values() for edge in edges])


def flat_input_first(cell: Cell) -> str | None:
    text = flat(cell)
    return text and repr([(source, operation) for edges in pairs(cell).values() for operation, source in edges])


def by_node(cell: Cell) -> str | None:
    return repr(list(pairs(cell).values())) if all(pairs(cell).values()) else None


def by_node_in_tuples(cell: Cell) -> str | None:
    return by_node(cell) and repr(tuple(tuple(edges) for edges in pairs(cell).values()))


def weighted(cell: Cell) -> str | None:
    text = flat(cell)
    return text and repr([[operation, source, 0.25] for edges in pairs(cell).values() for operation, source in edges])


def explicit(cell: Cell) -> str:
    return repr([(operation, node, source) for operation, source, node in cell["edges"]])


def explicit_source_first(cell: Cell) -> str:
    return repr([(operation, source, node) for operation, source, node in cell["edges"]])


NOTATIONS: tuple[Callable[[Cell], str | None], ...] = (
    flat,
    flat_input_first,
    by_node,
    by_node_in_tuples,
    weighted,
    explicit,
    explicit_source_first,
)


def in_node_order(cell: Cell) -> bool:
    nodes = [node for _, _, node in cell["edges"]]
    return nodes == sorted(nodes)


def genotype_text(genotype: Mapping[str, Any], notation: Callable[[Cell], str | None]) -> str | None:
    """`Genotype(...)` of a shared genotype; None where the notation cannot say it."""
    written = {kind: notation(genotype[kind]) for kind in ("normal", "reduce")}
    if None in written.values():
        return None
    fields = (f"{kind}={written[kind]}, {kind}_concat={genotype[kind]['concat']}" for kind in ("normal", "reduce"))
    return f"Genotype({', '.join(fields)})"


def gene_text(architecture: Architecture) -> str:
    """`Genotype(gene=...)` of an architecture with widths, as MG-DARTS writes it."""
    cells = []
    for index, cell in enumerate(architecture.genotype["cells"]):
        entries = []
        for n, (operation, source, node) in enumerate(cell["edges"]):
            first, last = (architecture.widths[f"cells.{index}.s{state}"] for state in (source, node))
            inner = architecture.widths.get(f"cells.{index}.op{n}.mid", first)
            widths = [first, inner, last] if "sep" in operation else [first, last] if "dil" in operation else [first]
            entries.append((operation, source, node, widths))
        cells.append(entries)
    return f"Genotype(gene={cells}, concat=range(2, 6))"


def nni_sample(genotype: Mapping[str, Any], as_list: bool = True) -> dict[str, Any]:
    """The keys and values that NNI would export for a genotype of two edges a node."""
    sample: dict[str, Any] = {}
    for kind in ("normal", "reduce"):
        for node, edges in pairs(genotype[kind]).items():
            for n, (operation, source) in enumerate(edges):
                sample[f"{kind}/op_{node}_{n}"] = operation
                sample[f"{kind}/input_{node}_{n}"] = [source] if as_list else source
    return sample
