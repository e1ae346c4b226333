"""Published genotypes and mask files: exact counts, safe loading, lossless round trips."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch

from methods.architecture import Architecture, ArchitectureError
from methods.base import SearchContext
from methods.genotypes import published
from methods.gradient.mgas.cells.export import CONV_POSITIONS
from methods.gradient.mgas.cells.published import import_genotype, import_masks
from methods.gradient.mgas.cells.sizes import counts, published_size
from methods.parts.counts import count_macs, count_params
from methods.spaces import NetworkSettings, build

EXPECTED = {
    ("MG_DARTS_small", 10): (704_082, 1_143_644, 137_421_312),
    ("MG_DARTS_small", 100): (738_732, 1_247_504, 137_455_872),
    ("MG_DARTS", 10): (2_290_716, 2_752_806, 536_205_056),
    ("MG_DARTS", 100): (2_354_166, 2_885_466, 536_268_416),
}


@pytest.mark.parametrize(("name", "classes"), EXPECTED)
def test_published_networks_have_the_published_counts(name: str, classes: int):
    architecture = published(name)
    params, with_auxiliary, macs = EXPECTED[name, classes]
    with torch.device("meta"):
        network = build(architecture, classes, NetworkSettings(auxiliary=True))
    assert count_params(network) == params
    assert count_params(network, auxiliary=True) == with_auxiliary
    assert count_macs(network, (3, 32, 32)) == macs
    closed_form = counts(architecture, SearchContext(classes))
    assert (closed_form["params"], closed_form["macs"]) == (params, macs)


@pytest.mark.parametrize(
    ("name", "size", "operations"), [("MG_DARTS_small", 0.536664, 184), ("MG_DARTS", 1.629854, 285)]
)
def test_published_size_measure(name: str, size: float, operations: int):
    architecture = published(name)
    assert published_size(architecture) == pytest.approx(size, abs=1e-9)
    assert sum(len(cell["edges"]) for cell in architecture.genotype["cells"]) == operations


def mask_tensors(architecture: Architecture, zeros: int) -> list[list[list[torch.Tensor]]]:
    """A file's content in the published format, with so many zeros, all in the first convolutions."""
    with torch.device("meta"):
        network = build(architecture, 10, NetworkSettings())
    shapes = {name: parameter.shape for name, parameter in network.named_parameters()}
    cells = []
    for index, cell in enumerate(architecture.genotype["cells"]):
        made = []
        for n, (operation, _, _) in enumerate(cell["edges"]):
            names = [f"cells.{index}.operations.{n}.{k}.weight" for k in CONV_POSITIONS.get(operation, ())]
            tensors = [torch.ones(shapes[name]) for name in names]
            for tensor in tensors:
                taken = min(zeros, tensor.numel())
                tensor.view(-1)[:taken] = 0
                zeros -= taken
            made.append(tensors)
        cells.append(made)
    return cells


@pytest.fixture
def mask_file(tmp_path: Path) -> Path:
    """The official file where MGAS_MASK_FILE names it, else one of the same format and the same number of zeros."""
    if "MGAS_MASK_FILE" in os.environ:
        return Path(os.environ["MGAS_MASK_FILE"])
    path = tmp_path / "mask.npy"
    torch.save(mask_tensors(published("MG_DARTS_small"), 6_940), path)
    return path


def test_masks_of_the_small_network(mask_file: Path):
    architecture = import_masks(published("MG_DARTS_small"), mask_file)
    assert sum(mask.numel() for mask in architecture.masks.values()) == 518_232
    assert sum(int((~mask).sum()) for mask in architecture.masks.values()) == 6_940
    assert counts(architecture, SearchContext(10))["params_nonzero"] == 697_142
    assert counts(architecture, SearchContext(100))["params_nonzero"] == 731_792


def test_masks_survive_saving(mask_file: Path, tmp_path: Path):
    architecture = import_masks(published("MG_DARTS_small"), mask_file)
    loaded = Architecture.load(architecture.save(tmp_path / "saved"))
    assert loaded == architecture
    assert all(torch.equal(mask, loaded.masks[name]) for name, mask in architecture.masks.items())


class Bomb:
    def __reduce__(self):
        return os.system, ("touch exploded",)


@pytest.mark.parametrize("legacy", [False, True])
def test_code_in_a_mask_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, legacy: bool):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mask.npy"
    if legacy:
        path.write_bytes(pickle.dumps([Bomb()]))
    else:
        torch.save([Bomb()], path)
    with pytest.raises(ArchitectureError, match=r"not a safe archive.* Give the file") as error:
        import_masks(published("MG_DARTS_small"), path)
    assert not (tmp_path / "exploded").exists()
    assert "weights_only" not in str(error.value), "no advice to load it otherwise"


def test_foreign_masks_are_refused(tmp_path: Path):
    small = published("MG_DARTS_small")
    path = tmp_path / "mask.npy"
    cells = mask_tensors(small, 0)
    torch.save(cells, path)
    with pytest.raises(ArchitectureError, match="not those of the architecture"):
        import_masks(published("MG_DARTS"), path)
    cells[0][0][0] = cells[0][0][0][:-1]
    torch.save(cells, path)
    with pytest.raises(ArchitectureError, match="shape"):
        import_masks(small, path)
    cells = mask_tensors(small, 0)
    cells[0][0][0][0] = 0.5
    torch.save(cells, path)
    with pytest.raises(ArchitectureError, match="only 0 and 1"):
        import_masks(small, path)
    with pytest.raises(ArchitectureError, match="no mask file"):
        import_masks(small, tmp_path / "missing.npy")


def test_contradicting_widths_are_refused():
    with pytest.raises(ArchitectureError, match=r"cells\.0\.s0 has 4 channels in one entry and 6 in another"):
        import_genotype([[("max_pool_3x3", 0, 2, [4]), ("dil_conv_3x3", 0, 3, [6, 4])]], 4)
    with pytest.raises(ArchitectureError, match="is not"):
        import_genotype([[("max_pool_3x3", 0)]], 4)


def test_an_unused_input_keeps_the_stages_width():
    large = published("MG_DARTS")
    assert "cells.5.s0" not in large.widths
    with torch.device("meta"):
        network = build(large, 10, NetworkSettings())
    assert network.cells[5].preprocess0.bn.num_features == 88
