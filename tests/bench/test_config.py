"""Strict configuration: types, unknown keys, nearest names, places."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from bench.cli import main
from bench.config import ConfigError, parse
from bench.plan import catalogue
from bench.strict_yaml import read_yaml


@dataclass(frozen=True)
class Inner:
    depth: int = 1


@dataclass(frozen=True)
class Outer:
    name: str
    rate: float = 0.1
    kind: Literal["soft", "hard"] = "soft"
    seeds: tuple[int, ...] = (0,)
    inner: Inner = Inner()
    table: dict[str, Inner] = field(default_factory=dict)
    size: int | None = None

    def __post_init__(self) -> None:
        if self.rate < 0:
            raise ValueError("rate must not be negative")


def test_values_become_dataclasses() -> None:
    value = {"name": "a", "rate": 1, "seeds": [1, 2], "inner": {"depth": 3}, "table": {"x": {"depth": 4}}, "size": None}
    expected = Outer("a", 1.0, "soft", (1, 2), Inner(3), {"x": Inner(4)}, None)
    assert parse(Outer, value, "outer") == expected
    assert isinstance(parse(Outer, value, "outer").rate, float)
    assert parse(Outer, {"name": "a", "rate": "1e-3"}, "outer").rate == 1e-3


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"name": "a", "raet": 1}, ["outer", "'raet'", "did you mean 'rate'", "seeds"]),
        ({}, ["'name' is missing"]),
        ({"name": 3}, ["outer.name", "expected str", "3"]),
        ({"name": "a", "kind": "sotf"}, ["outer.kind", "did you mean 'soft'"]),
        ({"name": "a", "inner": {"dpth": 1}}, ["outer.inner", "did you mean 'depth'"]),
        ({"name": "a", "table": {"x": {"depth": "deep"}}}, ["outer.table.x.depth", "expected int"]),
        ({"name": "a", "seeds": 3}, ["outer.seeds", "expected a list"]),
        ({"name": "a", "rate": True}, ["outer.rate", "expected float"]),
        ({"name": "a", "rate": -1}, ["outer", "must not be negative"]),
        ("text", ["outer", "expected a mapping"]),
    ],
)
def test_mistakes_are_named(value: object, words: list[str]) -> None:
    with pytest.raises(ConfigError) as error:
        parse(Outer, value, "outer")
    for word in words:
        assert word in str(error.value)


def test_yaml_as_people_mean_it(tmp_path: Path) -> None:
    path = tmp_path / "good.yaml"
    path.write_text("match: {on: params, yes: no}\nrate: 1e-3\nn: 3\nx: 0.5\nflag: true\nminus: -2\n")
    expected = {"match": {"on": "params", "yes": "no"}, "rate": 1e-3, "n": 3, "x": 0.5, "flag": True, "minus": -2}
    found = read_yaml(path)
    assert found == expected
    assert isinstance(found["n"], int)
    assert isinstance(found["minus"], int)


def test_broken_yaml_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("rows: [1, 2\n")
    with pytest.raises(ConfigError, match=r"bad\.yaml, line 2, column 1: not valid YAML: .* begins in line 1: "):
        read_yaml(path)
    with pytest.raises(ConfigError, match="no configuration file"):
        read_yaml(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", ["bad.yaml, line 3, column 1: the key 'a' is given twice"]),
        ("a: {x: 1, x: 1}\n", ["line 1", "the key 'x' is given twice"]),
        ("a: [{1: x, '1': y}]\n", ["the key '1' is given twice"]),
        ("when: 2026-02-31\n", ["line 1", "2026-02-31 reads as a date; put it in quotes"]),
        ("when: 2026-02-01 10:00:00\n", ["reads as a date"]),
        ("null: x\n", ["a key that is no text"]),
        ("? [a, b]\n: x\n", ["a key that is no text"]),
        ("a: !!python/name:os.system x\n", ["a tag", "is not read here"]),
        ("a: !!int abc\n", ["a tag"]),
        ("a: &a [*a]\n", ["an alias that contains itself"]),
        ("a: *nothing\n", ["undefined alias"]),
        ("a: " + "[" * 41 + "]" * 41 + "\n", ["more than 40 levels"]),
        ("a: " + "[" * 100_000 + "\n", ["more than 40 levels"]),
        (
            "a: &a {x: 1}\n" + "".join(f"k{n}: &b{n} [*{'a' if n == 0 else f'b{n - 1}'}]\n" for n in range(60)),
            ["levels"],
        ),
        ("a: " + "7" * 5000 + "\n", ["a whole number of 5000 digits"]),
        ("#" * 300_000, ["has 300,000 bytes"]),
        ("--- a\n--- b\n", ["expected a single document"]),
        ("a: \x00\n", ["not valid YAML"]),
    ],
)
def test_yaml_that_means_two_things_or_too_much_is_refused(tmp_path: Path, text: str, words: list[str]) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        read_yaml(path)
    for word in ["bad.yaml", *words]:
        assert word in str(error.value)


def test_aliases_that_blow_up_are_refused_at_once(tmp_path: Path) -> None:
    lines = ["k0: &k0 [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"k{n}: &k{n} [{', '.join([f'*k{n - 1}'] * 9)}]" for n in range(1, 12)]
    path = tmp_path / "bomb.yaml"
    path.write_text("\n".join(lines))
    started = time.monotonic()
    with pytest.raises(ConfigError, match="more than 20,000 values with every alias written out"):
        read_yaml(path)
    with pytest.raises(ConfigError, match="more than 20,000 values"):  # nor where names alone are wanted of it
        catalogue.experiment(str(path))
    assert time.monotonic() - started < 1


@pytest.mark.parametrize("command", [["run"], ["launch"], ["report"], ["status"], ["sync"]])
def test_no_command_follows_a_file_wherever_it_leads(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    runs = tmp_path / "runs" / "demo-quick" / "train-a"
    runs.mkdir(parents=True)
    (runs / "run.json").write_text("{}")
    (tmp_path / "deep.yaml").write_text("description: " + "[" * 3000 + "]" * 3000 + "\nname: demo\n")
    assert main([*command, "deep.yaml", "--runs-dir", "runs"]) == 2
    assert "deep.yaml, line 1, column 53: more than 40 levels in each other" in capsys.readouterr().err


def test_anchors_and_merges_are_read(tmp_path: Path) -> None:
    path = tmp_path / "good.yaml"
    path.write_text("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: *a\nd: 1:30:00\ne: 010\nf: 1_000\n")
    assert read_yaml(path) == {
        "a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}, "c": {"x": 1, "y": 2}, "d": "1:30:00", "e": 10, "f": 1000
    }  # fmt: skip


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no configuration file"):
        read_yaml(tmp_path)
    with pytest.raises(ConfigError, match="cannot read"):
        read_yaml(tmp_path / ("x" * 300))
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9\n")
    with pytest.raises(ConfigError, match="not valid YAML"):
        read_yaml(tmp_path / "latin.yaml")


def test_a_key_that_a_terminal_cannot_show_is_escaped_in_messages() -> None:
    @dataclass
    class Named:
        rows: dict[str, int]

    with pytest.raises(ConfigError, match=r"file\.rows\.a\\u200bb: expected int"):
        parse(Named, {"rows": {"a\u200bb": "x"}}, "file")
