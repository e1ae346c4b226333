"""Experiment files at random: accepted exactly when every value is one that can be meant, and then run with it.

The oracle is the table of rules below, written down beside the product's own: what each key of a file may be.
"""

from __future__ import annotations

import copy
import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bench.config import ConfigError
from bench.plan.experiment import load_experiment
from bench.plan.runs import plan
from methods.architecture import ArchitectureError
from methods.base import MethodError
from tests.bench.conftest import TINY
from tests.fuzz.documents import HOSTILE, Place, put
from tests.fuzz.limits import FEW, JUNK, MANY, at_once, is_one_error

PROFILE: Place = ("profiles", "tiny")


@dataclass(frozen=True)
class Rule:
    """What a value may be: `good` decides, `draw` gives values of which most are, `means` says what it is taken for."""

    good: Callable[[Any], bool]
    draw: st.SearchStrategy[Any]
    means: Callable[[Any], Any] = copy.copy


def whole(least: int, most: int, none: bool = False) -> Rule:
    return Rule(
        lambda v: (none and v is None) or (type(v) is int and least <= v <= most),
        st.one_of(st.integers(least, min(most, least + 5)), st.sampled_from([least - 1, least, most, most + 1])),
    )


def number(least: float, most: float, ends: str = "[]") -> Rule:
    def good(value: Any) -> bool:
        if type(value) not in (int, float) or abs(value) > sys.float_info.max or not math.isfinite(value):
            return False
        above = value >= least if ends[0] == "[" else value > least
        return above and (value <= most if ends[1] == "]" else value < most)

    return Rule(
        good, st.one_of(st.floats(least, min(most, least + 1)), st.sampled_from([least, most, -1e-9, 1])), float
    )


def one_of(*choices: Any) -> Rule:
    return Rule(lambda v: any(v == c and type(v) is type(c) for c in choices), st.sampled_from(choices))


def is_seeds(value: Any) -> bool:
    whole_ones = isinstance(value, list) and all(type(seed) is int and 0 <= seed < 2**63 for seed in value)
    return whole_ones and 0 < len(value) == len(set(value))


seeds = st.lists(st.integers(-1, 6), max_size=4)
SEEDS = Rule(is_seeds, seeds)
RULES: dict[Place, Rule] = {
    ("dataset",): one_of("digits", "cifar10", "cifar100", "imagenet"),
    ("description",): Rule(lambda v: isinstance(v, str), st.text("ab[/]", max_size=5)),
    ("rows", "DARTS_V2", "published"): one_of("DARTS_V1", "DARTS_V2", "PC_DARTS_cifar"),
    (*PROFILE, "search_seeds"): SEEDS,
    (*PROFILE, "retrain_seeds"): SEEDS,
    (*PROFILE, "given_seeds"): Rule(lambda v: v is None or is_seeds(v), seeds),
    (*PROFILE, "threads"): whole(1, 1024),
    (*PROFILE, "evaluate_every"): whole(1, 100_000),
    (*PROFILE, "precision"): one_of("fp32", "bf16"),
    (*PROFILE, "deterministic"): one_of(True, False),
    (*PROFILE, "data", "train_images"): whole(2, 10**9, none=True),
    (*PROFILE, "data", "test_images"): whole(1, 10**9, none=True),
    (*PROFILE, "network", "channels"): whole(1, 4096),
    (*PROFILE, "network", "cells"): whole(1, 200),
    (*PROFILE, "network", "stem"): one_of("cifar", "imagenet"),
    (*PROFILE, "recipe_changes", "epochs"): whole(1, 100_000),
    (*PROFILE, "recipe_changes", "batch_size"): whole(1, 1_000_000),
    (*PROFILE, "recipe_changes", "lr"): number(0, math.inf, "()"),
    (*PROFILE, "recipe_changes", "momentum"): number(0, 1, "[)"),
    (*PROFILE, "recipe_changes", "weight_decay"): number(0, math.inf),
    (*PROFILE, "recipe_changes", "drop_path"): number(0, 1, "[)"),
    (*PROFILE, "recipe_changes", "grad_clip"): number(0, math.inf),
    (*PROFILE, "recipe_changes", "warmup_epochs"): whole(0, 100_000),
    (*PROFILE, "recipe_changes", "label_smoothing"): number(0, 1, "[)"),
    (*PROFILE, "recipe_changes", "ema_decay"): number(0, 1, "[)"),
    (*PROFILE, "recipe_changes", "schedule"): one_of("cosine", "exponential", "linear", "constant"),
    (*PROFILE, "options", "darts", "epochs"): whole(1, 100_000),
    (*PROFILE, "options", "darts", "batch_size"): whole(2, 1_000_000),
    (*PROFILE, "options", "darts", "channels"): whole(2, 4096),
    (*PROFILE, "options", "darts", "cells"): whole(3, 200),
    (*PROFILE, "options", "darts", "lr"): number(0, math.inf),
    (*PROFILE, "options", "darts", "momentum"): number(0, 1, "[)"),
    (*PROFILE, "options", "darts", "unrolled"): one_of(True, False),
}
PLACES = sorted({place[:n] for place in RULES for n in range(1, len(place))} - {("rows",), ("profiles",)})
"""Mappings whose keys are known: another one is a mistake."""


@st.composite
def documents(draw: st.DrawFn) -> tuple[dict[str, Any], dict[Place, Any], bool]:
    """A file's content, what was put where, and whether all of it can be meant."""
    document = yaml.safe_load(TINY.read_text())
    chosen = draw(st.lists(st.sampled_from(sorted(RULES)), min_size=1, max_size=6, unique=True))
    values: dict[Place, Any] = {}
    for place in chosen:
        values[place] = draw(JUNK if draw(st.integers(0, 9)) == 0 else RULES[place].draw)
        put(document, place, values[place])
    good = all(RULES[place].good(value) for place, value in values.items())
    if draw(st.integers(0, 9)) == 0:
        put(document, (*draw(st.sampled_from(PLACES)), draw(st.sampled_from(["epoch", "x", "lr_", "1"]))), 1)
        good = False
    return document, values, good


def read(file: Path) -> tuple[str, list[Any]]:
    """What is said of a file, and its runs if nothing is wrong with it."""
    with at_once():
        try:
            experiment = load_experiment(str(file))
            return "", [info for profile in experiment.profiles for info in plan(experiment, profile)]
        except (ConfigError, MethodError, ArchitectureError) as error:
            return str(error), []


def check_document(file: Path, drawn: tuple[dict[str, Any], dict[Place, Any], bool]) -> None:
    document, values, good = drawn
    file.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
    said, runs = read(file)
    assert bool(runs) == good, (values, said)
    if not good:
        assert is_one_error(said)
        return
    trainings = [info.config for info in runs if info.phase == "train"]
    searches = [info.config for info in runs if info.method == "darts" and info.phase == "search"]
    for (*inner, last), given_value in values.items():
        value = RULES[(*inner, last)].means(given_value)
        if inner[2:] == ["recipe_changes"]:
            assert all(config["recipe"][last] == value for config in trainings)
        elif inner[2:] == ["options", "darts"]:
            assert all(config["options"][last] == value for config in searches)
        elif inner[2:] in (["data"], ["network"]):
            assert all(config[inner[2]][last] == value for config in trainings)
        elif last in ("threads", "precision", "deterministic"):
            assert all(info.config[last] == value for info in runs)
        elif last == "search_seeds":
            assert {config["search_seed"] for config in searches} == set(value)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "fuzzed.yaml"


@given(documents())
@FEW
def test_a_file_is_accepted_if_it_is_good(file: Path, drawn: Any) -> None:
    check_document(file, drawn)


@pytest.mark.long
@given(documents())
@MANY
def test_many_files_are_accepted_if_they_are_good(file: Path, drawn: Any) -> None:
    check_document(file, drawn)


@st.composite
def texts(draw: st.DrawFn) -> str:
    """A good file with some places of its text replaced, lines doubled, lost or moved."""
    lines = TINY.read_text().splitlines(keepends=True)
    for _ in range(draw(st.integers(0, 2))):
        at, to = draw(st.integers(0, len(lines) - 1)), draw(st.integers(0, len(lines) - 1))
        lines[to:to] = lines[at : at + 1] if draw(st.booleans()) else [lines.pop(at)]
    text = "".join(lines)
    for _ in range(draw(st.integers(0, 3))):
        at, length = draw(st.integers(0, len(text))), draw(st.integers(0, 8))
        text = text[:at] + draw(st.one_of(st.sampled_from(HOSTILE), st.text(max_size=3))) + text[at + length :]
    return text


def repeats_a_key(node: yaml.Node | None) -> bool:
    """Whether a mapping somewhere names a key twice, by the tree that the parser composes."""
    if isinstance(node, yaml.SequenceNode):
        return any(map(repeats_a_key, node.value))
    if not isinstance(node, yaml.MappingNode):
        return False
    keys = [key.value for key, _ in node.value]
    return len(set(keys)) < len(keys) or any(repeats_a_key(value) for _, value in node.value)


def check_text(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except UnicodeEncodeError:  # halves of characters, which no file can hold
        return
    said, runs = read(file)
    if said:
        assert is_one_error(said), said
        return
    assert not repeats_a_key(yaml.compose(text, Loader=yaml.SafeLoader))
    document = yaml.safe_load(text)
    assert {label for info in runs for label in info.rows} == {str(label) for label in document["rows"]}
    assert {info.profile for info in runs} == {str(name) for name in document["profiles"]}
    for info in runs:
        profile = document["profiles"][info.profile] or {}
        if info.phase == "train" and info.inheritance == "scratch":
            for key, value in (profile.get("recipe_changes") or {}).items():
                rule = RULES.get((*PROFILE, "recipe_changes", key))
                assert info.config["recipe"][key] == (rule.means(value) if rule else value)


@given(texts())
@FEW
def test_a_broken_text_is_one_error(file: Path, text: str) -> None:
    check_text(file, text)


@pytest.mark.long
@given(texts())
@MANY
def test_many_broken_texts_are_one_error_each(file: Path, text: str) -> None:
    check_text(file, text)
