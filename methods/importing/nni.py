"""`{"normal/op_2_0": "sep_conv_3x3", "normal/input_2_0": [0], ...}`: samples of NNI's DARTS-like spaces.

Source: microsoft/nni, `nni/nas/hub/pytorch/nasnet.py` (NNI 3; the same keys in 2.x). Of four nodes each (DARTS) all are
joined; of five nodes all (PNAS) or those that no other node reads (NASNet, ENAS, AmoebaNet), which the sample does not
say. Pools have no normalisation; `width` and `depth`, where they were searched, are initial channels and cells.
"""

from __future__ import annotations

import ast
import difflib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from methods.architecture import ArchitectureError
from methods.importing.cells import ForeignCell, joined, read_cell
from methods.importing.found import Choices, Format, Found, Imported, shorten
from methods.importing.literals import literal, parse
from methods.importing.placing import NODES_OF_DARTS, place

NAME = 'a sample of NNI, {"normal/op_2_0": ..., "normal/input_2_0": ...}'
KEY = re.compile(r"(normal|reduce)/(op|input)_(\d{1,2})_(\d{1,2})")
SCALE = {"width": "channels", "depth": "cells"}
RENAMED = {"conv_1x1": "nor_conv_1x1", "conv_3x3": "nor_conv_3x3"}
MOST = 1 << 16
KINDS = ("normal", "reduce")


def find(text: str) -> list[Found]:
    """Samples in JSON (one, or a list of them), or in Python's notation, alone or assigned."""
    if "/op_" not in text and "/input_" not in text:
        return []
    return [
        Found(name, line, NAME, repr(sample), partial(read, sample, name))
        for name, line, sample in _objects(text)
        if isinstance(sample, dict) and any(KEY.fullmatch(str(key)) for key in sample)
    ]


def read(sample: Mapping[Any, Any], name: str | None, where: str, choices: Choices) -> Imported:
    """A sample as an architecture.

    Raises:
        ArchitectureError: with the key; or that the joined nodes have to be said.
    """
    choices.only("a sample of NNI", "conventions", "concat")
    for key in sample:
        if not (isinstance(key, str) and (KEY.fullmatch(key) or key in SCALE)):
            near = difflib.get_close_matches(str(key), [*_keys(5), *SCALE], n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise ArchitectureError(f"{where}: unknown key {shorten(repr(key))}{hint}")
    scale = {SCALE[key]: _size(key, sample[key], where) for key in SCALE if key in sample}
    places = [(int(match[3]), int(match[4])) for key in sample if (match := KEY.fullmatch(key))]
    last = max(NODES_OF_DARTS[-1], *(node for node, _ in places))
    missing = [key for key in _keys(last) if key not in sample]
    if missing or len(places) > len(_keys(last)):
        extra = [key for key in sample if key not in SCALE and key not in _keys(last)]
        what = f"missing: {', '.join(missing[:6])}" + (f" and {len(missing) - 6} more" if len(missing) > 6 else "")
        raise ArchitectureError(
            f"{where}: a sample with nodes 2 to {last} has {len(_keys(last))} keys, two edges a node; "
            + (what if missing else f"not among them: {', '.join(extra[:6])}")
        )
    cells = {kind: _cell(sample, kind, last, where, choices) for kind in KINDS}
    provenance = {"imported_from": where, "form": NAME}
    imported = place(cells, where, choices, provenance, name=name, scale=scale)
    note = "NNI's networks normalise once more in the ImageNet auxiliary head; --conventions pdarts builds that"
    return Imported(imported.architecture, (*imported.notes, *([] if choices.conventions else [note])))


def _cell(sample: Mapping[str, Any], kind: str, last: int, where: str, choices: Choices) -> ForeignCell:
    nodes = [
        [[sample[f"{kind}/op_{node}_{n}"], _input(sample, f"{kind}/input_{node}_{n}", where)] for n in range(2)]
        for node in range(2, last + 1)
    ]
    place_of = f"{where}, {kind} cell"
    for node, edges in enumerate(nodes, 2):
        for n, (operation, _) in enumerate(edges):
            if not isinstance(operation, str):
                raise ArchitectureError(f"{where}: '{kind}/op_{node}_{n}' is {shorten(repr(operation))}, not a name")
    which = choices.concat or ("all" if last == NODES_OF_DARTS[-1] else None)
    if which is None:
        raise ArchitectureError(
            f"{where}: of {last - 1} nodes, NNI's PNAS joins all and its NASNet, ENAS and AmoebaNet those that no "
            "other node reads; say --concat all or --concat loose"
        )
    unjoined = read_cell(nodes, [0], place_of, RENAMED)
    return replace(unjoined, concat=tuple(joined(unjoined.edges, which)))


def _keys(last: int) -> list[str]:
    """All keys of a sample with nodes 2 to `last`."""
    return [
        f"{kind}/{what}_{node}_{n}"
        for kind in KINDS
        for node in range(2, last + 1)
        for n in range(2)
        for what in ("op", "input")
    ]


def _input(sample: Mapping[str, Any], key: str, where: str) -> int:
    value = sample[key]
    value = value[0] if isinstance(value, list) and len(value) == 1 else value
    if type(value) is not int:
        raise ArchitectureError(f"{where}: '{key}' is {shorten(repr(sample[key]))}, not one input, [0] or 0")
    return value


def _size(key: str, value: Any, where: str) -> int:
    if type(value) is not int or not 1 <= value <= MOST:
        raise ArchitectureError(f"{where}: '{key}' is {shorten(repr(value))}, not a number of {SCALE[key]}")
    return value


def _objects(text: str) -> Iterator[tuple[str | None, int, Any]]:
    """JSON values of a text, or the dictionaries of Python text, with names and lines."""
    try:
        document = json.loads(text, object_pairs_hook=_once)
    except (json.JSONDecodeError, RecursionError, ValueError):
        yield from _dictionaries(text)
        return
    for sample in document if isinstance(document, list) else [document]:
        yield None, 1, sample


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    twice = next((key for index, key in enumerate(keys) if key in keys[:index]), None)
    if twice is not None:
        raise ArchitectureError(f"the key '{shorten(twice)}' stands there twice")
    return dict(pairs)


def _dictionaries(text: str) -> Iterator[tuple[str | None, int, Any]]:
    text = text.strip()
    tree = parse(text, "exec")
    assert isinstance(tree, ast.Module)
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Dict(keys=keys, values=values)):
                found: str | None = name
            case ast.Expr(value=ast.Dict(keys=keys, values=values)):
                found = None
            case _:
                continue
        if all(isinstance(key, ast.expr) for key in keys):
            yield (
                found,
                statement.lineno,
                _once([(literal(k), literal(v)) for k, v in zip(keys, values, strict=True) if k]),
            )


FORMAT = Format(NAME, find)
