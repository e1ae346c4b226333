"""Every row at `paper` of the three comparisons: its network as it is trained, counted and in closed form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from bench.config import restore
from bench.plan.experiment import load_experiment
from bench.plan.planned import Plan, Source
from bench.plan.recipe import Recipe
from bench.plan.runs import plan
from bench.plan.stand_ins import stand_in
from bench.plan.transfers import Transfers
from bench.records.run_info import RunInfo
from methods.architecture import Architecture
from methods.base import SearchContext, Transform
from methods.genotypes import published
from methods.parts.counts import count_macs, count_nonzero, count_params
from methods.registry import get_method
from methods.spaces import NetworkSettings, build, get_space

DATA = {"cifar10": (10, 32), "cifar100": (100, 32), "imagenet": (1000, 224)}
GOLDEN = {
    ("imagenet", "PC_DARTS_cifar"): 5_270_560,
    ("imagenet", "DARTS_V2"): 4_718_752,
    ("cifar100", "DARTS_V2"): 3_401_272,
    ("cifar100", "MG_DARTS_small"): 738_732,
    ("cifar10", "DARTS_V2"): 3_349_342,
}


def all_runs(name: str) -> list[RunInfo]:
    """The plan at paper, with one search of every other experiment's row as if it were there."""
    experiment, found = load_experiment(name), Transfers()
    for label, row in experiment.rows.items():
        if row.transfer is not None:
            other = load_experiment(row.transfer.experiment)
            search = Plan(other, "paper").search(row.transfer.row, other.rows[row.transfer.row], 0)
            found.found[label] = {0: Source(search, {"run": search.signature, "select": None, "found": "not yet"})}
    return plan(experiment, "paper", search_seeds=[0], retrain_seeds=[0], transfers=found)


def one_a_row(name: str, transforms: bool) -> dict[str, tuple[RunInfo, Architecture]]:
    """A training of every row, and an architecture for it; where a search decides, one of its space, at its scale.

    Args:
        transforms: the rows that prune (which takes a while), or the others.
    """
    runs = all_runs(name)
    by_signature = {info.signature: info for info in runs}
    rows: dict[str, tuple[RunInfo, Architecture]] = {}
    for info in runs:
        source = next((by_signature[need] for need in info.needs), None)
        is_pruned = source is not None and source.phase == "transform"
        if info.phase != "train" or info.label in rows or info.intermediate or is_pruned != transforms:
            continue
        architecture = stand_in(info, by_signature)
        if architecture.space == "dense_cell" and not architecture.scale:
            architecture = get_space("dense_cell").sample(torch.Generator().manual_seed(0))
        if source is not None and transforms:
            architecture = pruned(source, architecture, by_signature, *DATA[name])
        for label in info.rows:
            rows[label] = info, architecture
    return rows


def pruned(
    info: RunInfo, architecture: Architecture, planned: dict[str, RunInfo], classes: int, size: int
) -> Architecture:
    """What a row's pruning makes of its dense network before it is trained."""
    cls = get_method(info.method)
    settings = settings_of(planned[info.config["source"]])
    context = SearchContext(classes, 3, size, settings.stem)
    method = cls(restore(cls.Options, info.config["options"], "options"), context)  # type: ignore[call-arg]
    assert isinstance(method, Transform)
    torch.manual_seed(0)
    return method.apply(architecture, build(architecture, classes, settings), None).architecture


def settings_of(info: RunInfo) -> NetworkSettings:
    recipe = restore(Recipe, info.config["recipe"], "recipe")
    return NetworkSettings(**info.config["network"], auxiliary=recipe.auxiliary_weight > 0)


@pytest.mark.parametrize("name", DATA)
def test_published_rows_have_their_exact_sizes(name: str) -> None:
    (classes, size), rows = DATA[name], one_a_row(name, transforms=False)
    assert set(rows) == {label for label, row in load_experiment(name).rows.items() if row.of is None}
    for label in (label for key, label in GOLDEN if key == name):
        info, architecture = rows[label]
        space: Any = get_space(architecture.space)
        assert space.counts(architecture, classes, settings_of(info), size).params == GOLDEN[name, label]


@pytest.mark.long
@pytest.mark.parametrize("name", DATA)
def test_every_row_is_counted_in_closed_form_as_its_network_is(name: str) -> None:
    (classes, size), rows = DATA[name], one_a_row(name, transforms=False)
    networks = {(architecture.digest, settings_of(info)): architecture for info, architecture in rows.values()}
    for (_, settings), architecture in networks.items():
        both_counts(architecture, classes, settings, size)


@pytest.mark.long
@pytest.mark.parametrize("name", DATA)
def test_every_pruned_row_is_counted_in_closed_form_and_has_half_of_the_parameters(name: str) -> None:
    (classes, size), rows = DATA[name], one_a_row(name, transforms=True)
    assert set(rows) == {label for label, row in load_experiment(name).rows.items() if row.of is not None}
    for info, architecture in rows.values():
        settings = settings_of(info)
        _, kept = both_counts(architecture, classes, settings, size)
        dense = space_counts("DARTS_V2", classes, settings, size)
        assert 0.45 * dense < kept < 0.55 * dense, info.label


def both_counts(architecture: Architecture, classes: int, settings: NetworkSettings, size: int) -> tuple[int, int]:
    """Parameters, and those that no mask removes; the closed form must be what is counted on the network."""
    with torch.device("meta"):
        network = build(architecture, classes, settings)
    space: Any = get_space(architecture.space)
    counts = space.counts(architecture, classes, settings, size)
    counted = count_params(network), count_params(network, auxiliary=True), count_macs(network, (3, size, size))
    assert (counts.params, counts.params_training, counts.macs) == counted
    return counts.params, count_nonzero(network, architecture.masks)


PAGE = Path(__file__).parents[2] / "docs" / "scale.md"
BEGIN, END = "<!-- counted runs -->\n", "<!-- end of counted runs -->"


def counted_runs() -> str:
    """The table of docs/scale.md; `python -m tests.bench.test_paper_rows` writes it anew."""
    lines = [
        "| profile `paper` of | runs | ready from the beginning | phases one after the other |",
        "| --- | --- | --- | --- |",
    ]
    for name in DATA:
        planned = plan(load_experiment(name), "paper")
        depth: dict[str, int] = {}
        for info in planned:
            depth[info.signature] = 1 + max((depth[need] for need in info.needs), default=0)
        ready = sum(not info.needs for info in planned)
        lines.append(f"| {name} | {len(planned)} | {ready} | {max(depth.values())} |")
    return "\n".join(lines) + "\n"


def test_the_page_on_scale_shows_what_is_planned() -> None:
    assert PAGE.read_text().split(BEGIN)[1].split(END)[0] == counted_runs()


def space_counts(name: str, classes: int, settings: NetworkSettings, size: int) -> int:
    architecture = published(name)
    space: Any = get_space(architecture.space)
    return int(space.counts(architecture, classes, settings, size).params)


def test_targets_of_mgas_on_imagenet_are_the_size_of_darts_and_half_of_it() -> None:
    for profile in ("short", "paper"):
        (search,) = {
            info.signature: info
            for info in plan(load_experiment("imagenet"), profile, ["mgas-large", "mgas-small"])
            if info.phase == "search"
        }.values()
        dense = space_counts("DARTS_V2", 1000, NetworkSettings(48, 14, stem="imagenet"), 224)
        assert list(search.config["options"]["targets"]) == [dense, dense / 2]


if __name__ == "__main__":
    before, rest = PAGE.read_text().split(BEGIN)
    PAGE.write_text(before + BEGIN + counted_runs() + END + rest.split(END)[1])
