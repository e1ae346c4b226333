"""Files of architectures that are no architectures: one error that names the key, at once."""

from __future__ import annotations

import copy
import json
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from methods.architecture import MASKS_NAME, Architecture, ArchitectureError
from methods.genotypes import published
from methods.spaces import NetworkSettings, build
from methods.spaces.image_size import fits, on_meta, refuse_image_size

CELL = published("DARTS_V2").to_json()
RESNET = Architecture("resnet", {"depth": 20}).to_json()
VGG = Architecture("vgg", {"depth": 16, "hidden": 512}).to_json()
SMALL = NetworkSettings(4, 3)


def changed(document: dict[str, Any], place: str, value: object) -> dict[str, Any]:
    """A document with one value replaced, without its digest."""
    made = copy.deepcopy(document)
    made.pop("digest", None)
    *path, last = place.split(".")
    inner: Any = made
    for key in path:
        inner = inner[int(key) if isinstance(inner, list) else key]
    inner[int(last) if isinstance(inner, list) else last] = value
    return made


def read_and_build(folder: Path, document: object) -> None:
    path = folder / "architecture.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    with torch.device("meta"):
        build(Architecture.load(path), 10, SMALL)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (changed(CELL, "scale", {"cells": 0}), r"scale.cells is 0; it must be a whole number in \[1, 200\]"),
        (changed(CELL, "scale", {"cells": 10**8}), "scale.cells is 100000000"),
        (changed(CELL, "scale", {"channels": 16.7}), "scale.channels is 16.7"),
        (changed(CELL, "scale", {"channels": True}), "scale.channels is True"),
        (changed(CELL, "scale", {"chanels": 4}), "unknown scale 'chanels'; did you mean 'channels'"),
        (changed(CELL, "scale", [4]), r"'scale' is \[4\]; it must be an object"),
        (changed(CELL, "widths", {"cells.0.s2": 35.5}), "width 'cells.0.s2' is 35.5"),
        (changed(CELL, "widths", {"cells.0.s2": "8"}), "width 'cells.0.s2' is '8'"),
        (changed(CELL, "widths", {"cells.0.op0.mid": 0}), r"cell 0: op0.mid has no channel left"),
        (changed(CELL, "widths", {"stem": 0}), "the stem has no channel left"),
        (changed(CELL, "widths", None), "'widths' is None"),
        (changed(CELL, "genotype.normal.edges", None), "'edges' must be a list, not None"),
        (changed(CELL, "genotype.normal.edges.0", 5), r"edge 0: 5 is not \[operation, source, node\]"),
        (changed(CELL, "genotype.normal.edges.0", [["a"], 0, 2]), "unknown operation"),
        (changed(CELL, "genotype.normal.edges.0.2", 10**9), r"to a node in \[2, 100\)"),
        (changed(CELL, "genotype.normal.edges.0.1", 0.0), "must lead from an earlier state"),
        (changed(CELL, "genotype.normal.concat", 4), "'concat' must be a list, not 4"),
        (changed(CELL, "genotype.normal.concat", [[2, 3]]), r"names \[2, 3\], not a state"),
        (changed(CELL, "genotype.normal.conact", [2]), "unknown key in cell 'normal': 'conact'; did you mean 'concat'"),
        (changed(CELL, "genotype.nromal", {}), "unknown key in a cell genotype: 'nromal'"),
        (changed(CELL, "genotype.cells", []), "not both"),
        (changed(CELL, "genotype", {"cells": []}), "a list of 1 to 200 cells"),
        (changed(CELL, "genotype", []), "'genotype' is missing or not a dict"),
        (changed(CELL, "space", ["darts_cell"]), "'space' is missing or not a str"),
        (changed(CELL, "space", "dart_cell"), "did you mean 'darts_cell'"),
        (changed(CELL, "format", True), "format True; this version reads 1"),
        (changed(CELL, "wdiths", {}), "'wdiths'; did you mean 'widths'"),
        (changed(CELL, "masks", {"a": 3}), "mask 'a' is 3; it needs a 'shape'"),
        (changed(CELL, "masks", {"a": {"shape": [-1]}}), "it needs a 'shape'"),
        ({"normal/op_2_0": "sep_conv_3x3"}, r"format None; this version reads 1; it has the keys \['normal/op_2_0'\]"),
        (changed(RESNET, "genotype.depth", [20]), r"not \[20\]"),
        (changed(RESNET, "genotype.depth", 6 * 10**9 + 2), "a CIFAR ResNet has depth"),
        (changed(RESNET, "genotype.shortcut", {}), "unknown shortcut {}"),
        (changed(VGG, "genotype.depth", [16]), r"VGG has depth 11, 13, 16, 19, not \[16\]"),
        (changed(VGG, "genotype.hidden", 10**9), "at most 4096, not 1000000000"),
        ("[" * 100_000, "more than 40 levels"),
        (changed(CELL, "provenance", json.loads("[" * 60 + "]" * 60)), "more than 40 levels"),
        ('{"format": 1, "format": 1}', "the key 'format' is given twice"),
        ('{"scale": {"cells": 1, "cells": 2}}', "the key 'cells' is given twice"),
        ('{"scale": {"cells": ' + "9" * 5000 + "}}", "scale.cells is a whole number of 5000 digits"),
        ('{"widths": [1, NaN]}', r"widths\[1\] is NaN"),
        ("not JSON", "is not valid JSON"),
        ("3", "expected a JSON object, found int"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, document: object, message: str) -> None:
    started = time.monotonic()
    with pytest.raises(ArchitectureError, match=message):
        read_and_build(tmp_path, document)
    assert time.monotonic() - started < 5


def test_paths_that_hold_no_architecture(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.json", Path("/dev/null"), Path("/dev/zero")):
        with pytest.raises(ArchitectureError, match="no architecture at"):
            Architecture.load(path)
    with pytest.raises(ArchitectureError, match="cannot read"):
        Architecture.load(tmp_path / ("x" * 300))
    with pytest.raises(ArchitectureError, match="cannot read"):
        Architecture.load(Path("a\0b"))


def masked(folder: Path) -> Path:
    """A file of an architecture with one mask of the network of `SMALL`."""
    name = "cells.0.preprocess0.1.weight"
    network = on_meta(Architecture.from_json(changed(CELL, "scale", {})), SMALL)
    mask = torch.rand(network.get_parameter(name).shape, generator=torch.Generator().manual_seed(0)) < 0.5
    return Architecture("darts_cell", CELL["genotype"], masks={name: mask}).save(folder)


def test_masks_that_do_not_fit_the_network_are_refused(tmp_path: Path) -> None:
    """A count of weights that masks keep is a count of this network's weights or an error."""
    architecture = Architecture.load(masked(tmp_path))
    build(architecture, 10, SMALL)
    with pytest.raises(ArchitectureError, match=r"has the shape .* and in the network that parameter has"):
        build(architecture, 10, NetworkSettings(8, 3))
    wrong = Architecture("darts_cell", CELL["genotype"], masks={"cells.0.none": torch.ones(2).bool()})
    with pytest.raises(ArchitectureError, match="there is no such parameter"):
        build(wrong, 10, SMALL)


def test_mask_files_that_do_not_fit_their_description(tmp_path: Path) -> None:
    path = masked(tmp_path)
    document = json.loads(path.read_text())
    (name,) = document["masks"]
    shape, kept = document["masks"][name]["shape"], document["masks"][name]["kept"]
    for entry, message in (
        ({"shape": [2**20, 2**20], "kept": kept}, "is not of the shape"),
        ({"shape": shape, "kept": kept + 1}, f"keeps {kept} weights, not {kept + 1}"),
    ):
        path.write_text(json.dumps(changed(document, "masks", {name: entry})))
        with pytest.raises(ArchitectureError, match=message):
            Architecture.load(path)
    stored = load_file(tmp_path / MASKS_NAME)
    save_file({name: stored[name].float()}, tmp_path / MASKS_NAME)
    path.write_text(json.dumps(document))
    with pytest.raises(ArchitectureError, match="is not of the shape"):
        Architecture.load(path)


@pytest.mark.parametrize(
    ("stem", "size"),
    [("cifar", 2), *(pytest.param(*each, marks=pytest.mark.long) for each in (("imagenet", 100), ("cifar", 30)))],
)
def test_an_image_size_that_does_not_go_through_lists_sizes_that_do(stem: str, size: int) -> None:
    """Every size that the message names is one that the real network takes."""
    settings = NetworkSettings(4, 7, stem=stem)
    architecture = published("DARTS_V2")
    network = build(architecture, 10, settings).train()
    with pytest.raises((RuntimeError, ValueError)):
        network(torch.zeros(2, 3, size, size))
    with pytest.raises(ArchitectureError, match=f"{size}x{size} pixels do not go through .* sizes that do: ") as error:
        refuse_image_size(architecture, settings, size)
    named = [int(word) for word in str(error.value).rpartition("do: ")[2].split(",")]
    for other in named:
        network(torch.zeros(2, 3, other, other))
        refuse_image_size(architecture, settings, other)


def test_an_auxiliary_head_on_images_of_another_size_is_named() -> None:
    settings = NetworkSettings(4, 3, auxiliary=True)
    with pytest.raises(ArchitectureError, match=r"and its auxiliary head; sizes that do: .*32.* auxiliary_weight: 0"):
        refuse_image_size(published("DARTS_V2"), settings, 64)
    refuse_image_size(published("DARTS_V2"), settings, 32)
    assert fits(on_meta(Architecture.from_json(VGG), settings), 3, 8)
