"""YAML as people mean it, and nothing that means two things: read whole, at once, or refused with the line.

`on`, `off`, `yes` and `no` are words and 1e-3 is a number (YAML 1.2). A key given twice, a date, a tag, and aliases
that blow a small file up are mistakes, not features.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from bench.config import ConfigError

LARGEST_FILE = 256 * 1024
"""Bytes; reading more takes seconds, and no experiment comes near it."""
MOST_VALUES = 20_000
"""Values of a file, with every alias written out."""
DEEPEST = 40
"""Levels of mappings and lists in each other."""
_TAG = "tag:yaml.org,2002:"


class _Loader(yaml.SafeLoader):
    """Refuses what is ambiguous while the text is read, before anything is built of it."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.depth = 0
        self.sizes: dict[int, tuple[int, int]] = {}
        """Values and levels of every finished node, by its identity."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()
        alias = isinstance(event, yaml.AliasEvent)
        if not alias and getattr(event, "tag", None) not in (None, "!", _TAG + "str"):
            raise _mistake(event.start_mark, f"a tag ({event.tag}) is not read here; leave it out")
        self.depth += 1
        if self.depth > DEEPEST:
            raise _mistake(event.start_mark, f"more than {DEEPEST} levels in each other")
        node = super().compose_node(parent, index)
        self.depth -= 1
        if node is None:
            return None
        if alias and id(node) not in self.sizes:
            raise _mistake(event.start_mark, "an alias that contains itself")
        if not alias:
            self.sizes[id(node)] = self._measure(node)
        values, levels = self.sizes[id(node)]
        if values > MOST_VALUES:
            raise _mistake(event.start_mark, f"more than {MOST_VALUES:,} values with every alias written out")
        if self.depth + levels > DEEPEST:
            raise _mistake(event.start_mark, f"more than {DEEPEST} levels in each other")
        return node

    def _measure(self, node: yaml.Node) -> tuple[int, int]:
        if isinstance(node, yaml.ScalarNode):
            return 1, 0
        children = [child for entry in node.value for child in (entry if isinstance(entry, tuple) else (entry,))]
        known = [self.sizes[id(child)] for child in children]
        return 1 + sum(values for values, _ in known), 1 + max((levels for _, levels in known), default=0)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag not in (_TAG + "str", _TAG + "int", _TAG + "merge"):
                raise _mistake(key.start_mark, "a key that is no text; put it in quotes if text is meant")
            if key.value in seen:
                raise _mistake(key.start_mark, f"the key '{key.value}' is given twice; the second would hide the first")
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_date(self, node: yaml.ScalarNode) -> None:
        raise _mistake(node.start_mark, f"{node.value} reads as a date; put it in quotes if text is meant")

    def construct_whole(self, node: yaml.ScalarNode) -> int:
        try:
            return int(node.value.replace("_", ""))
        except ValueError:
            raise _mistake(node.start_mark, f"a whole number of {len(node.value)} digits") from None


def _mistake(mark: yaml.Mark, text: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=text, problem_mark=mark)


_OTHERWISE = (_TAG + "bool", _TAG + "float", _TAG + "int")
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _OTHERWISE]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_TAG + "bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
_Loader.add_implicit_resolver(_TAG + "int", re.compile(r"^[-+]?[0-9][0-9_]*$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    _TAG + "float",
    re.compile(
        r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$|^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$"
    ),
    list("-+0123456789."),
)
_Loader.add_constructor(_TAG + "timestamp", _Loader.construct_date)
_Loader.add_constructor(_TAG + "int", _Loader.construct_whole)


def read_yaml(path: Path) -> Any:
    """The content of a file.

    Raises:
        ConfigError: the file is missing, too large, not YAML, or says something that could mean two things; with the
            line.
    """
    try:
        if not path.is_file():
            raise ConfigError(f"no configuration file at {path}")
        if path.stat().st_size > LARGEST_FILE:
            raise ConfigError(f"{path} has {path.stat().st_size:,} bytes; a configuration has at most {LARGEST_FILE:,}")
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        raise ConfigError(f"{_place(path, error)}: {_problem(error)}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    except (OSError, ValueError) as error:  # a path with a NUL byte, a name that is too long, no permission
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"cannot read {str(path)!r}: {getattr(error, 'strerror', None) or error}") from None


def _place(path: Path, error: yaml.MarkedYAMLError) -> str:
    """File, line and column, counted from 1 as editors do."""
    mark = error.problem_mark or error.context_mark
    return str(path) if mark is None else f"{path}, line {mark.line + 1}, column {mark.column + 1}"


def _problem(error: yaml.MarkedYAMLError) -> str:
    """On one line; what the parser itself finds is named as its finding."""
    if error.context is None:
        return error.problem or "not valid YAML"
    begun = f" that begins in line {error.context_mark.line + 1}" if error.context_mark else ""
    return f"not valid YAML: {error.context}{begun}: {error.problem}"


def read_mapping(path: Path) -> dict[str, Any]:
    """The content of a file that holds a mapping; empty for an empty file.

    Raises:
        ConfigError: as `read_yaml`, or it holds something else.
    """
    content = read_yaml(path)
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected a mapping of settings, found a {type(content).__name__}")
    return content
