"""NAS-Bench-201 (Dong and Yang, ICLR 2020, arXiv 2001.00326): all 15,625 cells, trained on three data sets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import numpy as np

from bench.data.tables.read import ACCURACY, Columns, Schema, read_columns
from bench.data.tables.table import Counts, Measure, Split, Table

FILE = Path(__file__).parent / "nasbench201.csv.gz"
DIGEST = "dc81e76931cccd70739772a79bfa43b56aef87db71239ce9f91ca9a7c61713c7"
OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
INPUTS = (0, 0, 1, 0, 1, 2)
"""The node that each of the six edges comes from, in the order of the text (`methods.spaces.nasbench201.cell`)."""
DATASETS = ("cifar10", "cifar100", "imagenet16")
SCALE = {"channels": 16, "cells_per_stage": 5}
SOURCE = "Dong and Yang, NAS-Bench-201, ICLR 2020, arXiv 2001.00326; see README.md beside the file"

_TRAINED = {
    ("cifar10", "validation"): ("25,000 of the training images", "the other 25,000 training images"),
    ("cifar10", "test"): ("all 50,000 training images", "the 10,000 test images"),
    ("cifar100", "validation"): ("all 50,000 training images", "5,000 of the 10,000 test images"),
    ("cifar100", "test"): ("all 50,000 training images", "the other 5,000 test images"),
    ("imagenet16", "validation"): ("all 151,700 training images", "3,000 of the 6,000 validation images"),
    ("imagenet16", "test"): ("all 151,700 training images", "the other 3,000 validation images"),
}
"""Of what the networks saw and were scored on; Dong and Yang, section 2.2."""


def cell_text(operations: tuple[str, ...]) -> str:
    """The benchmark's text of a cell from the operations of its six edges."""
    edges = [f"{operation}~{source}" for operation, source in zip(operations, INPUTS, strict=True)]
    return f"|{edges[0]}|+|{edges[1]}|{edges[2]}|+|{edges[3]}|{edges[4]}|{edges[5]}|"


def every_cell() -> frozenset[str]:
    """The texts of all 15,625 cells."""
    return frozenset(map(cell_text, product(OPERATIONS, repeat=len(INPUTS))))


def explain(text: str) -> str:
    """What is wrong with a text that is no cell, as the end of a message."""
    from methods.form import ArchitectureError
    from methods.spaces.nasbench201.cell import read_cell  # here, for the space loads torch and a table needs none

    try:
        read_cell(text)
    except ArchitectureError as error:
        return f": {error}"
    return ""


@dataclass(frozen=True)
class Layout:
    """The columns of one file of these cells.

    Attributes:
        table: the table's name.
        version: of all values but those in `also`.
        splits: which there are, ("val" | "test", epochs), each with the end of its columns' names.
        also: further columns by the end of their names: the same split in another version.
    """

    table: str
    version: str
    splits: Mapping[tuple[str, int], str]
    also: Mapping[tuple[str, int], tuple[str, str]] = field(default_factory=dict)

    @property
    def measures(self) -> dict[str, Measure]:
        """By column; those of `also` come last, so that `version` is meant where none is named."""
        found = {}
        for dataset in DATASETS:
            for (short, epochs), suffix in self.splits.items():
                found[f"{dataset}_{short}{epochs}{suffix}"] = _measure(dataset, short, epochs, self.version)
        for dataset in DATASETS:
            for (short, epochs), (version, suffix) in self.also.items():
                found[f"{dataset}_{short}{epochs}{suffix}"] = _measure(dataset, short, epochs, version)
        return found

    @property
    def columns(self) -> list[str]:
        """All but index and cell: data set by data set, its accuracies before its counts."""
        measures = self.measures
        return [
            column
            for dataset in DATASETS
            for column in (
                *(column for column, measure in measures.items() if measure.dataset == dataset),
                f"{dataset}_params_m",
                f"{dataset}_flops_m",
            )
        ]


def _measure(dataset: str, short: str, epochs: int, version: str) -> Measure:
    split: Split = "validation" if short == "val" else "test"
    return Measure(dataset, split, epochs, version, *_TRAINED[dataset, split])


LAYOUT = Layout(
    "nasbench201",
    "nasbench201",
    {("val", 12): "", ("val", 200): "", ("test", 12): "", ("test", 200): "_nb201"},
    {("test", 200): ("nats", "_nats")},
)
"""Of the shipped file, which has the test accuracy after 200 epochs twice: as NAS-Bench-201 and NATS-Bench have it."""


def load(path: Path = FILE) -> Table:
    """Read and check the shipped table (about 0.4 s). Raises what `read_columns` raises."""
    return make_table(path, LAYOUT, SOURCE, DIGEST if path == FILE else "")


def make_table(path: Path, layout: Layout, source: str, digest: str = "") -> Table:
    """Read and check a file of these cells. Raises what `read_columns` raises."""
    counts = {"params_m": (0.01, 10.0), "flops_m": (0.1, 1000.0)}
    numbers = {column: counts.get(column.partition("_")[2], ACCURACY) for column in layout.columns}
    columns = read_columns(path, Schema(layout.table, "arch", every_cell(), numbers, "index", digest))
    return Table(
        name=layout.table,
        space="nasbench201",
        source=source,
        digest=columns.digest,
        architectures=columns.keys,
        genotype_key="cell",
        scale=SCALE,
        measures=tuple(layout.measures.values()),
        tokens={operation: f"|{operation}~" for operation in OPERATIONS},
        explain=explain,
        _accuracies={measure: columns.numbers[column] for column, measure in layout.measures.items()},
        _params={dataset: _millions(columns, f"{dataset}_params_m") for dataset in DATASETS},
        _flops={dataset: _millions(columns, f"{dataset}_flops_m") for dataset in DATASETS},
    )


def _millions(columns: Columns, name: str) -> Counts:
    counts = np.rint(columns.numbers[name] * 1e6).astype(np.int64)
    counts.flags.writeable = False
    return counts
