"""Experiment files, architectures and command lines at random: an answer or one error, at once, and nothing between.

The oracle of an experiment file is the text itself: what was put out of its domain must be refused, by name.
"""

from __future__ import annotations

import copy
import json
import random
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from bench.cli import main
from bench.config import ConfigError
from bench.plan.experiment import load_experiment
from bench.plan.runs import plan
from methods.architecture import Architecture, ArchitectureError
from methods.base import MethodError
from methods.genotypes import published
from methods.spaces import NetworkSettings, build
from tests.bench.conftest import TINY

SECONDS = 5.0
WRONG = [
    None,
    True,
    -1,
    -0.5,
    float("nan"),
    float("inf"),
    10**30,
    10**400,
    "",
    "x" * 300,
    [],
    {},
    [[]],
    "\x1b[31m",
    "../up",
]
"""Values that no number of an experiment may have."""


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of all values of a document, inner ones included."""
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += places(item, (*path, key))
    return found


def put(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    made = copy.deepcopy(document)
    inner = made
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return made


def look_up(document: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        document = document[key]
    return document


def check_experiment(folder: Path, seed: int) -> None:
    draw = random.Random(seed)
    document = yaml.safe_load(TINY.read_text())
    path = draw.choice(places(document))
    before, value = look_up(document, path), draw.choice(WRONG)
    file = folder / "fuzzed.yaml"
    file.write_text(yaml.safe_dump(put(document, path, value)))
    said = ""
    started = time.monotonic()
    try:
        experiment = load_experiment(str(file))
        for profile in experiment.profiles:
            plan(experiment, profile)
    except (ConfigError, MethodError, ArchitectureError) as error:
        said = str(error)
    assert time.monotonic() - started < SECONDS, (path, value)
    assert len(said) < 3000
    a_number = isinstance(before, int | float) and not isinstance(before, bool)
    if a_number and value is not None:
        assert said, f"{'.'.join(map(str, path))} = {value!r} was accepted"


def check_architecture(folder: Path, seed: int) -> None:
    draw = random.Random(seed)
    document = published("DARTS_V2").to_json()
    document.pop("digest")
    document["scale"], document["widths"] = {"channels": 4, "cells": 3}, {"cells.0.op0.mid": 3}
    options = [path for path in places(document) if path[0] != "provenance"]
    path, value = draw.choice(options), draw.choice(WRONG)
    before = look_up(document, path)
    file = folder / "architecture.json"
    try:
        file.write_text(json.dumps(put(document, path, value)))
    except ValueError:  # a number of more digits than Python writes
        return
    said = ""
    started = time.monotonic()
    try:
        with torch.device("meta"):
            build(Architecture.load(file), 10, NetworkSettings(4, 3))
    except ArchitectureError as error:
        said = str(error)
    assert time.monotonic() - started < SECONDS, (path, value)
    assert len(said) < 3000
    if isinstance(before, int | str | list) and value not in ([], {}):
        assert said, f"{path} = {value!r} was accepted"


WORDS = [
    "show",
    "run",
    "report",
    "status",
    "launch",
    "list",
    "DARTS_V2",
    "demo",
    "--profile",
    "quick",
    "--jobs",
    "-1",
    "0",
    "--dry",
    "--search-seeds",
    "3-1",
    "0-99999999",
    "",
    "x",
    "--cells",
    "1e9",
    "--channels",
    "--out",
    "--runs-dir=~/x",
    "\x1b[2J",
    "a\0b",
    "--methods",
    "--classes",
    "-",
    "--",
    "../..",
    "9" * 5000,
    "--image-size",
    "100",
    "--stem",
    "imagenet",
    "--debug=1",
    "cifar10",
]
SLOW = {"run", "launch", "list", "status", "report", "-"}
"""Commands that do their work when a line happens to be right: they get a word that no command knows."""


def check_command_line(folder: Path, seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    draw = random.Random(seed)
    words = draw.choices(WORDS, k=draw.randint(1, 6))
    if SLOW & set(words):
        words.append("--no-such-option")
    if "--out" in words:
        words.remove("--out")
    started = time.monotonic()
    try:
        code = main(words)
    except SystemExit as error:
        code = int(error.code or 0)
    said = capsys.readouterr()
    assert code in (0, 2), (words, said.err)
    assert "Traceback" not in said.err
    assert "\x1b" not in said.err
    assert bool(said.err) == (code == 2)
    assert time.monotonic() - started < 6 * SECONDS, words  # counting a network takes what it takes


@pytest.mark.parametrize("count", [40, pytest.param(600, marks=pytest.mark.long)])
def test_experiment_files(tmp_path: Path, count: int) -> None:
    for seed in range(count):
        check_experiment(tmp_path, seed)


@pytest.mark.parametrize("count", [40, pytest.param(600, marks=pytest.mark.long)])
def test_architectures(tmp_path: Path, count: int) -> None:
    for seed in range(count):
        check_architecture(tmp_path, seed)


@pytest.mark.parametrize("count", [20, pytest.param(500, marks=pytest.mark.long)])
def test_command_lines(tmp_path: Path, count: int, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RUNS_DIR", str(tmp_path / "runs"))
    for seed in range(count):
        check_command_line(tmp_path, seed, capsys)
    assert not list(tmp_path.iterdir())
