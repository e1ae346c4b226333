"""The genotype of a network whose stages are graphs of cells (Hs-DAS: Liu et al., AAAI 2021, and its released code).

`{"normal": cell, "reduce": cell, "stages": [graph, graph, graph]}`: the cells are written as everywhere, and a graph
as a cell is, `{"edges": [[operation, source, node], ...], "concat": [nodes]}`. States 0 and 1 of a stage are its input,
preprocessed twice; every node is a cell, both inputs of which are the sum of two edges from two of the last three
states; the last two states are the stage's output. What stands on an edge has no filters: a pool or a skip connection.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from methods.domain import shown
from methods.form import MOST_CELLS, ArchitectureError
from methods.parts.topology import CellTopology
from methods.spaces.cell.layout import INPUTS, empty_nodes, refuse_gaps, validate_cell
from methods.spaces.decisions import Code, Decision
from methods.spaces.operation_names import AVG_POOL, KNOWN, MAX_POOL, NONE, SKIP

STAGES = 3
WINDOW = 3
"""How many of the last states a node can read."""
CHOICES = (MAX_POOL, AVG_POOL, SKIP)
"""What can stand on an edge, in the order of the released code."""
KINDS = tuple(f"stage{stage + 1}" for stage in range(STAGES))
Graph = Mapping[str, Any]


def stage_topology(nodes: int) -> CellTopology:
    """What a search leaves open of stages of so many cells; `none` is the fourth candidate of an edge."""
    return CellTopology(KINDS, INPUTS, nodes, (*CHOICES, NONE), window=WINDOW)


def cells_of_stage(graph: Graph) -> int:
    """Its number of cells."""
    return int(max(node for *_, node in graph["edges"])) - INPUTS + 1


def written(edges: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """A graph of these edges, with its output."""
    last = max(node for *_, node in edges)
    return {"edges": [list(edge) for edge in edges], "concat": [last - 1, last]}


def validate_graphs(genotype: Mapping[str, Any]) -> None:
    """Raises ArchitectureError, naming the cell or the stage, if a genotype is none of this space."""
    for kind in ("normal", "reduce"):
        if kind not in genotype:
            raise ArchitectureError(f"a stage graph needs the cells it is made of: '{kind}' is missing")
        validate_cell(kind, genotype[kind], KNOWN)
        if empty_nodes(genotype[kind]):
            raise ArchitectureError(f"cell '{kind}': nothing enters node {min(empty_nodes(genotype[kind]))}")
    graphs = genotype.get("stages")
    if not isinstance(graphs, list | tuple) or len(graphs) != STAGES:
        raise ArchitectureError(f"'stages' of a stage graph is a list of {STAGES} graphs, not {shown(graphs)}")
    for kind, graph in zip(KINDS, graphs, strict=True):
        _validate_graph(kind, graph)
    if sum(map(cells_of_stage, graphs)) + STAGES - 1 > MOST_CELLS:
        raise ArchitectureError(f"a stage graph has at most {MOST_CELLS} cells")


def _validate_graph(name: str, graph: Any) -> None:
    validate_cell(name, graph, CHOICES)
    if not graph["edges"]:
        raise ArchitectureError(f"'{name}' has no edges, and so no cell")
    refuse_gaps(name, graph)
    last = max(node for *_, node in graph["edges"])
    for node in range(INPUTS, last + 1):
        sources = sorted(source for _, source, to in graph["edges"] if to == node)
        if len(sources) != 2 or len(set(sources)) != 2 or sources[0] < node - WINDOW:
            raise ArchitectureError(
                f"'{name}': node {node} reads the states {sources}; a cell of a stage reads two of the last {WINDOW}"
            )
    if sorted(graph["concat"]) != [last - 1, last]:
        raise ArchitectureError(f"'{name}': concat {graph['concat']} is not the last two states, {[last - 1, last]}")


@cache
def graph_decisions(nodes: int) -> tuple[Decision, ...]:
    """Of stages of so many cells: for each cell its two sources (where there is a choice), then what stands on each."""
    found, neutral = [], CHOICES.index(SKIP)
    for kind in KINDS:
        for node in range(INPUTS, INPUTS + nodes):
            pairs = tuple(itertools.combinations(range(max(0, node - WINDOW), node), 2))
            if len(pairs) > 1:
                found.append(Decision(f"{kind}.{node}.inputs", pairs))
            found += [Decision(f"{kind}.{node}.{place}", CHOICES, neutral=neutral) for place in ("first", "second")]
    return tuple(found)


def decode_graphs(nodes: int, code: Code) -> list[dict[str, Any]]:
    """The graphs of a code of `graph_decisions`."""
    chosen: Iterator[Any] = (d.options[option] for d, option in zip(graph_decisions(nodes), code, strict=True))

    def edges() -> Iterator[list[Any]]:
        for node in range(INPUTS, INPUTS + nodes):
            inputs = next(chosen) if node > INPUTS else (0, 1)
            for source in inputs:
                yield [next(chosen), source, node]

    return [written(list(edges())) for _ in KINDS]


def encode_graphs(nodes: int, graphs: Sequence[Graph]) -> Code:
    """Inverse of `decode_graphs`; raises ArchitectureError for stages of another number of cells."""
    values: list[Any] = []
    for kind, graph in zip(KINDS, graphs, strict=True):
        if cells_of_stage(graph) != nodes:
            raise ArchitectureError(f"no code stands for it: {kind} has {cells_of_stage(graph)} cells, not {nodes}")
        for node in range(INPUTS, INPUTS + nodes):
            entering = sorted((source, operation) for operation, source, to in graph["edges"] if to == node)
            (low, first), (high, second) = entering
            values += [(low, high)] * (node > INPUTS) + [first, second]
    return tuple(d.options.index(value) for d, value in zip(graph_decisions(nodes), values, strict=True))


def mean_paths(graph: Graph) -> list[float]:
    """For every cell, the mean length of the paths to it: 1 + the mean of its sources', 0 for the stage's inputs."""
    depths = [0.0] * INPUTS
    for node in range(INPUTS, INPUTS + cells_of_stage(graph)):
        sources = [source for _, source, to in graph["edges"] if to == node]
        depths.append(sum(depths[source] + 1 for source in sources) / len(sources))
    return depths[INPUTS:]
