"""Any published architecture can be a row: one short training of each on the digits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from methods.genotypes import published, published_names
from tests.bench.test_phases import run_all


@pytest.mark.long
@pytest.mark.parametrize("name", published_names())
def test_it_is_trained_as_a_row(tmp_path: Path, name: str) -> None:
    done = run_all(tmp_path, {name: {"published": name}}, [name])
    (record,) = done.values()
    assert record.result is not None
    costs, metrics = record.result["costs"], record.result["metrics"]
    assert costs["params_training"] >= costs["params"] > 0
    assert 0 < metrics["test_error"] <= 100
    kept = json.loads((record.path / "architecture.json").read_text())
    assert kept["digest"] == published(name).digest
    print(f"{name}: test error {metrics['test_error']:.1f} %, {costs['params']:,} parameters")
