"""Committed tables follow from the records that are committed beside them, to the byte."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench.records.packing import pack
from reports.build import build
from reports.regenerate import FORMATS, RECORDS, committed, regenerate
from tests.reports.synthetic import experiment

SYNTHETIC = Path("synthetic")
MOST_BYTES = 1_000_000
"""Of committed records."""


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of results: tables of whole records, made where they lay, beside records packed without weights."""
    root = tmp_path_factory.mktemp("results")
    folder, result = experiment(root / "runs", searches=2), root / "invented"
    for run in folder.iterdir():
        (run / "weights.safetensors").write_bytes(bytes(1000))
        (run / "checkpoints").mkdir()
    build([folder], result, FORMATS)
    pack(root / "runs", [folder], result / RECORDS, 15_000_000, records_only=True)
    shutil.rmtree(root / "runs")
    return result


@pytest.mark.parametrize("result", [SYNTHETIC, *committed()], ids=lambda result: result.name)
def test_tables_are_made_again_to_the_byte(result: Path, synthetic: Path, tmp_path: Path) -> None:
    result = synthetic if result == SYNTHETIC else result
    out = tmp_path / "out"
    made = {path.relative_to(out).as_posix(): path.read_bytes() for path in regenerate(result, out)}
    there = [result / "runs.csv", *result.glob("tables/*")]
    assert made == {path.relative_to(result).as_posix(): path.read_bytes() for path in there}
    assert {Path(name).suffix for name in made} == {".csv", ".md"}
    assert sum(path.stat().st_size for path in (result / RECORDS).iterdir()) < MOST_BYTES


def test_only_folders_with_records_are_made_again(synthetic: Path) -> None:
    (synthetic.parent / "timed").mkdir()
    assert list(committed(synthetic.parent)) == [synthetic]
