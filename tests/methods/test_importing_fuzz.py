"""The readers of other people's text under broken, hostile and invented text.

Whatever is read: one error of one line, or the architecture that Python itself would read there. Nothing is run.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from methods.architecture import Architecture, ArchitectureError
from methods.genotypes import published
from methods.importing import Choices, candidates
from methods.spaces import get_space
from methods.spaces.operations import KNOWN, OPERATIONS, get_operation
from tests.methods.notations import NOTATIONS, flat, gene_text, genotype_text, nni_sample

FEW, MANY = 60, 600
V2 = genotype_text(published("DARTS_V2").genotype, flat) or ""
GENE = "Genotype(gene=[[('sep_conv_3x3', 0, 2, [4, 6, 4]), ('skip_connect', 2, 3, [4])]], concat=range(2, 6))"
BASES = [
    *(text for notation in NOTATIONS if (text := genotype_text(published("DARTS_V1").genotype, notation))),
    f"A = {V2}\nB = A\n",
    f"12:00:01 genotype = {V2}\n12:30:00 genotype = {V2}\n",
    V2.replace("concat=[2, 3, 4, 5]", "concat=range(2, 6)"),
    GENE,
    json.dumps(nni_sample(published("DARTS_V2").genotype)),
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|none~1|nor_conv_1x1~2|",
]
HOSTILE = [
    "__import__('os').system('touch /tmp/fuzzed')", "().__class__", "lambda: 0", "*[1]", "**{}", "f'{1}'", "1e999", "[",
    "(" * 300, "9" * 5000, "\0", "'''", "\\", "#", "normal", "Genotype(", "range(10**9)", "nan", "\ud800", "\u202e",
    "[:1]", " if 1 else 2", "/op_2_0", "|a~0|", "none", "sep_conv_7x7", "x := 1", "...", "True", "-", "2, ", "\n", "@",
]  # fmt: skip
ALPHABET = "()[]{},='\"0123456789 \n#-+*~|abc_:/."
CHOICES = [
    Choices(),
    Choices(conventions="darts"),
    Choices(conventions="fairdarts"),
    Choices(concat="loose", conventions="snas"),
    Choices(channels=8),
]
WATCHED = ("exec", "os.system", "os.exec", "os.fork", "os.posix_spawn", "subprocess.Popen", "open", "import")
seen: list[str] = []
watching = [False]


@pytest.fixture(scope="module", autouse=True)
def audit() -> None:
    """What Python itself reports of code that runs, files that open and processes that start."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        line_of_a_syntax_error = event == "open" and arguments[0] == "<unknown>"
        if watching[0] and event in WATCHED and not line_of_a_syntax_error:
            seen.append(f"{event} {arguments[:1]}")

    for space in ("darts_cell", "dense_cell", "general_cell", "nasbench201"):
        get_space(space)  # its file is imported when it is first asked for
    for operation in KNOWN:
        get_operation(operation)  # and its
    assert "unknown" not in KNOWN  # and other packages are asked once
    sys.addaudithook(hook)


@contextmanager
def nothing_runs() -> Iterator[None]:
    seen.clear()
    watching[0] = True
    try:
        yield
    finally:
        watching[0] = False
    assert seen == []


def read_all(text: str, choices: Choices) -> list[tuple[str, Architecture | str]]:
    """Everything found in a text: as it stands there, and the architecture or the error."""
    with nothing_runs():
        try:
            among = candidates(text, "text")
        except ArchitectureError as error:
            return [("", str(error))]
        found: list[tuple[str, Architecture | str]] = []
        for each in among:
            try:
                found.append((str(each.found.key), each.read("text", choices).architecture))
            except ArchitectureError as error:
                found.append((str(each.found.key), str(error)))
    return found


def cell(value: Any, kind: str) -> list[tuple[str, int, int]]:
    """Edges as Python values, to (operation, source, node): what each notation says, without any check."""
    nested = not any(isinstance(item, str) for item in value[0])
    edges = []
    for node, entry in (
        [(2 + n, entry) for n, entries in enumerate(value) for entry in entries]
        if nested
        else [(2 + n // 2, entry) for n, entry in enumerate(value)]
    ):
        (operation,) = [item for item in entry if isinstance(item, str)]
        states = [item for item in entry if isinstance(item, int)]
        edges.append((operation, min(states), max(states)) if len(states) == 2 else (operation, states[0], node))
    return edges


def as_python_reads_it(text: str, found: Architecture, choices: Choices) -> None:
    """The oracle: evaluate the accepted text (it holds literals alone) and compare."""
    if text.startswith("|"):
        operation = r"(none|skip_connect|nor_conv_1x1|nor_conv_3x3|avg_pool_3x3)"
        nodes = ["".join(rf"{operation}~{source}\|" for source in range(node)) for node in (1, 2, 3)]
        assert re.fullmatch(r"\+".join(rf"\|{node}" for node in nodes), text)
        assert found.genotype == {"cell": text}
        return
    if text.lstrip().startswith("{"):
        sample = eval(text, {"__builtins__": {}})
        for kind in ("normal", "reduce"):
            edges = found.genotype[kind]["edges"]
            assert len(edges) == sum(key.startswith(f"{kind}/op") for key in sample)
            for n, (operation, source, node) in enumerate(edges):
                inputs = sample[f"{kind}/input_{node}_{n % 2}"]
                assert source == (inputs[0] if isinstance(inputs, list) else inputs)
                assert operation.removeprefix("nor_") == sample[f"{kind}/op_{node}_{n % 2}"].removeprefix("nor_")
        return
    names = {"__builtins__": {}, "range": range, "list": list, "tuple": tuple, "Genotype": dict}
    values = eval(re.sub(r"^[\w.]+\s*\(", "Genotype(", text), names)
    if "gene" in values:
        wiring = [[list(entry[:3]) for entry in entries] for entries in values["gene"]]
        assert [entry["edges"] for entry in found.genotype["cells"]] == wiring
        return
    for kind in ("normal", "reduce"):
        assert [tuple(edge) for edge in found.genotype[kind]["edges"]] == cell(values[kind], kind)
        if values.get(f"{kind}_concat") is not None:
            assert found.genotype[kind]["concat"] == list(values[f"{kind}_concat"])


def holds(text: str, choices: Choices) -> None:
    for where, found in read_all(text, choices):
        if isinstance(found, str):
            assert "\n" not in found
            assert len(found) < 900, found
            assert found.isprintable()
        else:
            as_python_reads_it(where, found, choices)


edits = st.lists(
    st.tuples(
        st.floats(0, 1, exclude_max=True),
        st.integers(0, 6),
        st.one_of(st.sampled_from(HOSTILE), st.text(ALPHABET, max_size=4), st.sampled_from(sorted(KNOWN))),
    ),
    min_size=1,
    max_size=5,
)


@st.composite
def broken(draw: st.DrawFn) -> str:
    """A good text with some places replaced."""
    text = draw(st.sampled_from(BASES))
    for place, length, new in draw(edits):
        begin = int(place * (len(text) + 1))
        text = text[:begin] + new + text[begin + length :]
    return text


@given(st.one_of(broken(), st.text(max_size=60)), st.sampled_from(CHOICES))
@settings(max_examples=FEW, deadline=2000, suppress_health_check=list(HealthCheck))
def test_broken_text(text: str, choices: Choices) -> None:
    holds(text, choices)


@pytest.mark.long
@given(st.one_of(broken(), st.text(max_size=200)), st.sampled_from(CHOICES))
@settings(max_examples=MANY, deadline=5000, suppress_health_check=list(HealthCheck))
def test_much_broken_text(text: str, choices: Choices) -> None:
    holds(text, choices)


operations = st.one_of(st.sampled_from(OPERATIONS[1:]), st.sampled_from([*KNOWN, "sep_conv_9x9", "", "identity"]))
states = st.integers(-1, 6)


@st.composite
def invented(draw: st.DrawFn) -> dict[str, Any]:
    """A genotype of the right form with contents that may be wrong: flat, two edges a node."""
    genotype = {}
    for kind in ("normal", "reduce"):
        nodes = draw(st.sampled_from([4, 4, 4, 3, 5]))
        edges = []
        for node in range(2, 2 + nodes):
            for source in draw(st.permutations(range(node)))[:2]:
                edges.append((draw(operations), draw(st.sampled_from([source] * 9 + [node, -1, 0]))))
        genotype[kind] = edges[: len(edges) - draw(st.sampled_from([0] * 9 + [1]))]
        genotype[f"{kind}_concat"] = draw(st.one_of(st.just(list(range(2, 2 + nodes))), st.lists(states, max_size=4)))
    return genotype


def is_good(genotype: dict[str, Any]) -> bool:
    """The rules of a genotype, written down once more."""
    for kind in ("normal", "reduce"):
        edges, concat = genotype[kind], genotype[f"{kind}_concat"]
        last = 1 + len(edges) // 2
        good = len(edges) % 2 == 0 and bool(concat) and len(set(concat)) == len(concat)
        good = good and all(0 <= state <= last for state in concat)
        good = good and all(o in KNOWN and 0 <= s < 2 + n // 2 for n, (o, s) in enumerate(edges))
        if not good:
            return False
    return True


def is_darts(genotype: dict[str, Any]) -> bool:
    return all(
        len(genotype[kind]) == 8
        and genotype[f"{kind}_concat"] == [2, 3, 4, 5]
        and all(operation in OPERATIONS[1:] for operation, _ in genotype[kind])
        and all(genotype[kind][n][1] != genotype[kind][n + 1][1] for n in range(0, 8, 2))
        for kind in ("normal", "reduce")
    )


def accepted_if_good(genotype: dict[str, Any]) -> None:
    fields = ", ".join(f"{key}={value!r}" for key, value in genotype.items())
    ((where, found),) = read_all(f"X = Genotype({fields})", Choices(conventions="darts"))
    if not is_good(genotype):
        assert isinstance(found, str)
        assert "X (text, line 1)" in found
        return
    assert isinstance(found, Architecture), found
    assert found.space == ("darts_cell" if is_darts(genotype) else "general_cell")
    as_python_reads_it(where, found, Choices())
    if found.space == "general_cell":
        ((_, refused),) = read_all(f"X = Genotype({fields})", Choices())
        assert "--conventions" in str(refused)


@given(invented())
@settings(max_examples=FEW, deadline=2000, suppress_health_check=list(HealthCheck))
def test_what_is_accepted_is_good_and_what_is_good_is_accepted(genotype: dict[str, Any]) -> None:
    accepted_if_good(genotype)


@pytest.mark.long
@given(invented())
@settings(max_examples=MANY, deadline=5000, suppress_health_check=list(HealthCheck))
def test_much_that_is_good_and_bad(genotype: dict[str, Any]) -> None:
    accepted_if_good(genotype)


def test_the_watch_sees_what_runs() -> None:
    with pytest.raises(AssertionError), nothing_runs():
        exec("1")
    assert gene_text(published("MG_DARTS_small")).startswith("Genotype(gene=")
