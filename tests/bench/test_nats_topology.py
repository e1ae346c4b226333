"""A user's own NATS-Bench file. The real one has gigabytes: a stand-in of its format is read through its package."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bench.data.tables import TableError, get_table, nats_topology, table_names, tables_of

CELLS = (0, 6111)
THEIR_SETS = {"cifar10-valid": ("x-valid", "ori-test"), "cifar10": ("ori-test",)} | dict.fromkeys(
    ("cifar100", "ImageNet16-120"), ("x-valid", "x-test", "ori-test")
)


def accuracy(dataset: str, part: str, epochs: int, seed: int, cell: int) -> float:
    """Any number that differs wherever something is mixed up."""
    position = list(THEIR_SETS).index(dataset) * 10 + ("x-valid", "x-test", "ori-test").index(part) * 3
    return 20 + position + epochs / 100 + seed / 1000 + cell / 1e5


def their_results(cell: int, text: str, epochs: int) -> dict[str, Any]:
    """Of one cell with two trials, in the form in which the authors pickle them."""
    nats_bench = pytest.importorskip("nats_bench")
    results = nats_bench.ArchResults(cell, text)
    for dataset, parts in THEIR_SETS.items():
        for seed in (777, 888):
            made = nats_bench.ResultsCount(dataset, None, {}, {}, 0.129306, 15.64737, {}, seed, epochs, [0.01])
            for part in parts:
                values = {last: accuracy(dataset, part, epochs, seed, cell) for last in (epochs - 1,)}
                made.update_OLD_eval(part, values, dict.fromkeys(values, 0.5))
            results.update(dataset, seed, made)
    state: dict[str, Any] = results.state_dict()
    return state


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """NATS-tss-v1_0-3ffb9-simple, with two cells."""
    nats_bench = pytest.importorskip("nats_bench")
    made = tmp_path / nats_topology.NAMES[0]
    made.mkdir()
    texts = [get_table("nasbench201").architectures[cell] for cell in CELLS]
    nats_bench.pickle_save({"meta_archs": texts}, made / "meta.pickle")
    for number, text in enumerate(texts):
        state = {str(epochs): their_results(number, text, epochs) for epochs in (12, 200)}
        nats_bench.pickle_save(state, made / f"{number:06d}.pickle")
    return made


def test_their_format_is_read_into_our_columns(folder: Path) -> None:
    api = nats_topology.open_api(folder)
    header, *lines = nats_topology.lines(api, folder)
    assert not api.arch2infos_dict
    for number, (line, cell) in enumerate(zip(lines, CELLS, strict=True)):
        entries = dict(zip(header.split(","), line.split(","), strict=True))
        assert entries["arch"] == get_table("nasbench201").architectures[cell]
        expected = {
            "cifar10_val12": ("cifar10-valid", "x-valid", 12),
            "cifar10_test200": ("cifar10", "ori-test", 200),
            "cifar100_val200": ("cifar100", "x-valid", 200),
            "cifar100_test12": ("cifar100", "x-test", 12),
            "imagenet16_val200": ("ImageNet16-120", "x-valid", 200),
            "imagenet16_test200": ("ImageNet16-120", "x-test", 200),
        }
        for column, (dataset, part, epochs) in expected.items():
            mean = sum(accuracy(dataset, part, epochs, seed, number) for seed in (777, 888)) / 2
            assert float(entries[column]) == pytest.approx(mean, abs=1e-6), column
        assert (entries["cifar10_params_m"], entries["cifar10_flops_m"]) == ("0.129306", "15.647370")


def test_a_file_with_two_cells_is_no_table(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NATS_BENCH", str(folder))
    with pytest.raises(TableError, match="15623 of 15625 architectures are missing"):
        nats_topology.load()
    (folder / "000001.pickle.pbz2").unlink()
    with pytest.raises(TableError, match="cell 1 cannot be read"):
        list(nats_topology.lines(nats_topology.open_api(folder), folder))


class Published:
    """Stands in for the authors' interface: answers from our own table."""

    def __init__(self) -> None:
        self.table = get_table("nasbench201")
        self.arch2infos_dict: dict[int, Any] = {}
        self.asked = 0
        self.columns: dict[tuple[str, str], Any] = {}
        for ours, theirs in nats_topology._THEIRS.items():
            self.columns[theirs, "params"] = self.table.params(ours) / 1e6
            self.columns[theirs, "flops"] = self.table.flops(ours) / 1e6
            for epochs in (12, 200):
                searched = "cifar10-valid" if ours == "cifar10" else theirs
                final = "ori-test" if ours == "cifar10" else "x-test"
                self.columns[searched, f"x-valid {epochs}"] = self.table.validation(ours, epochs)
                self.columns[theirs, f"{final} {epochs}"] = self.table.final(ours, epochs)

    def __len__(self) -> int:
        return len(self.table)

    def arch(self, index: int) -> str:
        return self.table.architectures[index]

    def query_meta_info_by_index(self, index: int, hp: str) -> PublishedCell:
        self.asked += 1
        return PublishedCell(self.columns, index, hp)


@dataclass
class PublishedCell:
    columns: dict[tuple[str, str], Any]
    index: int
    epochs: str

    def get_metrics(self, dataset: str, part: str) -> dict[str, float]:
        return {"accuracy": self.columns[dataset, f"{part} {self.epochs}"][self.index]}

    def get_compute_costs(self, dataset: str) -> dict[str, float]:
        return {count: self.columns[dataset, count][self.index] for count in ("params", "flops")}


def test_the_table_is_made_once_and_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, api, ours = tmp_path / nats_topology.NAMES[1], Published(), get_table("nasbench201")
    file.write_bytes(b"gigabytes")
    monkeypatch.delenv("NATS_BENCH", raising=False)
    monkeypatch.setenv("DATA_ROOT", str(tmp_path))
    monkeypatch.setattr(nats_topology, "open_api", lambda path: api)
    table = nats_topology.load()
    assert (table.name, table.space, len(table)) == ("nats_topology", "nasbench201", 15_625)
    assert {measure.version for measure in table.measures} == {"nats"}
    for dataset in ours.datasets:
        for epochs in (12, 200):
            assert table.final(dataset, epochs) == pytest.approx(ours.final(dataset, epochs), abs=1e-6)
            assert table.validation(dataset, epochs) == pytest.approx(ours.validation(dataset, epochs), abs=1e-6)
        assert (table.params(dataset) == ours.params(dataset)).all()
    asked = api.asked
    assert nats_topology.load().digest == table.digest
    assert api.asked == asked  # read from the small file
    later = (tmp_path / (file.name + nats_topology.SLIM)).stat().st_mtime + 10
    os.utime(file, (later, later))
    with monkeypatch.context() as changed:
        changed.setattr(nats_topology, "open_api", lambda path: pytest.fail("read"))
        with pytest.raises(pytest.fail.Exception):
            nats_topology.load()  # the file is newer than what was kept of it


def no_package(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    monkeypatch.setitem(sys.modules, "nats_bench", None)
    (path / nats_topology.NAMES[1]).write_bytes(b"1")


def no_pickle(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    pytest.importorskip("nats_bench")
    (path / nats_topology.NAMES[1]).write_bytes(b"1")


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda monkeypatch, path: None, "there is none .looked for.*name it in NATS_BENCH"),
        (no_package, r"pip install 'dasbench\[nats\]'"),
        (no_pickle, "nats-bench cannot read it"),
    ],
)
def test_what_is_not_there(
    prepare: Callable[[pytest.MonkeyPatch, Path], None], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NATS_BENCH", raising=False)
    monkeypatch.delenv("TORCH_HOME", raising=False)
    monkeypatch.setenv("DATA_ROOT", str(tmp_path))
    prepare(monkeypatch, tmp_path)
    with pytest.raises(TableError, match=message):
        get_table("nats_topology")


def test_what_may_not_be_there_is_not_among_the_tables_that_ship() -> None:
    assert "nats_topology" not in {*table_names(), *tables_of("nasbench201")}
