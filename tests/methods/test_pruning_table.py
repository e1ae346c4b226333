"""The table of docs/pruning.md, measured. `python -m tests.methods.test_pruning_table` writes it anew."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from methods.base import SearchContext
from methods.genotypes import published
from methods.spaces import NetworkSettings, build
from methods.transform.pruning.l1_filters import L1FilterPruning
from methods.transform.pruning.ratio import RatioOptions, Unit

PAGE = Path(__file__).parents[2] / "docs" / "pruning.md"
BEGIN, END = "<!-- measured table -->\n", "<!-- end of measured table -->"
HEAD = (
    "| network | dense params | dense MACs | asked | `of: params`: params | MACs | `of: macs`: MACs | params |\n"
    "|---|---:|---:|---:|---:|---:|---:|---:|\n"
)
NETWORKS = ("DARTS_V2", "ResNet56", "VGG16")
RATIOS = (0.3, 0.5, 0.7)


def table() -> str:
    """Fractions removed by L1 filter pruning, CIFAR-10 at 32x32; cells at C=36, 20 cells."""
    lines = HEAD
    for name in NETWORKS:
        torch.manual_seed(0)
        architecture = published(name)
        network = build(architecture, 10, NetworkSettings())

        def report(ratio: float, of: Unit, architecture=architecture, network=network):
            method = L1FilterPruning(RatioOptions(ratio, of), SearchContext(num_classes=10))
            return method.apply(architecture, network, None).report

        for ratio in RATIOS:
            by_params, by_macs = report(ratio, "params"), report(ratio, "macs")
            dense = by_params["dense"]
            cells = [name, f"{dense['params']:,}", f"{dense['macs']:,}", f"{ratio:.1%}"]
            cells += [f"{by_params['achieved'][unit]:.2%}" for unit in ("params", "macs")]
            cells += [f"{by_macs['achieved'][unit]:.2%}" for unit in ("macs", "params")]
            lines += f"| {' | '.join(cells)} |\n"
    return lines


@pytest.mark.long
def test_the_page_shows_what_is_measured():
    """The achieved sizes depend on widths alone, so they are the same for every initialisation."""
    assert PAGE.read_text().split(BEGIN)[1].split(END)[0] == table()


if __name__ == "__main__":
    before, rest = PAGE.read_text().split(BEGIN)
    PAGE.write_text(before + BEGIN + table() + END + rest.split(END)[1])
