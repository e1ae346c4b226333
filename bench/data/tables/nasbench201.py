"""NAS-Bench-201 (Dong and Yang, ICLR 2020, arXiv 2001.00326): all 15,625 cells, trained on three data sets."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np

from bench.data.tables.read import ACCURACY, Columns, Schema, read_columns
from bench.data.tables.table import Counts, Measure, Table

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


def measures(version: str, splits: tuple[tuple[str, int], ...]) -> list[tuple[str, Measure]]:
    """The measures of all data sets with the name of their column, e.g. "cifar10_val12"."""
    found = []
    for dataset in DATASETS:
        for short, epochs in splits:
            split = "validation" if short == "val" else "test"
            trained_on, scored_on = _TRAINED[dataset, split]
            suffix = f"_{_COLUMN_OF_VERSION[version]}" if (short, epochs) == ("test", 200) else ""
            measure = Measure(dataset, split, epochs, version, trained_on, scored_on)  # type: ignore[arg-type]
            found.append((f"{dataset}_{short}{epochs}{suffix}", measure))
    return found


_COLUMN_OF_VERSION = {"nasbench201": "nb201", "nats": "nats"}
MEASURES = dict(
    measures("nasbench201", (("val", 12), ("val", 200), ("test", 12), ("test", 200)))
    + measures("nats", (("test", 200),))
)
"""By column. The test accuracy after 200 epochs has two versions: as NAS-Bench-201 and as NATS-Bench publish it."""


def schema(path: Path) -> Schema:
    """Of the shipped file, which has one digest, or of a file of the user's own in the same form."""
    numbers = dict.fromkeys(MEASURES, ACCURACY)
    for dataset in DATASETS:
        numbers |= {f"{dataset}_params_m": (0.01, 10.0), f"{dataset}_flops_m": (0.1, 1000.0)}
    return Schema("nasbench201", "arch", every_cell(), numbers, "index", DIGEST if path == FILE else "")


def load(path: Path = FILE) -> Table:
    """Read and check the table (about 0.4 s). Raises what `read_columns` raises."""
    columns = read_columns(path, schema(path))
    return Table(
        name="nasbench201",
        space="nasbench201",
        source=SOURCE,
        digest=columns.digest,
        architectures=columns.keys,
        genotype_key="cell",
        scale=SCALE,
        measures=tuple(MEASURES.values()),
        explain=explain,
        _accuracies={measure: columns.numbers[column] for column, measure in MEASURES.items()},
        _params={dataset: _millions(columns, f"{dataset}_params_m") for dataset in DATASETS},
        _flops={dataset: _millions(columns, f"{dataset}_flops_m") for dataset in DATASETS},
    )


def _millions(columns: Columns, name: str) -> Counts:
    counts = np.rint(columns.numbers[name] * 1e6).astype(np.int64)
    counts.flags.writeable = False
    return counts
