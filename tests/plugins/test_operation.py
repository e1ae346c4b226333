"""An operation in a file of another package is drawn, counted, pruned and trained like one of ours."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from bench.plan.experiment import load_experiment
from bench.plan.runs import plan
from bench.records.directory import RunDirectory
from bench.run.one_run import DONE, execute
from methods import facts
from methods.architecture import Architecture, ArchitectureError
from methods.facts import own_operations
from methods.parts.counts import count_macs, count_params
from methods.spaces import NetworkSettings, build, get_space, registry
from methods.spaces.operation_names import KNOWN
from methods.spaces.operations import base, get_operation, make_operation
from tests.methods.test_channels_cells import check_shrink

PLUGIN = Path(__file__).parent / "operation" / "dasbench_operation.py"
TINY = Path(__file__).parents[1] / "experiments" / "tiny.yaml"
GUIDE = Path(__file__).parents[2] / "CONTRIBUTING.md"


@pytest.fixture
def plugin() -> Iterator[None]:
    """Another package's file, imported; forgotten afterwards."""
    torch.set_num_threads(1)
    load(PLUGIN)
    yield
    base._families.pop("once_conv")
    registry._spaces.pop("once_cells")
    for name in ("once_conv_3x3", "once_conv_5x5"):
        KNOWN.registered.pop(name)


def load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def samples(count: int) -> list[Architecture]:
    generator = torch.Generator().manual_seed(2)
    return [get_space("once_cells").sample(generator) for _ in range(count)]


@pytest.mark.usefixtures("plugin")
def test_it_builds_and_counts_in_closed_form_as_the_counter_does() -> None:
    for architecture in samples(8):
        for stem, size in (("cifar", 16), ("imagenet", 64)):
            settings = NetworkSettings(channels=4, cells=3, stem=stem)
            network = build(architecture, 10, settings)
            counts = get_space("once_cells").counts(architecture, 10, settings, size)
            assert (counts.params, counts.macs) == (count_params(network), count_macs(network, (3, size, size)))
    drawn = {edge[0] for each in samples(8) for kind in ("normal", "reduce") for edge in each.genotype[kind]["edges"]}
    assert drawn == {"skip_connect", "max_pool_3x3", "once_conv_3x3", "once_conv_5x5"}


@pytest.mark.usefixtures("plugin")
def test_its_channels_can_be_removed() -> None:
    for seed, architecture in enumerate(samples(4)):
        check_shrink(architecture, NetworkSettings(channels=6, cells=3), seed, torch.float64, atol=1e-10)


@pytest.mark.usefixtures("plugin")
def test_it_is_searched_scored_and_trained(tmp_path: Path) -> None:
    content = yaml.safe_load(TINY.read_text())
    content["rows"] = {"mine": {"method": "random_sampling"}}
    profile = content["profiles"]["tiny"]
    profile["recipe_changes"] = {"epochs": 1, "batch_size": 16, "drop_path": 0.2}
    profile["options"] = {"random_sampling": {"space": "once_cells", "samples": 2}}
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(content))
    for info in plan(load_experiment(str(path)), "tiny", None, [0]):
        directory = RunDirectory(tmp_path / "runs" / "mine-tiny" / info.name)
        directory.create(info)
        assert execute(directory.path, "cpu") == DONE, directory.read_info().error
    result = json.loads((directory.path / "result.json").read_text())
    assert result["costs"]["images"] > 0
    assert "once_conv" in next(tmp_path.glob("runs/mine-tiny/search-*/architecture.json")).read_text()


@pytest.mark.usefixtures("plugin")
def test_nobody_takes_the_name_of_another_operation() -> None:
    with pytest.raises(ArchitectureError, match=r"two operations are called 'sep_conv_3x3': .*sep_conv and tests"):
        base.register_operation("mine", {"sep_conv_3x3": 3})(type("Mine", (base.Operation,), {"__module__": "tests"}))
    load(PLUGIN)  # imported again, under the same name, it is the same


def test_without_its_file_it_is_unknown() -> None:
    with pytest.raises(ArchitectureError, match=r"unknown operation 'once_conv_3x3'; known: avg_pool_3x3, .*skip_conn"):
        make_operation("once_conv_3x3", 4, 4, 1)
    genotype = {"edges": [["once_conv_3x3", 0, 2]], "concat": [2]}
    conventions = get_space("general_cell").reference().genotype["conventions"]
    with pytest.raises(ArchitectureError, match="edge 0: unknown operation 'once_conv_3x3'"):
        get_space("general_cell").validate(
            Architecture("general_cell", {"normal": genotype, "reduce": genotype, "conventions": conventions})
        )


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[Path, str]]:
    """The texts of this package's files, to which a test adds."""
    texts = dict(facts._sources())
    monkeypatch.setattr(facts, "_sources", lambda: texts)
    own_operations.cache_clear()
    yield texts
    own_operations.cache_clear()


def test_a_file_of_this_package_is_found_by_its_text(own: dict[Path, str]) -> None:
    own[facts.FOLDER / "spaces" / "operations" / "once.py"] = PLUGIN.read_text()
    found = own_operations()["once_conv_5x5"]
    assert (found.family, found.kernel, found.module) == ("once_conv", 5, "methods.spaces.operations.once")


def test_what_is_read_of_ours_is_what_is_registered() -> None:
    for name, found in own_operations().items():
        assert get_operation(name).kernel == found.kernel
        assert KNOWN.registered[name] == found


def test_the_guide_shows_the_example_as_it_is() -> None:
    assert PLUGIN.read_text().strip() in GUIDE.read_text()
