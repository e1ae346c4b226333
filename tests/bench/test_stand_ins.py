"""What a run is looked at and timed with before its architecture is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.plan.experiment import load_experiment
from bench.plan.runs import plan
from bench.plan.stand_ins import stand_in
from methods.architecture import Architecture
from methods.genotypes import published
from tests.bench.test_experiment import changed

ROWS = {
    "random": {"method": "random_sampling"},
    "cells-201": {"method": "random_sampling", "options": {"space": "nasbench201"}},
    "DARTS_V2": {"published": "DARTS_V2"},
    "resnet": {"published": "ResNet56"},
    "thin": {"method": "l1_filter_pruning", "of": "resnet"},
    "mine": {"architecture": "mine"},
}
MINE = Architecture("vgg", {"depth": 11})


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ("random", ("darts_cell", published("DARTS_V2").digest)),
        ("cells-201", ("nasbench201", None)),
        ("DARTS_V2", ("darts_cell", published("DARTS_V2").digest)),
        ("resnet", ("resnet", published("ResNet56").digest)),
        ("thin", ("resnet", published("ResNet56").digest)),
        ("mine", ("vgg", MINE.digest)),
    ],
)
def test_a_run_is_stood_in_for_by_what_it_rests_on(tmp_path: Path, row: str, name: tuple[str, str | None]) -> None:
    MINE.save(tmp_path / "mine")
    planned = {info.signature: info for info in plan(load_experiment(changed(tmp_path, rows=ROWS)), "tiny")}
    for info in planned.values():
        if info.label == row and info.phase in ("search", "train"):
            found = stand_in(info, planned)
            assert (found.space, found.digest) == (name[0], name[1] or found.digest)
    assert any(info.label == row for info in planned.values())
