"""Architectures at random, of every space: built, or one error that names what is wrong; nothing ignored or converted.

The oracle: a value of another type, an unknown, doubled or missing key is refused wherever it stands outside the
provenance; whatever else is accepted is another network (its digest differs). For cells of DARTS the rules are written
down once more, and a cell is accepted exactly when it keeps them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from methods.architecture import Architecture, ArchitectureError
from methods.genotypes import published
from methods.spaces import NetworkSettings, build
from methods.spaces.operations import OPERATIONS
from tests.fuzz.documents import HOSTILE, Place, look_up, places, put
from tests.fuzz.limits import FEW, JUNK, MANY, at_once, is_one_error

OPTIONAL = ("scale", "widths", "masks", "provenance")
NAMES = ("DARTS_V2", "NASNet_A", "FairDARTS_a", "MG_DARTS_small", "VGG16", "ResNet56")


@cache
def good_documents() -> list[dict[str, Any]]:
    """Of every space, small, without their digests; one with widths."""
    cell = "|nor_conv_3x3~0|+|none~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_1x1~1|nor_conv_3x3~2|"
    found = [published(name).to_json() for name in NAMES] + [Architecture("nasbench201", {"cell": cell}).to_json()]
    found.append({**found[0], "scale": {"channels": 4, "cells": 3}, "widths": {"cells.0.op0.mid": 3}})
    for document in found:
        document.pop("digest")
    return found


@dataclass(frozen=True)
class Edit:
    """A changed document, what was done, and whether it has to be refused."""

    document: dict[str, Any]
    what: str
    bad: bool


def is_free(place: Place) -> bool:
    return place[0] == "provenance" and len(place) > 1


@st.composite
def edits(draw: st.DrawFn) -> Edit:
    document = json.loads(json.dumps(draw(st.sampled_from(good_documents()))))
    every = places(document)
    short = [place for place in every if len(place) < 3]  # most places are edges
    place = draw(st.sampled_from(short if draw(st.booleans()) else every))
    before, above = look_up(document, place), look_up(document, place[:-1])
    action = draw(st.sampled_from(("put", "put", "put", "remove", "add")))
    if action == "put":
        value = draw(JUNK)
        put(document, place, value)
        kept_as_it_is = is_free(place) or (place == ("provenance",) and isinstance(value, dict))
        empty = place[0] in OPTIONAL and len(place) == 1 and value == {}
        same_kind = type(value) is type(before) and not isinstance(before, dict)
        return Edit(document, f"{place} = {value!r}", not (kept_as_it_is or empty or same_kind))
    if action == "remove":
        del above[place[-1]]
        return Edit(document, f"{place} removed", len(place) == 1 and place[0] not in OPTIONAL)
    if isinstance(before, dict):
        before["unknown"] = 3
    return Edit(document, f"{place}.unknown", isinstance(before, dict) and place[0] != "provenance")


def read(file: Path) -> tuple[str, Architecture | None]:
    """What is said of a file, and the architecture if its network can be built."""
    with at_once():
        try:
            architecture = Architecture.load(file)
            with torch.device("meta"):
                build(architecture, 10, NetworkSettings(4, 3))
        except ArchitectureError as error:
            return str(error), None
    return "", architecture


def check_edit(file: Path, edit: Edit) -> None:
    try:
        file.write_text(json.dumps(edit.document))
    except ValueError:  # a number of more digits than Python writes
        return
    said, found = read(file)
    if found is None:
        assert is_one_error(said), said
        return
    assert not edit.bad, f"{edit.what} was accepted"
    plain = found.to_json()
    for key in ("space", "genotype", "scale", "widths"):
        assert json.dumps(plain[key]) == json.dumps(edit.document.get(key, {}))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "architecture.json"


def test_unedited_ones_are_built(file: Path) -> None:
    for document in good_documents():
        file.write_text(json.dumps(document))
        assert read(file)[1] is not None, document["space"]


@given(edits())
@FEW
def test_an_edited_architecture(file: Path, edit: Edit) -> None:
    check_edit(file, edit)


@pytest.mark.long
@given(edits())
@MANY
def test_many_edited_architectures(file: Path, edit: Edit) -> None:
    check_edit(file, edit)


@st.composite
def texts(draw: st.DrawFn) -> str:
    """The text of a good file with some places replaced."""
    text = json.dumps(draw(st.sampled_from(good_documents())))
    for _ in range(draw(st.integers(1, 3))):
        at, length = draw(st.integers(0, len(text))), draw(st.integers(0, 8))
        more = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=3), st.just('"scale": {"cells": 3}, '))
        text = text[:at] + draw(more) + text[at + length :]
    return text


def without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def check_text(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except UnicodeEncodeError:
        return
    said, found = read(file)
    if found is None:
        assert is_one_error(said), said
        return
    document = json.loads(text, object_pairs_hook=without_repeats)
    assert json.dumps(found.to_json()["genotype"]) == json.dumps(document["genotype"])


@given(texts())
@FEW
def test_a_broken_text(file: Path, text: str) -> None:
    check_text(file, text)


@pytest.mark.long
@given(texts())
@MANY
def test_many_broken_texts(file: Path, text: str) -> None:
    check_text(file, text)


@st.composite
def cells(draw: st.DrawFn) -> dict[str, Any]:
    """A cell that may break a rule: names, sources, order, number of edges, states that are joined."""
    edges: list[list[Any]] = []
    for node in range(2, 6):
        for source in draw(st.permutations(range(node)))[:2]:
            name = draw(st.sampled_from([*OPERATIONS[1:]] * 4 + ["none", "sep_conv_7x7", "", 3]))
            edges.append([name, draw(st.sampled_from([source] * 30 + [node, -1, 0, True, 1.0])), node])
    if draw(st.integers(0, 9)) == 0:
        edges.pop(draw(st.integers(0, 7)))
    return {
        "edges": edges,
        "concat": draw(st.sampled_from([[2, 3, 4, 5]] * 8 + [[2, 3], [5, 4, 3, 2], [2, 2, 3, 4], []])),
    }


def is_darts_cell(cell: dict[str, Any]) -> bool:
    """Liu et al., ICLR 2019, section 2.3: every node has two of the operations on edges from two earlier states;
    the output joins nodes, each once (in the paper all of them)."""
    edges = cell["edges"]
    return (
        len(edges) == 8
        and all(name in OPERATIONS[1:] and type(source) is int and 0 <= source < node for name, source, node in edges)
        and [node for _, _, node in edges] == [2, 2, 3, 3, 4, 4, 5, 5]
        and all(edges[n][1] != edges[n + 1][1] for n in range(0, 8, 2))
        and 0 < len(cell["concat"]) == len(set(cell["concat"]))
    )


def check_cells(file: Path, normal: dict[str, Any], reduce: dict[str, Any]) -> None:
    document = {"format": 1, "space": "darts_cell", "genotype": {"normal": normal, "reduce": reduce}}
    file.write_text(json.dumps(document))
    said, found = read(file)
    assert (found is not None) == (is_darts_cell(normal) and is_darts_cell(reduce)), said
    assert found is not None or is_one_error(said)


@given(cells(), cells())
@FEW
def test_a_cell_is_accepted_if_it_keeps_the_rules(file: Path, normal: dict[str, Any], reduce: dict[str, Any]) -> None:
    check_cells(file, normal, reduce)


@pytest.mark.long
@given(cells(), cells())
@MANY
def test_many_cells_are_accepted_if_they_keep_the_rules(file: Path, normal: Any, reduce: Any) -> None:
    check_cells(file, normal, reduce)
