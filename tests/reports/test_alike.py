"""What is said of rows whose searches found one and the same architecture."""

from __future__ import annotations

from typing import Any, cast

from bench.records.directory import Record
from reports.alike import alike_notes
from reports.rows import Row, Setting

SETTING = Setting("cifar10", "quick", "plain-cifar", "0" * 64)


def row(label: str, found: dict[int, str], searches: dict[int, str]) -> Row:
    """Architectures and signatures of searches by search seed."""

    class Run:
        def __init__(self, seed: int, digest: str) -> None:
            self.info = type("Info", (), {"search_seed": seed, "signature": f"{label}{seed}"})
            self.result = {"architecture": digest}

    trains: Any = [Run(seed, digest) for seed, digest in found.items()]
    origins = {seed: frozenset({f"{label}{seed}", signature}) for seed, signature in searches.items()}
    return Row(SETTING, label, label, "scratch", trains=cast(list[Record], trains), origins=origins)


def test_searches_that_found_the_same_are_named_with_their_seeds() -> None:
    rows = [
        row("darts", {0: "a" * 16, 1: "b" * 16}, {0: "s0", 1: "s1"}),
        row("gdas", {0: "c" * 16, 1: "a" * 16, 2: "a" * 16}, {0: "t0", 1: "t1", 2: "t2"}),
    ]
    (note,) = alike_notes(rows)
    assert "darts (search seed 0), gdas (search seed 1, 2)" in note
    assert "aaaaaaaa" in note


def test_rows_that_rest_on_one_search_say_nothing_new() -> None:
    """As a row and its fine-tuned sibling, or the same network trained by another recipe."""
    rows = [row(name, {0: "a" * 16}, {0: "s0"}) for name in ("l1-filters", "l1-filters (fine-tuned)")]
    assert alike_notes(rows) == []


def test_different_architectures_are_not_alike() -> None:
    assert alike_notes([row("darts", {0: "a" * 16}, {0: "s0"}), row("gdas", {0: "b" * 16}, {0: "t0"})]) == []
