"""Which networks are measured: those that differ from one in one operation, random ones, and some a second time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import torch

from bench.latency.conditions import LatencyError
from bench.latency.dataset import Job
from methods.architecture import Architecture
from methods.parts.gates import Gates
from methods.spaces import Space, get_space
from methods.spaces.decisions import enumerate_codes, neighbours, size
from methods.spaces.relaxation import Relaxation
from methods.spaces.supernets import RELAXATIONS

REPEATED, LATER = 5, 20
"""Every fifth random network is measured again, after twenty others."""
FEW = 4
"""So many times as many draws as networks are tried before a space is enumerated."""


def jobs(space: str, count: int, seed: int, operations: bool) -> Iterator[Job]:
    """In the order in which they are measured; with a larger `count` the first ones stay.

    Raises:
        LatencyError: the space has not so many networks.
        NoDecisionsError: the space has no decisions.
    """
    place = get_space(space)
    if size(place) < count:
        raise LatencyError(f"{space} has {size(place)} networks; --count {count} asks for more")
    if operations:
        yield from (Job("operation", index, each) for index, each in enumerate(single_changes(space)))
    drawn: list[Architecture] = []
    for index, architecture in enumerate(_distinct(place, count, seed)):
        drawn.append(architecture)
        yield Job("random", index, architecture)
        if index >= LATER and (index - LATER) % REPEATED == 0:
            yield Job("repeat", index - LATER, drawn[index - LATER])


def _distinct(space: Space, count: int, seed: int) -> Iterator[Architecture]:
    generator, seen = torch.Generator().manual_seed(seed), set[str]()
    for _ in range(FEW * count):
        architecture = space.sample(generator)
        if architecture.digest not in seen and len(seen) < count:
            seen.add(architecture.digest)
            yield architecture
    for code in enumerate_codes(space) if len(seen) < count else ():
        architecture = space.decode(code)
        if architecture.digest not in seen and len(seen) < count:
            seen.add(architecture.digest)
            yield architecture


def single_changes(space: str) -> list[Architecture]:
    """The space's reference, and for every option of every decision one that has it and is otherwise the same.

    In the cells of DARTS an operation on an edge that the reference has not takes the place of another one into the
    same node. In a space without a relaxation they are all that differ in one decision.
    """
    place = get_space(space)
    reference = place.reference()
    if space in RELAXATIONS:
        return list(dict.fromkeys([reference, *_forced(RELAXATIONS[space], reference)]))
    code = place.encode(reference)
    return [reference, *(place.decode(other) for other in neighbours(place, code))]


def _forced(relaxed: Relaxation, reference: Architecture) -> Iterator[Architecture]:
    topology = relaxed.topology
    _, decisions, options = topology.shape
    stands = relaxed.chosen(reference)
    # Which of two edges gives way is no matter of rounding: by turns the later one and the earlier one.
    order = 1e-3 * torch.arange(decisions, dtype=torch.float64)[:, None]
    bases = [{kind: rows.double() * (1 + sign * order) for kind, rows in stands.items()} for sign in (-1, 1)]
    for kind, row, column in product(topology.kinds, range(decisions), range(options)):
        if topology.operations[column] in topology.options[row] and topology.operations[column] in relaxed.candidates:
            base = bases[column % 2]
            changed = base[kind].clone()
            changed[row] = 0.0
            changed[row, column] = 10.0
            every = {**base, kind: changed}
            yield relaxed.derive({name: Gates(each, torch.ones(decisions)) for name, each in every.items()})
