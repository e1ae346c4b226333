"""NAS-Bench-Macro (Su et al., CVPR 2021, arXiv 2103.11922): all 6,561 chains of 8 blocks, trained on CIFAR-10.

Only test accuracies were published, of three runs, and each is the best over the epochs of its run (the released
`train.py`). There is nothing that a search could choose by but a test run. So a search sees run 1, the answer is the
mean of runs 2 and 3, and whatever was found this way was selected on a test run.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np

from bench.data.tables.read import ACCURACY, Schema, read_columns
from bench.data.tables.table import Measure, Table, Values

FILE = Path(__file__).parent / "nasbench_macro.csv.gz"
DIGEST = "53240ac0efc59689a79407a3a6095f8f7274feea8bbabdc5f4e19c665e82b1cb"
BLOCKS = 8
CHOICES = {"identity": "0", "mbconv3_3x3": "1", "mbconv6_5x5": "2"}
"""The blocks and their digits: identity, MBConv 3x3 of expansion 3, MBConv 5x5 of expansion 6."""
EPOCHS = 50
"""The default of the released `train.py`, which `train_benchmark.py` does not change."""
SELECTION_NOTE = "selected on a test run"
RUN_1, RUNS_2_AND_3, ALL_RUNS = "run 1", "mean of runs 2 and 3", "mean of the three runs"
_NOTE = "the best test accuracy over the epochs of each run"


def _measure(split: str, version: str, note: str = _NOTE) -> Measure:
    images = ("all 50,000 training images", "the 10,000 test images")
    return Measure("cifar10", split, EPOCHS, version, *images, note)  # type: ignore[arg-type]


MEASURES = (
    _measure("validation", RUN_1),
    _measure("test", RUNS_2_AND_3),
    _measure("test", ALL_RUNS, f"{_NOTE}; contains the run that a search chooses by"),
)


def every_chain() -> frozenset[str]:
    """The texts of all 6,561 chains."""
    return frozenset(map("".join, product(CHOICES.values(), repeat=BLOCKS)))


def explain(text: str) -> str:
    """What is wrong with a text that is no chain, as the end of a message."""
    from methods.form import ArchitectureError
    from methods.spaces.chain.nasbench_macro import read_chain  # here, for the space loads torch and a table needs none

    try:
        read_chain(text)
    except ArchitectureError as error:
        return f": {error}"
    return ""


def load(path: Path = FILE) -> Table:
    """Read and check the table (about 0.1 s). Raises what `read_columns` raises."""
    runs = [f"test_acc_{run}" for run in (1, 2, 3)]
    numbers = dict.fromkeys([*runs, "mean_acc"], ACCURACY) | {"params": (1e5, 1e8), "flops": (1e6, 1e9)}
    digest = DIGEST if path == FILE else ""
    columns = read_columns(path, Schema("nasbench_macro", "arch", every_chain(), numbers, digest=digest))
    first, second, third = (columns.numbers[run] for run in runs)
    return Table(
        name="nasbench_macro",
        space="nasbench_macro",
        source="Su et al., NAS-Bench-Macro, CVPR 2021, arXiv 2103.11922; see README.md beside the file",
        digest=columns.digest,
        architectures=columns.keys,
        genotype_key="chain",
        scale={"channels": 32},
        measures=MEASURES,
        selection_note=SELECTION_NOTE,
        tokens=CHOICES,
        explain=explain,
        _accuracies=dict(zip(MEASURES, (first, _mean(second, third), _mean(first, second, third)), strict=True)),
        _params={"cifar10": columns.numbers["params"].astype(np.int64)},
        _flops={"cifar10": columns.numbers["flops"].astype(np.int64)},
    )


def _mean(*runs: Values) -> Values:
    values: Values = np.mean(runs, axis=0)
    values.flags.writeable = False
    return values
