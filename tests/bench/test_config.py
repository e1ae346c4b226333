"""Strict configuration: types, unknown keys, nearest names, places."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from bench.config import ConfigError, parse, read_yaml


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
    with pytest.raises(ConfigError, match=r"bad\.yaml is not valid YAML"):
        read_yaml(path)
    with pytest.raises(ConfigError, match="no configuration file"):
        read_yaml(tmp_path / "none.yaml")
