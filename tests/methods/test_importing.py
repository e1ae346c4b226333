"""Other people's cells: every shipped one, in every notation, is read back as itself; what is malformed is named."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from methods.architecture import Architecture, ArchitectureError
from methods.genotypes import published, published_names
from methods.importing import Choices, Imported, candidates, choose
from methods.spaces.cell.conventions import FAMILIES
from tests.methods.notations import NOTATIONS, flat, gene_text, genotype_text, in_node_order, nni_sample

DARTS_V2 = published("DARTS_V2")


def read(text: str, name: str | None = None, **choices: Any) -> Imported:
    return choose(candidates(text, "text"), name, "text").read("text", Choices(**choices))


def family_of(architecture: Architecture) -> str:
    declared = architecture.genotype.get("conventions")
    return "darts" if declared is None else next(n for n, c in FAMILIES.items() if c.to_json() == declared)


SHARED = [
    name
    for name in published_names()
    if set(published(name).genotype) >= {"normal", "reduce"} and "stages" not in published(name).genotype
]


@pytest.mark.parametrize("name", SHARED)
def test_every_published_cell_in_every_notation(name: str) -> None:
    architecture, tried = published(name), 0
    ordered = all(in_node_order(architecture.genotype[kind]) for kind in ("normal", "reduce"))
    for notation in NOTATIONS:
        text = genotype_text(architecture.genotype, notation)
        if text is None or not (ordered or notation.__name__.startswith("explicit")):
            continue
        found = read(f"MINE = {text}", conventions=family_of(architecture)).architecture
        assert found == architecture, notation.__name__
        tried += 1
    assert tried >= 2
    assert len(SHARED) >= 4


def test_a_cell_of_darts_goes_into_its_space_and_pools_are_spoken_of() -> None:
    text = """
        MINE = Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1),
                                ('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)],
                        normal_concat=range(2, 6),
                        reduce=[['max_pool_3x3', 0], ['max_pool_3x3', 1], ['skip_connect', 2], ['max_pool_3x3', 1],
                                ['max_pool_3x3', 0], ['skip_connect', 2], ['skip_connect', 2], ['max_pool_3x3', 1]],
                        reduce_concat=list(range(2, 6)))
    """
    found = read(text)
    assert found.architecture.digest == DARTS_V2.digest
    assert found.architecture.space == "darts_cell"
    assert "MINE (text, line 2)" in found.architecture.provenance["imported_from"]
    assert any("pools without normalisation" in note for note in found.notes)
    other = read(text, conventions="drnas").architecture
    assert (other.space, other.genotype["conventions"]["pool_norm"]) == ("general_cell", "without_affine")


V2 = genotype_text(DARTS_V2.genotype, flat) or ""
V1 = genotype_text(published("DARTS_V1").genotype, flat) or ""
WRAPPED = V2.replace(", ", ",\n      ")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (V2, ["line-1"]),
        (f"\n\n{V2}\n", ["line-3"]),
        (f"from x import *\nimport os\nA = {V1}\nB = {V2}\nDARTS = B\n", ["A", "B", "DARTS"]),
        (f"A: Genotype = {V1}\n", ["A"]),
        (f"A = genotypes.{V1}\n", ["A"]),
        (f"A = B = {V1}\n", ["A", "B"]),
        (f"'''{V1}'''\n# OLD = {V1}\nA = {V2}\ndef f():\n    return {V1}\n", ["A"]),
        (f"10:39:20,853 genotype = {V1}\n11:00:00 epoch 2\n11:09:00,1 genotype = {V2}", ["genotype-1", "genotype-3"]),
        (f"s1:\n  0.0_0.3:\n    1: {WRAPPED}\n    # 3: {V2}\n    2: {V1}\n", ["1", "2"]),
        (f'python run.py --gene "{V1}" --seed 0\n', ["line-1"]),
        (f"A = {V1}\nA = {V2}\n", ["A-1", "A-2"]),
        (json.dumps(nni_sample(DARTS_V2.genotype)), ["line-1"]),
        (json.dumps([nni_sample(DARTS_V2.genotype)] * 2), ["line-1", "line-1b"]),
        (f"arch = {nni_sample(DARTS_V2.genotype)}", ["arch"]),
    ],
)
def test_where_genotypes_stand(text: str, names: list[str]) -> None:
    among = candidates(text, "text")
    assert [each.name for each in among] == names
    for each in among:
        found = each.read("text", Choices(conventions="darts")).architecture
        assert found in (published("DARTS_V1"), DARTS_V2)


def test_one_of_several_is_chosen_by_name() -> None:
    text = f"DARTS_V1 = {V1}\nDARTS_V2 = {V2}\nDARTS = DARTS_V2"
    assert read(text, "DARTS").architecture == DARTS_V2
    assert read(f"DARTS_V2 = {V2}\nDARTS = DARTS_V2").architecture == DARTS_V2, "two names of one"
    with pytest.raises(ArchitectureError, match="3 architectures; choose one with --name: DARTS_V1, DARTS_V2, DARTS"):
        read(text)
    with pytest.raises(ArchitectureError, match="'DARTS_V3'; did you mean 'DARTS_V2'"):
        read(text, "DARTS_V3")
    assert read(f"DARTS_V1 = {V1}", "mine").architecture == published("DARTS_V1"), "the only one, whatever its name"
    assert read(V1, "mine").architecture == published("DARTS_V1"), "what has no name takes one"
    log = "\n".join(f"genotype = {(V1, V2)[n % 2]}" for n in range(60)) + "\nend of log"
    with pytest.raises(ArchitectureError, match="and 20 more, the last genotype-60"):
        read(log)


def edited(old: str, new: str) -> str:
    assert old in V2
    return "X = " + V2.replace(old, new, 1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            edited("sep_conv_3x3', 0)", "sep_conv_3x4', 0)"),
            r"^X \(text, line 1\), normal cell, node 2, edge 1: unknown .*; did you mean 'sep_conv_3x3'",
        ),
        (
            edited("('dil_conv_3x3', 2)", "('dil_conv_3x3', 5)"),
            "node 5, edge 2: dil_conv_3x3 from state 5; node 5 can read states 0 to 4",
        ),
        (edited("('dil_conv_3x3', 2)", "('dil_conv_3x3', -1)"), "from state -1"),
        (edited("('dil_conv_3x3', 2)", "('dil_conv_3x3', True)"), "`True` is not a literal"),
        (edited("('dil_conv_3x3', 2)", "('dil_conv_3x3', 2.5)"), r"node 5, edge 2: \('dil_conv_3x3', 2.5\) is not"),
        (edited("('dil_conv_3x3', 2)", "('dil_conv_3x3', '2')"), "node 5, edge 2"),
        (edited("('dil_conv_3x3', 2)", "('dil_conv_3x3', 2, 5)"), "has 3 parts, the first edge 2"),
        (edited("('dil_conv_3x3', 2)", "(1, 2)"), r"\(1, 2\) is not \(operation, input\)"),
        (edited("('dil_conv_3x3', 2)", "7"), "7 is not"),
        (edited(", ('dil_conv_3x3', 2)", ""), "normal cell: 7 edges; a flat list has 2 for each node"),
        (
            edited("normal_concat=[2, 3, 4, 5]", "normal_concat=[2, 3, 4, 6]"),
            r"concat: \[2, 3, 4, 6\] must name states of 0",
        ),
        (edited("normal_concat=[2, 3, 4, 5]", "normal_concat=[2, 2]"), "each once"),
        (edited("normal_concat=[2, 3, 4, 5]", "normal_concat=4"), "concat: 4 must name"),
        (edited(", normal_concat=[2, 3, 4, 5]", ""), "no normal_concat; say --concat all"),
        (edited("reduce=", "reduc="), "unknown 'reduc'; did you mean 'reduce'"),
        (edited("normal=", "gene="), "unknown 'normal_concat'; a gene of MG-DARTS has gene and concat"),
        (f"X = {V2[:-1]}, connects=3)", "unknown 'connects'"),
        ("X = Genotype([], range(2, 6), reduce=[], reduce_concat=[])", "arguments without a name"),
        ("X = Genotype(**values)", "arguments without a name"),
        ("X = Genotype(normal=None, reduce=None)", "no normal cell"),
        ("X = Genotype(normal=[], normal_concat=[2], reduce=[], reduce_concat=[2])", "expected a list of edges"),
        ("X = Genotype(normal=[('none', 0)] * 8)", "is not a literal"),
        ("X = Genotype(normal=gene_normal, normal_concat=concat)", "normal: `gene_normal` is not a literal"),
        ("X = Genotype(normal=__import__('os').system('touch /tmp/x'))", "is not a literal"),
        ("X = Genotype(normal=[], normal_concat=range(10**9))", "is not a literal"),
        ("X = Genotype(normal=[], normal_concat=range(1000000000))", "more than 512 numbers"),
        ("X = Genotype(normal=[], normal=[])", "'normal' stands there twice"),
        ("10:00 genotype = Genotype(normal=[('sep_conv_3x3', 0)", "line 1"),
        ("def f():\n    return Genotype(normal=[])", "at the top level"),
        ("X = ().Genotype(normal=[])", "at the top level"),
        ("a Genotype is a pair of cells", "no genotype is assigned"),
        ("X = " + "[" * 90 + "Genotype()" + "]" * 90, "top level"),
        ("Genotype(" + "-" * 100_000 + "1)", "nested too deeply"),
        ("genotype_0049.txt", "only names another file, genotype_0049.txt"),
        ("hello (world)", r"no architecture in a known notation; it begins with `hello \(world\)`"),
        (" ", "it is empty"),
        ("x" * 9_000_000, "no text of architectures is that long"),
    ],
)
def test_what_is_malformed_is_named_with_its_place(text: str, words: str) -> None:
    with pytest.raises(ArchitectureError, match=words) as error:
        read(text)
    assert len(str(error.value)) < 700
    assert "\n" not in str(error.value)


def test_odd_escapes_are_no_warning(recwarn: pytest.WarningsRecorder) -> None:
    assert read("A = '\\o'\nX = " + V2, "X").architecture == DARTS_V2
    assert not recwarn.list


def test_explicit_nodes_are_on_one_side() -> None:
    cells = "normal_concat=range(2, 4), reduce=[('skip_connect', 2, 0), ('skip_connect', 2, 1)], reduce_concat=[2]"
    good = f"X = Genotype(normal=[('sep_conv_3x3', 2, 0), ('skip_connect', 3, 1)], {cells})"
    found = read(good)
    assert found.architecture.genotype["conventions"] == FAMILIES["fairdarts"].to_json()
    assert any("conventions of fairdarts" in note for note in found.notes)
    with pytest.raises(ArchitectureError, match=r"edge 2: \('skip_connect', 1, 3\) does not lead"):
        read(good.replace("3, 1", "1, 3"))
    with pytest.raises(ArchitectureError, match=r"edge 2: .* does not lead"):
        read(good.replace("3, 1", "3, 3"))
    with pytest.raises(ArchitectureError, match="node 999999, edge 1: nodes are 2, 3"):
        read(good.replace("3, 1", "999999, 1").replace("range(2, 4)", "[2]"))
    gap = good.replace("3, 1", "4, 3")
    assert read(gap.replace("range(2, 4)", "range(2, 5)")).architecture.genotype["normal"]["concat"] == [2, 3, 4]
    with pytest.raises(ArchitectureError, match="nothing enters node 3"):
        read(gap.replace("range(2, 4)", "range(2, 5)"), conventions="darts")


def test_a_cell_of_no_known_family_has_to_name_one() -> None:
    text = "NET = " + V2.replace("('sep_conv_3x3', 1)", "('sep_conv_7x7', 1)", 1)
    with pytest.raises(ArchitectureError, match=r"sep_conv_7x7 from state 1 to node 2.*--conventions darts \| pdarts"):
        read(text)
    assert read(text, conventions="darts").architecture.space == "general_cell"
    for name in ("SNAS_mild", "DrNAS_cifar10", "MdeNAS"):
        with pytest.raises(ArchitectureError, match="normalise after pools and those of DARTS do not"):
            read(f"{name} = {V2}")
        assert read(f"{name} = {V2}", conventions="darts").architecture == DARTS_V2
        assert read(f"{name} = {V2}", conventions=name.lower().partition("_")[0]).architecture.space == "general_cell"
    with pytest.raises(ArchitectureError, match="confopt, whose networks normalise after pools"):
        read(f"DARTS{V2}")
    with pytest.raises(ArchitectureError, match="has no use for --channels"):
        read(V2, channels=16)


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("('dil_conv_3x3', 2)", "('dil_conv_3x3', 0)", r"node 5 reads states \[0, 0\] instead of two different ones"),
        ("('dil_conv_3x3', 2)", "('none', 2)", "none from state 2 to node 5"),
        ("[2, 3, 4, 5]", "[5, 4, 3, 2]", r"the output joins \[5, 4, 3, 2\]"),
        ("[2, 3, 4, 5]", "[0, 3, 4, 5]", r"the output joins \[0, 3, 4, 5\]"),
    ],
)
def test_each_rule_of_darts(old: str, new: str, rule: str) -> None:
    with pytest.raises(ArchitectureError, match=f"not a cell of DARTS' space .normal cell: {rule}"):
        read(edited(old, new))
    assert read(edited(old, new), conventions="darts").architecture.space == "general_cell"


def test_the_joined_nodes_can_be_said() -> None:
    text = "X = " + re.sub(r", \w+_concat=\[2, 3, 4, 5\]", "", V2)
    assert read(text, concat="all").architecture == DARTS_V2
    loose = read(text, concat="loose", conventions="darts").architecture
    assert [loose.genotype[kind]["concat"] for kind in ("normal", "reduce")] == [[3, 4, 5], [3, 4, 5]]
    with pytest.raises(ArchitectureError, match="the text has normal_concat; leave --concat out"):
        read(V2, concat="all")


@pytest.mark.parametrize("as_list", [True, False])
def test_samples_of_nni(as_list: bool) -> None:
    sample = nni_sample(DARTS_V2.genotype, as_list)
    assert read(json.dumps(sample)).architecture == DARTS_V2
    assert read(repr(sample)).architecture == DARTS_V2
    sized = read(json.dumps({"width": 36, "depth": 20, **sample})).architecture
    assert sized.scale == {"channels": 36, "cells": 20}
    wide = {**sample, "normal/op_2_0": "conv_3x3"}
    assert read(json.dumps(wide), conventions="pdarts").architecture.genotype["normal"]["edges"][0][0] == "nor_conv_3x3"


def changed(**keys: Any) -> str:
    sample = nni_sample(DARTS_V2.genotype) | {key.replace("__", "/"): value for key, value in keys.items()}
    return json.dumps({key: value for key, value in sample.items() if value is not ...}, default=str)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"normal/op_2_0": "none", "normal/input_2_0": [0]}', "32 keys.*missing: normal/op_2_1, .* and 24 more"),
        (changed(normal__op_2_0=...), "missing: normal/op_2_0$"),
        (changed(normal__op_2_2="skip_connect"), "not among them: normal/op_2_2"),
        (changed(normal__opp_2_0="skip_connect"), "unknown key 'normal/opp_2_0'; did you mean 'normal/op_2_0'"),
        (changed(normal__op_3_1="sep_conv"), "normal cell, node 3, edge 2: unknown operation 'sep_conv'; did you mean"),
        (changed(normal__op_3_1=None), "'normal/op_3_1' is None, not a name"),
        (changed(reduce__input_4_0=[4]), "reduce cell, node 4, edge 1: max_pool_3x3 from state 4; node 4 can read"),
        (changed(reduce__input_4_0=[0, 1]), r"'reduce/input_4_0' is \[0, 1\], not one input"),
        (changed(reduce__input_4_0="0"), "not one input"),
        (changed(width=0), "'width' is 0, not a number of channels"),
        (changed(depth="20"), "'depth' is '20'"),
        ('{"normal/op_2_0": "none", "normal/op_2_0": "none"}', "'normal/op_2_0' stands there twice"),
    ],
)
def test_malformed_samples_of_nni(text: str, words: str) -> None:
    with pytest.raises(ArchitectureError, match=words):
        read(text)


def test_nni_does_not_say_which_of_five_nodes_are_joined() -> None:
    cell = {"edges": [["sep_conv_3x3", node - 1 - n, node] for node in range(2, 7) for n in range(2)]}
    text = json.dumps(nni_sample({"normal": cell, "reduce": cell}))
    with pytest.raises(ArchitectureError, match="say --concat all or --concat loose"):
        read(text)
    joined = {which: read(text, concat=which, conventions="pdarts").architecture for which in ("all", "loose")}
    assert joined["all"].genotype["normal"]["concat"] == [2, 3, 4, 5, 6]
    assert joined["loose"].genotype["reduce"]["concat"] == [6]


CELL_201 = "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|none~1|nor_conv_1x1~2|"


@pytest.mark.parametrize(
    "text",
    [CELL_201, f"Structure(4 nodes with {CELL_201})", f"arch = '{CELL_201}'", f"[('best', '{CELL_201}', 94.37)]"],
)
def test_cells_of_nasbench201_become_architectures(text: str) -> None:
    found = read(text)
    assert found.architecture == Architecture("nasbench201", {"cell": CELL_201})
    assert found.architecture.provenance["imported_from"] == "text, line 1"
    assert found.notes == ()
    with pytest.raises(ArchitectureError, match="has no use for --conventions"):
        read(text, conventions="darts")


def test_what_of_a_cell_of_nasbench201_carries_nothing_is_said() -> None:
    idle = read("|none~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|none~2|")
    assert idle.notes[0].endswith("they carry nothing to the output: nor_conv_3x3 from node 1 to node 2")
    nothing = read("|none~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|none~2|")
    assert nothing.notes == ("nothing of the input reaches this cell's output",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (CELL_201.replace("avg_pool_3x3", "avg_pool_5x5"), "node 2, edge 2: unknown .*mean 'avg_pool_3x3'"),
        (CELL_201.replace("avg_pool_3x3~1", "avg_pool_3x3~2"), "node 2, edge 2: input '2' in 'avg_pool_3x3~2'"),
        (CELL_201.replace("none~1|", ""), "node 3: 2 edges"),
        (CELL_201 + "+|none~0|", "4 nodes"),
        (CELL_201[:-1], "is not |operation~input|"),
    ],
)
def test_what_is_no_cell_of_nasbench201_is_named(text: str, words: str) -> None:
    with pytest.raises(ArchitectureError, match=words):
        read(text)


@pytest.mark.parametrize(("name", "channels"), [("MG_DARTS", 44), ("MG_DARTS_small", 24)])
def test_genes_of_mg_darts(name: str, channels: int) -> None:
    architecture = published(name)
    found = read(f"{name} = {gene_text(architecture)}", channels=channels)
    assert found.architecture.space == "dense_cell"
    assert found.architecture.genotype == architecture.genotype
    assert found.architecture.widths == architecture.widths
    assert found.architecture == architecture
    with pytest.raises(ArchitectureError, match="say --channels C"):
        read(gene_text(architecture))


GENE = """
from collections import namedtuple
Genotype = namedtuple('Genotype', 'gene concat')
TINY = Genotype(gene=[[('sep_conv_3x3', 0, 2, [4, 6, 4]), ('max_pool_3x3', 1, 2, [4]), ('skip_connect', 2, 3, [4]),
  ('avg_pool_3x3', 0, 4, [4]), ('dil_conv_5x5', 4, 5, [4, 4])]], concat=range(2, 6))
"""


def test_a_gene_is_read_as_text() -> None:
    architecture = read(GENE, channels=6).architecture
    assert architecture.scale == {"channels": 6, "cells": 1}
    assert architecture.genotype["cells"][0]["edges"][0] == ["sep_conv_3x3", 0, 2]
    assert architecture.widths["cells.0.op0.mid"] == 6
    assert {architecture.widths[f"cells.0.s{state}"] for state in range(6)} == {4}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "sep_conv_3x3",
            "sep_conv_7x7",
            "cell 0, entry 1: unknown operation 'sep_conv_7x7'; did you mean 'sep_conv_5x5'",
        ),
        ("0, 2, [4, 6, 4]", "2, 2, [4, 6, 4]", "cell 0, entry 1: .* does not lead from an earlier state"),
        ("[4, 6, 4]", "[4, 4]", r"entry 1: widths \[4, 4\]; sep_conv_3x3 has 3"),
        ("[4, 6, 4]", "[4, 0, 4]", "widths"),
        ("1, 2, [4]", "1, 2, [5]", "8 channels|has 4 channels in one entry and 5"),
        ("1, 2, [4])", "1, 2)", r"entry 2: .* is not \(operation, source, node, \[widths\]\)"),
        ("range(2, 6)", "range(2, 5)", "concat .* joins nodes 2 to 5"),
        ("concat=", "concats=", "unknown 'concats'"),
        ("('skip_connect', 2, 3, [4]),", "", "no edge enters node 3"),
    ],
)
def test_malformed_genes(old: str, new: str, words: str) -> None:
    with pytest.raises(ArchitectureError, match=words):
        read(GENE.replace(old, new, 1), channels=6)


def test_masks_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("x")
    (tmp_path / "folder").mkdir()
    for name, words in (("missing", "no mask file"), ("text", "not a safe archive"), ("folder", "cannot read masks")):
        with pytest.raises(ArchitectureError, match=words):
            read(GENE, channels=6, masks=tmp_path / name)
