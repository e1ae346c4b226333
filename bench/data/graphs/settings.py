"""What an experiment says of a task on graphs. Neither torch nor PyTorch Geometric is needed to read it."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bench.config import ConfigError, identity
from methods.domain import check, within

_FILES = sorted((Path(__file__).parent / "sets").glob("[a-z]*.py"))
GRAPH_SETS = {path.stem: (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")[0] for path in _FILES}
"""What a list says of every set of graphs: the first line of its file."""
if TYPE_CHECKING:
    SetName = str
else:
    SetName = Literal[tuple(GRAPH_SETS)]
Label = Literal["own", "clustering", "pagerank", "path_length"]
Feature = Literal["own", "constant", "one_hot", "clustering", "pagerank"]
Level = Literal["node", "graph"]
COMPUTED_FEATURES, COMPUTED_CLASSES = 10, 5
"""Dimensions of a computed feature, and classes of a computed label, as released."""


@dataclass(frozen=True)
class GraphTask:
    """A task: graphs, what is to be told of each node or each graph, and from what.

    Attributes:
        set: a set of graphs, by its file in `bench.data.graphs.sets`.
        label: what is to be told: the set's own labels, or one of five classes, equally many of each, of a node's
            clustering coefficient or PageRank, or of a graph's mean shortest path.
        feature: what is known of each node: the set's own features, or ten numbers made of a constant, of a number
            drawn for each node, of its clustering coefficient or of its PageRank.
        level: what is labelled; needed where the set's own labels could be of either.
        name: what the task is called; made of the others by default.
        root: of a user's data set: where its files lie. No part of what a run is.
        options: of the set, see its file.
    """

    set: SetName
    label: Label = "own"
    feature: Feature = "own"
    level: Level | None = None
    name: str = ""
    root: str = ""
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check(self, ConfigError)
        if self.label != "own" and self.feature == self.label:
            raise ConfigError(f"the feature is the label, {self.label}: nothing is left to be told; choose another one")
        of = {"clustering": "node", "pagerank": "node", "path_length": "graph"}.get(self.label, self.level)
        of = of or getattr(self.module, "LEVEL", None)
        if of is None:
            raise ConfigError(f"say what of {self.set} is labelled: level: node, or level: graph")
        if self.level not in (None, of):
            raise ConfigError(f"the label {self.label} is of a {of}; leave 'level' out")
        object.__setattr__(self, "level", of)
        if not self.name:
            parts = [self.set, *(part for part in (self.label, self.feature) if part != "own")]
            object.__setattr__(self, "name", "-".join(parts))

    @property
    def module(self) -> Any:
        """The file of its set: `load(task, size, runs_dir)`, `own_sizes(task)`, and `LEVEL` where there is only one."""
        return importlib.import_module(f"bench.data.graphs.sets.{self.set}")

    def sizes(self) -> tuple[int, int]:
        """Numbers that are known of each node, and classes.

        Raises:
            ConfigError: the set has no features or labels of its own, and none are computed.
            DataError: a user's data set that cannot be read.
        """
        needed = "own" in (self.label, self.feature)
        own: tuple[int | None, int | None] = self.module.own_sizes(self) if needed else (None, None)
        features = own[0] if self.feature == "own" else COMPUTED_FEATURES
        classes = own[1] if self.label == "own" else COMPUTED_CLASSES
        if not classes:
            raise ConfigError(
                f"the graphs of {self.name} have no labels that are classes; compute one: label: clustering, pagerank "
                "or path_length"
            )
        if not features:
            raise ConfigError(
                f"the nodes of {self.name} have no features of their own; compute one: feature: constant, one_hot, "
                "clustering or pagerank"
            )
        return features, classes

    def identity(self) -> dict[str, Any]:
        """What of it decides results."""
        kept: Mapping[str, Any] = identity(self)
        return {key: value for key, value in kept.items() if key not in ("root", "name")}


@dataclass(frozen=True)
class GraphTasks:
    """The data of an experiment on graphs.

    Attributes:
        graphs: its tasks.
    """

    graphs: tuple[GraphTask, ...]

    def __post_init__(self) -> None:
        names = [task.name for task in self.graphs]
        if not names or len(set(names)) < len(names):
            raise ConfigError(f"tasks are called {names}; there must be at least one, each with a name of its own")

    def named(self, name: str) -> GraphTask:
        return next(task for task in self.graphs if task.name == name)


@dataclass(frozen=True)
class GraphSize:
    """How many synthetic graphs there are; sets that are given have as many as they have.

    Attributes:
        graphs: as released, 4 of each of the 64 classes of clustering and mean shortest path; fewer in reduced ones.
        nodes: of each.
    """

    graphs: int = field(default=256, metadata=within("[5, 256]"))
    nodes: int = field(default=64, metadata=within("[16, 1000]"))
