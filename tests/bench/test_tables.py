"""Tables of trained networks: published optima, what is asked for by its budget, the seal, and every damage named."""

from __future__ import annotations

import gzip
import math
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench.data.seal import SealedTestSetError, sealed
from bench.data.tables import TableError, get_table, nasbench201, nasbench_macro, table_names, tables_of
from bench.data.tables.read import Schema, read_columns
from bench.data.tables.table import rank
from methods.architecture import Architecture
from methods.spaces.chain.nasbench_macro import BLOCKS
from methods.spaces.nasbench201.cell import EDGES, OPERATIONS, SCALE, read_cell, write_cell

ALL_SKIP = "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|skip_connect~2|"


def cell(text: str, **more: object) -> Architecture:
    return Architecture("nasbench201", {"cell": text}, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("version", ["", "nasbench201", "nats"])
@pytest.mark.parametrize(
    ("dataset", "index", "accuracy"), [("cifar10", 6111, 94.37), ("cifar100", 9930, 73.51), ("imagenet16", 857, 47.31)]
)
def test_the_published_optima(dataset: str, index: int, accuracy: float, version: str) -> None:
    table = get_table("nasbench201")
    assert table.best(dataset, 200, version) == index
    assert round(float(table.final(dataset, 200, version)[index]), 2) == accuracy
    assert table.rank(index, dataset, 200, version) == 1
    assert table.regret(index, dataset, 200, version) == 0


def test_darts_collapsed_answer_is_the_published_one() -> None:
    """All skip connections: 54.30 on the test images of CIFAR-10, 39.77 on its validation images."""
    table = get_table("nasbench201")
    index = table.index(cell(ALL_SKIP))
    assert index == table.index(ALL_SKIP)
    assert round(float(table.final("cifar10", 200)[index]), 2) == 54.30
    assert round(float(table.validation("cifar10", 200)[index]), 2) == 39.77
    assert table.final("cifar10", 12)[index] < table.final("cifar10", 200)[index]
    assert table.rank(index, "cifar10", 200) > 14_000


def test_every_line_is_the_cell_of_its_index() -> None:
    table = get_table("nasbench201")
    assert len(table) == 15_625
    assert [table.index(text) for text in table.architectures] == list(range(len(table)))
    for text in table.architectures[::97]:
        assert write_cell(read_cell(text)) == text
    assert nasbench201.OPERATIONS == OPERATIONS
    assert tuple(source for source, _ in EDGES) == nasbench201.INPUTS
    assert nasbench201.SCALE == SCALE


def test_ranks_are_shared_by_equals_and_given_for_many_at_once() -> None:
    values = np.array([3.0, 5.0, 5.0, 1.0])
    assert [rank(values, index) for index in range(4)] == [3, 1, 1, 4]
    assert rank(values, np.array([[0, 1], [3, 2]])).tolist() == [[3, 1], [4, 1]]  # type: ignore[union-attr]
    table = get_table("nasbench201")
    final = table.final("cifar100", 200)
    some = np.array([0, 5, 6111, 9930])
    assert table.rank(some, "cifar100", 200).tolist() == [1 + int((final > final[i]).sum()) for i in some]  # type: ignore[union-attr]
    assert table.regret(some, "cifar100", 200).tolist() == [final.max() - final[i] for i in some]  # type: ignore[union-attr]


def test_counts_are_whole_numbers() -> None:
    table = get_table("nasbench201")
    assert table.params("cifar10")[0] == 129_306
    assert table.flops("cifar10")[0] == 15_647_370
    assert (table.params("cifar100") - table.params("cifar10") == 90 * 65).all()
    with pytest.raises(TableError, match="no counts for 'svhn'"):
        table.params("svhn")


def test_how_often_an_operation_occurs() -> None:
    table, chains = get_table("nasbench201"), get_table("nasbench_macro")
    skips = table.occurrences("skip_connect")
    assert np.bincount(skips).tolist() == [math.comb(6, k) * 4 ** (6 - k) for k in range(7)]
    assert skips[6111] == 1
    assert table.architectures[int(skips.argmax())] == ALL_SKIP
    assert sum(table.occurrences(operation) for operation in OPERATIONS).tolist() == [6] * len(table)  # type: ignore[attr-defined]
    assert tuple(chains.tokens) == BLOCKS
    assert chains.occurrences("identity")[chains.index("02012100")] == 4
    with pytest.raises(TableError, match=r"no operation 'max_pool_3x3'\. They have: none, skip_connect"):
        table.occurrences("max_pool_3x3")


def test_macro_selects_on_a_test_run_and_says_so() -> None:
    table = get_table("nasbench_macro")
    assert table.selection_note == "selected on a test run"
    assert not get_table("nasbench201").selection_note
    index = table.index(Architecture("nasbench_macro", {"chain": "00000000"}))
    assert table.validation("cifar10", 50)[index] == 45.32
    assert table.final("cifar10", 50)[index] == pytest.approx((45.33 + 45.44) / 2)
    assert table.final("cifar10", 50, "mean of the three runs").max() == pytest.approx(93.13, abs=0.005)
    assert table.params("cifar10")[index] == 387_882


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (
            lambda t: t.validation("cifar10", 50),
            "no validation values on cifar10 at 50.*validation.*at 12 epochs",
        ),
        (lambda t: t.final("cifar10", 12, "nats"), "at 12 epochs, version 'nats'.*at 200 epochs .version 'nats'"),
        (
            lambda t: t.validation("cifar10", 200, "nats"),
            "on cifar10 at 200 epochs, version 'nats'",
        ),
        (lambda t: t.final("ImageNet16-120", 200), "'ImageNet16-120'; did you mean 'imagenet16'.*cifar10, cifar100"),
        (lambda t: t.final("digits", 200), "nothing on data set 'digits'"),
        (lambda t: t.rank(0, "cifar10", 100), "no test values on cifar10 at 100 epochs"),
    ],
)
def test_a_budget_that_does_not_exist_names_those_that_do(ask: Callable[..., object], message: str) -> None:
    with pytest.raises(TableError, match=message):
        ask(get_table("nasbench201"))


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        (ALL_SKIP.replace("skip_connect~2", "skip_conect~2"), "unknown operation 'skip_conect'; did you mean"),
        ("|none~0|+|none~0|none~1|", "2 nodes"),
        (cell(ALL_SKIP, scale={"channels": 8}), r"has the scale \{'channels': 8\}"),
        (cell(ALL_SKIP, widths={"a": 3}), "widths of its own"),
        (Architecture("darts_cell", {}), "of the space 'nasbench201'.*is of 'darts_cell'"),
        (Architecture("nasbench201", {"cell": 7}), "no text under 'cell': 7"),
    ],
)
def test_an_architecture_that_is_not_in_the_table(architecture: Architecture | str, message: str) -> None:
    with pytest.raises(TableError, match=message):
        get_table("nasbench201").index(architecture)


def test_an_architecture_that_states_the_tables_size_is_in_it() -> None:
    assert get_table("nasbench201").index(cell(ALL_SKIP, scale=SCALE)) == get_table("nasbench201").index(ALL_SKIP)


@pytest.mark.parametrize(("text", "message"), [("0000000", "not 8 digits"), ("00000300", "'3' at place 6")])
def test_chains_that_are_none(text: str, message: str) -> None:
    with pytest.raises(TableError, match=message):
        get_table("nasbench_macro").index(text)


def test_a_table_is_read_in_a_moment_and_takes_little() -> None:
    """0.3 to 0.4 s and 2.5 MiB of values when this was written; the bounds leave room for a slow machine."""
    began = time.process_time()
    table = nasbench201.load()
    assert time.process_time() - began < 1.5
    arrays = [*table._accuracies.values(), *table._params.values(), *table._flops.values()]
    assert sum(array.nbytes for array in arrays) < 3 * 2**20
    assert get_table("nasbench201") is get_table("nasbench201")


def test_names() -> None:
    assert tables_of("nasbench201") == ("nasbench201",)
    assert tables_of("darts_cell") == ()
    assert {"nasbench201", "nasbench_macro"} <= set(table_names())
    with pytest.raises(TableError, match="'nasbench210'; did you mean 'nasbench201'"):
        get_table("nasbench210")


def test_test_values_are_sealed_and_validation_is_not() -> None:
    table = get_table("nasbench201")
    sealed_questions: list[Callable[[], object]] = [
        lambda: table.final("cifar10", 200),
        lambda: table.final("cifar10", 12),
        lambda: table.best("cifar10", 200),
        lambda: table.rank(3, "cifar10", 200),
        lambda: table.regret(3, "cifar10", 200),
        lambda: get_table("nasbench_macro").final("cifar10", 50),
    ]
    with sealed("the search of somebody"):
        for ask in sealed_questions:
            with pytest.raises(SealedTestSetError, match="during the search of somebody"):
                ask()
        assert len(table.validation("cifar10", 200)) == len(table.params("cifar10")) == 15_625
    for ask in sealed_questions:
        ask()


def test_the_seal_is_the_process_s_nests_and_opens_after_an_error() -> None:
    table = get_table("nasbench201")
    refused: list[str] = []

    def peek() -> None:
        try:
            table.final("cifar10", 200)
        except SealedTestSetError as error:
            refused.append(str(error))

    @sealed("one")
    def search() -> None:
        with sealed("two"):
            pass
        thread = threading.Thread(target=peek)
        thread.start()
        thread.join()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        search()
    assert len(refused) == 1
    assert "during one" in refused[0]
    table.final("cifar10", 200)


def test_tables_ship_with_their_sources_and_licences() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    folder, package = nasbench201.FILE.parent, nasbench201.FILE.parents[2]
    shipped = {
        path for pattern in project["tool"]["setuptools"]["package-data"]["bench"] for path in package.glob(pattern)
    }
    assert {nasbench201.FILE, nasbench_macro.FILE, folder / "README.md", folder / "LICENSES.md"} <= shipped
    sources = (folder / "README.md").read_text()
    assert all(f"## {path.name}" in sources for path in folder.glob("*.csv.gz"))


def test_values_cannot_be_written() -> None:
    table = get_table("nasbench201")
    for values in (table.validation("cifar10", 12), table.final("cifar10", 200), table.params("cifar10")):
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 100


SMALL = Schema("small", "arch", frozenset("abcd"), {"accuracy": (0, 100), "epochs": (1, 9)}, "index")
LINES = ["index,arch,accuracy,epochs", "0,a,50.5,1", "2,b,10,9", "1,c,0,1", "3,d,100,2"]


def written(path: Path, lines: list[str]) -> Path:
    path.write_bytes(gzip.compress("\n".join(lines).encode(), 1))
    return path


def changed(lines: list[str], line: int, column: int, text: str) -> list[str]:
    entries = lines[line].split(",")
    entries[column] = text
    return [*lines[:line], ",".join(entries), *lines[line + 1 :]]


def test_a_table_is_read_in_the_order_of_its_index(tmp_path: Path) -> None:
    columns = read_columns(written(tmp_path / "table.csv.gz", LINES), SMALL)
    assert columns.keys == ("a", "c", "b", "d")
    assert columns.numbers["accuracy"].tolist() == [50.5, 0, 10, 100]
    assert set(columns.numbers) == {"accuracy", "epochs"}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (LINES[:2] + LINES[3:], "1 of 4 architectures are missing, the first is 'b'"),
        ([*LINES[:3], LINES[1], *LINES[4:]], "line 4: architecture 'a' stands in line 2 already"),
        ([*LINES, LINES[2]], "line 6: architecture 'b' stands in line 3 already"),
        (changed(LINES, 0, 2, "acuracy"), "missing: 'accuracy'; unknown: 'acuracy'"),
        (changed(LINES, 0, 3, "accuracy"), "repeated: 'accuracy'; missing: 'epochs'"),
        (changed(LINES, 3, 2, "100.5"), r"line 4 \('c'\): accuracy is 100.5, and it must be 0 to 100"),
        (changed(LINES, 3, 2, "-1"), r"line 4 \('c'\): accuracy is -1"),
        (changed(LINES, 3, 2, "nan"), r"line 4 \('c'\): accuracy is nan"),
        (changed(LINES, 3, 2, "inf"), r"line 4 \('c'\): accuracy is inf"),
        (changed(LINES, 3, 2, "high"), "line 4: accuracy is 'high', no number"),
        (changed(LINES, 3, 3, ""), "line 4: epochs is '', no number"),
        (changed(LINES, 3, 1, "e"), "line 4: 'e' is no architecture of table 'small'"),
        (changed(LINES, 3, 0, "2"), "line 4: index is 2; each of 0 to 3 stands once"),
        (changed(LINES, 3, 0, "0.5"), "line 4: index is 0.5"),
        (changed(LINES, 3, 0, "4"), "line 4: index is 4"),
        ([*LINES[:3], LINES[3] + ",1", *LINES[4:]], "line 4: 5 columns instead of 4"),
        ([*LINES[:3], "", *LINES[3:]], "line 4: 1 columns instead of 4"),
        (LINES[:1], "4 of 4 architectures are missing"),
        ([], "missing: 'accuracy', 'arch', 'epochs', 'index'"),
    ],
)
def test_a_damaged_table_is_named_with_its_line(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(TableError, match=message):
        read_columns(written(tmp_path / "table.csv.gz", lines), SMALL)


def published_lines(source: Path) -> list[str]:
    return gzip.decompress(source.read_bytes()).decode().splitlines()


def test_published_tables_with_a_line_or_a_value_changed(tmp_path: Path) -> None:
    path = tmp_path / "table.csv.gz"
    lines = published_lines(nasbench201.FILE)
    with pytest.raises(TableError, match=r"1 of 15625 architectures are missing, the first is '\|"):
        nasbench201.load(written(path, lines[:100] + lines[101:]))
    lines = published_lines(nasbench_macro.FILE)
    with pytest.raises(TableError, match=r"line 4 \('00000002'\): test_acc_1 is 999"):
        nasbench_macro.load(written(path, changed(lines, 3, 1, "999")))
    with pytest.raises(TableError, match="1 of 6561 architectures are missing, the first is '00000001'"):
        nasbench_macro.load(written(path, lines[:2] + lines[3:]))


def test_a_shipped_file_with_other_values_is_not_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "table.csv.gz", changed(published_lines(nasbench201.FILE), 3, 5, "99.9"))
    assert nasbench201.load(path).validation("cifar10", 12)[2] == 99.9
    monkeypatch.setattr(nasbench201, "FILE", path)
    with pytest.raises(TableError, match="values were changed"):
        nasbench201.load(path)


def test_a_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="there is no such file"):
        nasbench201.load(tmp_path / "missing.csv.gz")
    path = tmp_path / "cut.csv.gz"
    for content in (nasbench201.FILE.read_bytes()[:5000], b"no gzip"):
        path.write_bytes(content)
        with pytest.raises(TableError, match="cannot be read"):
            nasbench201.load(path)


def test_reading_a_table_needs_no_torch_and_no_pandas() -> None:
    code = "import sys; from bench.data.tables import get_table; get_table('nasbench201'); get_table('nasbench_macro')"
    code += "; sys.exit(any(name in sys.modules for name in ('torch', 'pandas', 'scipy')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
