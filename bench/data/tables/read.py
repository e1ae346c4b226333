"""Reading a table's file: columns, completeness and ranges are checked, each fault named with its line."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.data.tables.table import TableError, Values

ACCURACY = (0.0, 100.0)


@dataclass(frozen=True)
class Schema:
    """What a table's file must hold.

    Attributes:
        table: its name, for messages.
        key: the column with the text of the architecture.
        keys: all that must be there, each once.
        numbers: every other column, with the smallest and the largest value it may have.
        index: the column that numbers the lines from 0, "" for none. Lines without one are in their order.
        digest: SHA-256 of the one file that is meant, "" for a file of the user's own.
    """

    table: str
    key: str
    keys: frozenset[str]
    numbers: Mapping[str, tuple[float, float]]
    index: str = ""
    digest: str = ""

    @property
    def columns(self) -> set[str]:
        return {self.key, *self.numbers, *([self.index] if self.index else [])}


@dataclass(frozen=True)
class Columns:
    """The content of a file: the architectures' texts, the numbers by column, both by index; and the file's SHA-256."""

    keys: tuple[str, ...]
    numbers: Mapping[str, Values]
    digest: str


def read_columns(path: Path, schema: Schema) -> Columns:
    """Read and check a csv.gz file; numbers are read-only.

    Raises:
        TableError: missing, damaged or changed; a wrong column; a line that is missing, repeated or unknown; a value
            that is no number or out of its range. The message names the file, the line and the next step.
    """
    content, digest = _content(path, schema)
    lines = content.splitlines()
    header = lines[0].split(",") if lines else []
    _check_header(path, header, schema)
    for number, line in enumerate(lines[1:], 2):
        if line.count(",") != len(header) - 1:
            raise TableError(f"{path}, line {number}: {line.count(',') + 1} columns instead of {len(header)}")
    place = header.index(schema.key)
    keys = tuple(line.split(",", place + 1)[place] for line in lines[1:])
    _check_keys(path, keys, schema)
    names = [name for name in header if name != schema.key]
    numbers = dict(zip(names, _numbers(path, lines[1:], header, place).T, strict=True))
    for name, (low, high) in schema.numbers.items():
        _check_range(path, name, numbers[name], low, high, keys)
    if schema.index:
        order = _order(path, numbers.pop(schema.index), schema)
        keys, numbers = tuple(keys[i] for i in order), {name: values[order] for name, values in numbers.items()}
    if schema.digest and digest != schema.digest:
        raise TableError(
            f"{path}: its SHA-256 is {digest[:16]}..., and the table '{schema.table}' is the file with "
            f"{schema.digest[:16]}...: values were changed; install the package again"
        )
    return Columns(keys, {name: _frozen(values) for name, values in numbers.items()}, digest)


def _content(path: Path, schema: Schema) -> tuple[str, str]:
    try:
        packed = path.read_bytes()
        return gzip.decompress(packed).decode("ascii"), hashlib.sha256(packed).hexdigest()
    except FileNotFoundError:
        raise TableError(
            f"{path}: there is no such file, and the table '{schema.table}' is read from it; install the package again"
        ) from None
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise TableError(f"{path}: cannot be read ({error}); the file is damaged, replace it") from None


def _check_header(path: Path, header: list[str], schema: Schema) -> None:
    repeated = sorted({name for name in header if header.count(name) > 1})
    missing, unknown = sorted(schema.columns - set(header)), sorted(set(header) - schema.columns)
    if repeated or missing or unknown:
        parts = [
            f"{what} {', '.join(map(repr, names[:5]))}"
            for what, names in (("repeated:", repeated), ("missing:", missing), ("unknown:", unknown))
            if names
        ]
        raise TableError(f"{path}: the columns of table '{schema.table}' differ; {'; '.join(parts)}")


def _numbers(path: Path, lines: list[str], header: list[str], place: int) -> Values:
    """All but the key column; (lines, columns - 1)."""
    others = [column for column in range(len(header)) if column != place]
    try:
        return np.loadtxt(lines, delimiter=",", comments=None, usecols=others, ndmin=2)
    except ValueError:
        for number, line in enumerate(lines, 2):
            for column, text in enumerate(line.split(",")):
                if column != place and not _is_number(text):
                    raise TableError(f"{path}, line {number}: {header[column]} is {text!r}, no number") from None
        raise


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _check_keys(path: Path, keys: tuple[str, ...], schema: Schema) -> None:
    if len(set(keys)) < len(keys):
        first: dict[str, int] = {}
        for number, key in enumerate(keys, 2):
            if key in first:
                raise TableError(f"{path}, line {number}: architecture '{key}' stands in line {first[key]} already")
            first[key] = number
    unknown = set(keys) - schema.keys
    if unknown:
        number = next(number for number, key in enumerate(keys, 2) if key in unknown)
        raise TableError(f"{path}, line {number}: {keys[number - 2]!r} is no architecture of table '{schema.table}'")
    missing = sorted(schema.keys - set(keys))
    if missing:
        raise TableError(
            f"{path}: {len(missing)} of {len(schema.keys)} architectures are missing, the first is '{missing[0]}'; "
            "a table is used whole, or not at all"
        )


def _check_range(path: Path, name: str, values: Values, low: float, high: float, keys: tuple[str, ...]) -> None:
    wrong = ~((values >= low) & (values <= high))
    if wrong.any():
        at = int(wrong.argmax())
        raise TableError(
            f"{path}, line {at + 2} ('{keys[at]}'): {name} is {values[at]:g}, and it must be {low:g} to {high:g}"
        )


def _order(path: Path, index: Values, schema: Schema) -> np.ndarray:
    """Which line has index 0, 1, ...; int64."""
    order = np.argsort(index, kind="stable")
    if not np.array_equal(index[order], np.arange(len(index))):
        seen: set[float] = set()
        for number, value in enumerate(index.tolist(), 2):
            if value in seen or value not in range(len(index)):
                raise TableError(
                    f"{path}, line {number}: {schema.index} is {value:g}; each of 0 to {len(index) - 1} stands once"
                )
            seen.add(value)
    return order


def _frozen(values: Values) -> Values:
    values = np.ascontiguousarray(values)
    values.flags.writeable = False
    return values
