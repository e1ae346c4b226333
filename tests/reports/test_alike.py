"""What is said of rows whose searches found one and the same architecture."""

from __future__ import annotations

from typing import Any, cast

from bench.records.directory import Record
from reports.alike import alike_notes
from reports.rows import Row, Setting

SETTING = Setting("cifar10", "quick", "plain-cifar", "0" * 64)


def row(label: str, found: dict[int, str], inheritance: str = "scratch") -> Row:
    """Architectures by search seed."""

    class Run:
        def __init__(self, seed: int, digest: str) -> None:
            self.info = type("Info", (), {"search_seed": seed, "signature": f"{label}{seed}"})
            self.result = {"architecture": digest}

    trains: Any = [Run(seed, digest) for seed, digest in found.items()]
    return Row(SETTING, label, label, inheritance, trains=cast(list[Record], trains))


def test_rows_that_found_the_same_are_named_with_their_seeds() -> None:
    (note,) = alike_notes(
        [row("darts", {0: "a" * 16, 1: "b" * 16}), row("gdas", {0: "c" * 16, 1: "a" * 16, 2: "a" * 16})]
    )
    assert "aaaaaaaa): darts (search seed 0), gdas (search seed 1, 2)" in note


def test_a_row_and_its_fine_tuned_sibling_are_one() -> None:
    assert alike_notes([row("l1", {0: "a" * 16}), row("l1", {0: "a" * 16}, "finetune")]) == []


def test_different_architectures_are_not_alike() -> None:
    assert alike_notes([row("darts", {0: "a" * 16}), row("gdas", {0: "b" * 16})]) == []
