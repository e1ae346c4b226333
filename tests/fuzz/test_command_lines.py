"""Command lines at random: done exactly when every word can be meant, else one error on stderr and exit code 2.

The oracle: for `show` and `run --dry-run`, what each option takes, written down once more, and what is printed then.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.cli import main
from bench.commands import run as command
from tests.bench.conftest import TINY
from tests.fuzz.limits import FEW, MANY, at_once, is_one_error

JUNK = [
    "", " ", "x", "-1", "1.5", "1e3", "nan", "None", "\x1b[2J", "a\0b", "../..", "9" * 5000, "[/red]", "é", "0x10",
    "1_0",
]  # fmt: skip


@dataclass(frozen=True)
class Option:
    """What an option takes: some words, and whether a word can be meant."""

    words: tuple[str, ...]
    good: Callable[[str], bool]


def whole(least: int, most: int, *words: str) -> Option:
    def good(word: str) -> bool:
        return re.fullmatch(r"[+-]?[0-9]{1,18}", word) is not None and least <= int(word) <= most

    return Option((*words, str(least - 1), str(most + 1)), good)


def one_of(*words: str) -> Option:
    return Option(words, lambda word: word in words)


def seeds_of(word: str) -> list[int] | None:
    """The seeds that a word names, None where it names none or one twice."""
    found: list[int] = []
    for part in re.split(r"[, ]+", word.strip(", ")) if word.strip(", ") else []:
        ends = part.split("-")
        if len(ends) > 2 or not all(re.fullmatch("[0-9]{1,18}", end) for end in ends):
            return None
        first, last = int(ends[0]), int(ends[-1])
        if last < first or last - first >= 1000:
            return None
        found += range(first, last + 1)
    return found if found and len(set(found)) == len(found) else None


SEEDS = Option(
    ("0", "0-3", "3-1", "0,2", "0,0", "1 2", "0-99999999", "0-3,2", "1-", "-1", "5-5", ","),
    lambda word: seeds_of(word) is not None,
)
SHOW = {
    "": one_of("DARTS_V2", "PC_DARTS_cifar"),
    "--channels": whole(1, 4096, "4", "6"),
    "--cells": whole(1, 200, "3", "5"),
    "--stem": one_of("cifar", "imagenet"),
    "--classes": whole(1, 100_000, "10", "7"),
}
RUN = {
    "": one_of(str(TINY)),
    "--profile": one_of("tiny"),
    "--search-seeds": SEEDS,
    "--retrain-seeds": SEEDS,
    "--jobs": whole(1, 4096, "2"),
    "--device": one_of("cpu", "auto"),
    "--memory": one_of("full", "low"),
    "--methods": one_of("darts", "random", "DARTS_V2"),
    "--experiment": Option((), lambda word: False),
}
HEAVY = {"--channels": "4096", "--cells": "200"}
"""Always given, and never so much: a network of the default scale takes seconds to count."""


@st.composite
def lines(draw: st.DrawFn, command: str, options: dict[str, Option]) -> tuple[list[str], dict[str, str], bool]:
    """Words, what they give each option, and whether all can be meant."""
    names = ["", *draw(st.lists(st.sampled_from(sorted(set(options) - {""})), max_size=4, unique=True))]
    names += [name for name in HEAVY if name in options and name not in names]
    given = {}
    for name in names:
        junk = draw(st.integers(0, 9)) == 0 or not options[name].words
        given[name] = draw(st.sampled_from(JUNK if junk else options[name].words))
        if HEAVY.get(name) == given[name]:
            given[name] = "2"
    words = [command, given[""]]
    for name in names[1:]:
        joined = draw(st.booleans()) or given[name].startswith("-")
        words += [f"{name}={given[name]}"] if joined else [name, given[name]]
    good = all(options[name].good(word) for name, word in given.items()) and "\0" not in given[""]
    return words, given, good


def tell(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code and what was printed; one error where it is not zero."""
    capsys.readouterr()
    with at_once():
        try:
            code = main(words)
        except SystemExit as error:
            code = int(error.code or 0)
    said = capsys.readouterr()
    assert code in (0, 2), (words, said.err)
    assert (code == 2) == bool(said.err), (words, said.err)
    assert code == 0 or is_one_error(said.err), said.err
    assert "\x1b" not in said.out + said.err
    return code, said.out


@pytest.fixture(scope="module", autouse=True)
def _imported() -> None:
    """What the first network brings in takes seconds."""
    assert main(["show", "DARTS_V2", "--cells", "3", "--channels", "2"]) == 0


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RUNS_DIR", str(tmp_path / "runs"))
    monkeypatch.setattr(command, "print_estimate", lambda *arguments, **more: None)
    yield lambda words: tell(words, capsys)
    assert list(tmp_path.iterdir()) == []


def check_show(ask: Any, line: tuple[list[str], dict[str, str], bool]) -> None:
    words, given, good = line
    code, said = ask(words)
    assert (code == 0) == good, words
    if good:
        channels, cells = int(given["--channels"]), int(given["--cells"])
        assert f"{{'channels': {channels}, 'cells': {cells}}}" in said


def check_run(ask: Any, line: tuple[list[str], dict[str, str], bool]) -> None:
    words, given, good = line
    code, said = ask([*words, "--dry-run"])
    good = good and ("--memory" not in given or given.get("--methods", "darts") == "darts")  # no other row has it
    assert (code == 0) == good, words
    if good:
        rows = {"darts", "random", "DARTS_V2"} & {given.get("--methods", "darts")} or {"darts"}
        searches = len(seeds_of(given.get("--search-seeds", "0,1")) or [])
        retrains = len(seeds_of(given.get("--retrain-seeds", "0")) or [])
        for row in rows:
            (line_of_row,) = [text.split() for text in said.splitlines() if text.startswith(f"{row} ")]
            numbers = [int(number) for number in line_of_row[2:]]
            assert numbers[-1] == (retrains if row == "DARTS_V2" else searches + searches * retrains)


@given(lines("show", SHOW))
@settings(FEW, max_examples=12)
def test_show(ask: Any, line: Any) -> None:
    check_show(ask, line)


@pytest.mark.long
@given(lines("show", SHOW))
@MANY
def test_show_many_times(ask: Any, line: Any) -> None:
    check_show(ask, line)


@given(lines("run", RUN))
@settings(FEW, max_examples=12)
def test_run(ask: Any, line: Any) -> None:
    check_run(ask, line)


@pytest.mark.long
@given(lines("run", RUN))
@MANY
def test_run_many_times(ask: Any, line: Any) -> None:
    check_run(ask, line)


WORDS = [
    "show", "run", "report", "status", "launch", "sync", "cancel", "export", "import", "DARTS_V2", "demo", "--profile",
    "quick", "--jobs", "0", "--dry-run", "--search-seeds", "3-1", "--cells", "1e9", "--channels", "--runs-dir=~/x",
    "--methods", "--classes", "--", "--image-size", "100", "--stem", "imagenet", "--debug", "cifar10", "--cluster",
    "local-test", "--follow", "--formats", "html", "--data-root", "--tracking-uri", "sqlite:////nowhere/x.db", "--help",
    *JUNK,
]  # fmt: skip
NOT_HERE = "--no-such-option"
"""Ends a line whose command would do its work, or wait for somebody."""


def check_words(ask: Any, words: list[str]) -> None:
    ask([*words, NOT_HERE])


@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=6))
@FEW
def test_any_words(ask: Any, words: list[str]) -> None:
    check_words(ask, words)


@pytest.mark.long
@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=6))
@MANY
def test_many_words(ask: Any, words: list[str]) -> None:
    check_words(ask, words)
