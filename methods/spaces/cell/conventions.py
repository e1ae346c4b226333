"""What families of cell networks do differently around the same cells: declared by a genotype, never assumed.

DARTS, SNAS, DrNAS, FairDARTS and others publish cells in one notation and build different networks from them. A
genotype of the general cell space therefore carries its family's conventions (docs/cells.md has the table).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from methods.architecture import ArchitectureError
from methods.domain import shown

CHOICES: dict[str, tuple[object, ...]] = {
    "pool_norm": ("none", "without_affine", "affine"),
    "affine": (True, False),
    "reduced_input": ("factorized", "1x1"),
    "auxiliary_norm": (True, False),
    "drop_path": ("operation", "node"),
    "empty_nodes": ("refused", "left_out"),
}


@dataclass(frozen=True)
class Conventions:
    """The defaults are the evaluation networks of DARTS (Liu et al., ICLR 2019, released code).

    Attributes:
        pool_norm: batch normalisation after every pool: "none", "without_affine" (no scale and shift) or "affine".
        affine: scale and shift in all other normalisations of the cells.
        reduced_input: how a cell after a reduction brings its older input to size: "factorized" (two shifted 1x1
            convolutions of stride 2, `FactorizedReduce`) or "1x1" (one).
        auxiliary_norm: batch normalisation after the second convolution of the ImageNet auxiliary head (the CIFAR
            head always has it).
        drop_path: drops an "operation" (each but identities) or a "node" (the sum of its operations).
        empty_nodes: a node that nothing enters is "refused", or "left_out" with all that it would enter.
    """

    pool_norm: str = "none"
    affine: bool = True
    reduced_input: str = "factorized"
    auxiliary_norm: bool = False
    drop_path: str = "operation"
    empty_nodes: str = "refused"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: Any) -> Conventions:
        """Read what a genotype declares; every convention has to be there.

        Raises:
            ArchitectureError: not an object, a convention missing or unknown, or a value that is not one of its own.
        """
        names = [field.name for field in fields(cls)]
        if not isinstance(document, Mapping):
            raise ArchitectureError(
                f"a general cell genotype needs 'conventions', an object with {', '.join(names)} (docs/cells.md)"
            )
        for name in document:
            if name not in names:
                raise ArchitectureError(f"conventions: unknown {shown(name)}; known: {', '.join(names)}")
        for name in names:
            choices = CHOICES[name]
            listed = ", ".join(str(choice).lower() if isinstance(choice, bool) else f"'{choice}'" for choice in choices)
            if name not in document:
                raise ArchitectureError(f"conventions: '{name}' is missing; it is one of {listed} (docs/cells.md)")
            value = document[name]
            if not any(type(value) is type(choice) and value == choice for choice in choices):
                raise ArchitectureError(f"conventions: '{name}' is {shown(value)}, not one of {listed}")
        return cls(**document)


DARTS = Conventions()
MGAS = Conventions(pool_norm="affine")

FAMILIES: dict[str, Conventions] = {
    "darts": DARTS,
    "pdarts": Conventions(auxiliary_norm=True),
    "autodl": Conventions(auxiliary_norm=True),
    "gdas": Conventions(pool_norm="affine"),
    "snas": Conventions(pool_norm="affine", auxiliary_norm=True),
    "mdenas": Conventions(pool_norm="affine"),
    "drnas": Conventions(pool_norm="without_affine"),
    "fairdarts": Conventions(drop_path="node", empty_nodes="left_out"),
}
"""The conventions of released code, by family; docs/cells.md names the code."""
