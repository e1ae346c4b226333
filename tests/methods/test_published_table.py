"""The table of docs/cells.md, counted. `python -m tests.methods.test_published_table` writes it anew."""

from __future__ import annotations

from pathlib import Path

from methods.genotypes import published, published_names
from methods.spaces import NetworkSettings, get_space

PAGE = Path(__file__).parents[2] / "docs" / "cells.md"
BEGIN, END = "<!-- counted table -->\n", "<!-- end of counted table -->"
HEAD = (
    "| name | conventions | params | with auxiliary head | MACs | published error | params |\n"
    "| --- | --- | ---: | ---: | ---: | ---: | ---: |\n"
)


def table() -> str:
    lines = HEAD
    for name in published_names():
        architecture = published(name)
        if architecture.space not in ("darts_cell", "general_cell"):
            continue
        space = get_space(architecture.space)
        counts = space.counts(architecture, 10, NetworkSettings(36, 20, auxiliary=True))  # type: ignore[attr-defined]
        told = next((v for v in architecture.provenance.get("values", []) if v["dataset"] == "cifar10"), {})
        spread = f" ± {told['std']:.2f}" if "std" in told else ""
        error = f"{told['test_error']:.2f}{spread}" if told else ""
        family = architecture.provenance.get("family", "darts")
        cells = [name, f"`{family}`", *(f"{n:,}" for n in (counts.params, counts.params_training, counts.macs))]
        lines += f"| {' | '.join([*cells, error, str(told.get('params_m', ''))])} |\n"
    return lines


def test_the_page_shows_what_is_counted():
    assert PAGE.read_text().split(BEGIN)[1].split(END)[0] == table()


if __name__ == "__main__":
    before, rest = PAGE.read_text().split(BEGIN)
    PAGE.write_text(before + BEGIN + table() + END + rest.split(END)[1])
