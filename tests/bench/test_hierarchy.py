"""Searches above the cell start from another row's cells: planned, refused, and done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.config import ConfigError
from bench.plan.catalogue import EXPERIMENTS
from bench.plan.experiment import load_experiment
from bench.plan.runs import plan
from bench.plan.stand_ins import stand_in
from methods.architecture import ArchitectureError
from methods.base import MethodError, Start
from methods.genotypes import published
from methods.gradient.hdas.stages import HsDAS, HsDASOptions
from methods.sampling.random_sampling import RandomSampling, RandomSamplingOptions
from methods.spaces import NetworkSettings
from methods.spaces.stages.space import cells_within
from tests.contracts.tiny import CONTEXT

OF_PDARTS = replace(CONTEXT, start=Start(published("PDARTS"), NetworkSettings()))


def test_the_shipped_experiment_rests_stages_on_the_cells_of_a_row() -> None:
    for profile in ("quick", "short", "paper"):
        searches = {i.label: i for i in plan(load_experiment("hierarchy-cifar10"), profile) if i.phase == "search"}
        for label in ("hs-darts", "hs-darts-random"):
            assert searches[label].needs == [searches["darts"].signature]
            assert set(searches[label].config["start"]) == {"run", "select"}
        for label in ("hs-DARTS_V2", "lengths-DARTS_V2", "hs-DARTS_V2-random"):
            assert searches[label].config["start"]["published"] == "DARTS_V2"
            assert searches[label].needs == []
        assert "start" not in searches["hc"].config
        found = stand_in(searches["hs-darts"], {info.signature: info for info in searches.values()})
        assert found.space.startswith("stage_graph")


def test_rows_that_cannot_rest_on_another_are_refused_before_anything_runs(tmp_path: Path) -> None:
    content = (EXPERIMENTS / "hierarchy-cifar10.yaml").read_text()
    for row, said in (
        ("{method: hs_das, of: hc}", "an architecture of staged_cell has not one of each"),
        ("{method: regularized_evolution, of: darts}", "no part of darts_cell: leave 'of' out"),
        ("{method: hc_das, of: darts}", "'of' belongs to transforms"),
    ):
        path = tmp_path / "wrong.yaml"
        path.write_text(content.replace("rows:\n", f"rows:\n  me: {row}\n", 1))
        with pytest.raises(ConfigError, match=said):
            load_experiment(str(path))


def test_searches_of_stages_and_random_graphs_have_the_cells_that_they_start_from() -> None:
    tiny: dict[str, Any] = {"epochs": 2, "channels": 4, "cells": 8, "batch_size": 4}
    torch.manual_seed(0)
    expected = cells_within(published("PDARTS"))
    for found in (
        HsDAS(HsDASOptions(**tiny), OF_PDARTS).architecture(),
        RandomSampling(RandomSamplingOptions(space="stage_graph_xs"), OF_PDARTS).ask(),
    ):
        assert cells_within(found) == expected
    assert cells_within(HsDAS(HsDASOptions(**tiny), CONTEXT).architecture()) == cells_within(published("DARTS_V2"))
    with pytest.raises(MethodError, match="leave cell='DARTS_V1' out"):
        HsDAS(HsDASOptions(**tiny, cell="DARTS_V1"), OF_PDARTS)
    with pytest.raises(ArchitectureError, match="no part of darts_cell"):
        RandomSampling(RandomSamplingOptions(), OF_PDARTS)
