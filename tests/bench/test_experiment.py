"""Experiment files and the runs that follow from them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
import yaml

from bench.config import ConfigError
from bench.plan import planned as plan_module
from bench.plan.experiment import experiment_names, load_experiment
from bench.plan.runs import plan
from bench.records.directory import RunInfo
from methods.base import MethodError
from methods.genotypes import published
from tests.bench.conftest import TINY


def changed(tmp_path: Path, **edits: object) -> str:
    """The tiny experiment with some values replaced, given as `a__b__c=value`."""
    content = yaml.safe_load(TINY.read_text())
    for key, value in edits.items():
        place = content
        *path, last = key.split("__")
        for part in path:
            place = place[part]
        place[last] = value
    path = tmp_path / "edited.yaml"
    path.write_text(yaml.safe_dump(content))
    return str(path)


@pytest.mark.parametrize("name", experiment_names())
def test_every_shipped_experiment_plans_every_profile(name: str) -> None:
    experiment = load_experiment(name)
    for profile in experiment.profiles:
        runs = plan(experiment, profile)
        seen: set[str] = set()
        for info in runs:
            assert set(info.needs) <= seen, f"{info.name} comes before a run it needs"
            seen.add(info.signature)
        own = {label for label, row in experiment.rows.items() if row.transfer is None}
        assert {info.label for info in runs} >= own, "others start from runs that are not there"
        questions = all(row.compare is not None for row in experiment.rows.values())
        sampled = any(info.method == "random_sampling" for info in runs)
        assert sampled or questions, "random sampling stands in every table of networks"


def test_plan_of_the_tiny_experiment(planned: list[RunInfo]) -> None:
    counted = {(info.label, info.phase) for info in planned}
    assert counted == {
        ("darts", "search"), ("darts", "train"), ("random", "search"), ("random", "train"), ("DARTS_V2", "train"),
    }  # fmt: skip
    assert len(planned) == 9
    assert [info.search_seed for info in planned if info.label == "DARTS_V2"] == [None]
    train = next(info for info in planned if info.name.startswith("train-darts-s1"))
    search = next(info for info in planned if info.name.startswith("search-darts-s1"))
    assert train.needs == [search.signature]
    assert train.recipe["name"] == "plain-cifar*"


def test_signatures_depend_on_what_decides_the_result_and_on_nothing_else(tmp_path: Path) -> None:
    def of(path: str) -> dict[str, str]:
        return {f"{i.phase}-{i.label}-{i.search_seed}": i.signature for i in plan(load_experiment(path), "tiny")}

    before = of(str(TINY))
    assert of(changed(tmp_path, description="other words")) == before
    longer = of(changed(tmp_path, profiles__tiny__options__darts__epochs=3))
    assert {key for key in before if before[key] != longer[key]} == {
        "search-darts-0", "search-darts-1", "train-darts-0", "train-darts-1",
    }  # fmt: skip
    recipe = of(changed(tmp_path, profiles__tiny__recipe_changes__lr=0.5))
    assert before["search-darts-0"] == recipe["search-darts-0"]
    assert before["train-DARTS_V2-None"] != recipe["train-DARTS_V2-None"]


def test_two_rows_with_one_search_share_it(tmp_path: Path) -> None:
    path = changed(tmp_path, rows__again={"method": "darts"})
    runs = plan(load_experiment(path), "tiny")
    assert sum(info.phase == "search" and info.method == "darts" for info in runs) == 2


@pytest.mark.parametrize(
    ("edits", "words"),
    [
        ({"rows__darts": {"method": "drats"}}, "unknown method 'drats'; did you mean 'darts'"),
        ({"rows__darts": {"method": "darts", "option": {}}}, "unknown key 'option'; did you mean 'options'"),
        ({"rows__darts": {}}, "exactly one of method, published, architecture"),
        ({"rows__darts": {"published": "DARTS_V3"}}, "unknown published genotype 'DARTS_V3'; did you mean"),
        ({"rows__darts": {"method": "darts", "of": "random"}}, "belongs to transforms"),
        ({"rows__darts": {"method": "l1_filter_pruning"}}, "name its row with 'of'"),
        ({"rows__darts": {"method": "l1_filter_pruning", "of": "DARTS_V1"}}, "unknown row 'DARTS_V1'"),
        ({"rows__darts": {"architecture": "/none/a.json"}}, "no architecture at /none/a.json"),
        ({"profiles__tiny__options__darts__epoch": 3}, "unknown key 'epoch'; did you mean 'epochs'"),
        ({"profiles__tiny__search_seeds": []}, "at least one seed"),
        ({"profiles__tiny__recipe": "dart-cifar"}, "did you mean 'darts-cifar'"),
        ({"dataset": "cifar-10"}, "did you mean 'cifar10'"),
    ],
)
def test_mistakes_are_found_before_anything_runs(tmp_path: Path, edits: dict[str, object], words: str) -> None:
    with pytest.raises((ConfigError, MethodError)) as error:
        plan(load_experiment(changed(tmp_path, **edits)), "tiny")
    assert words in str(error.value)


def test_low_memory_is_for_the_searches_that_have_it() -> None:
    runs = plan(load_experiment(str(TINY)), "tiny", memory="low")
    assert {info.label for info in runs if info.config.get("options", {}).get("memory") == "low"} == {"darts"}
    with pytest.raises(ConfigError, match="no search of these rows has the option 'memory'"):
        plan(load_experiment(str(TINY)), "tiny", ["random"], memory="low")


def test_unknown_names() -> None:
    with pytest.raises(ConfigError, match="did you mean 'cifar10'"):
        load_experiment("cifar1")
    with pytest.raises(ConfigError, match="unknown profile 'papr'; did you mean 'paper'"):
        plan(load_experiment("cifar10"), "papr")
    with pytest.raises(ConfigError, match="unknown row 'dart'; did you mean 'darts'"):
        plan(load_experiment("cifar10"), "quick", ["dart"])


def given(folder: Path, wanted: str, published_name: str = "DARTS_V1") -> str:
    """The tiny experiment in `folder` with a row `mine` from a file that lies in `folder`/cells."""
    published(published_name).save(folder / "cells")
    return changed(folder, rows={"mine": {"architecture": wanted}})


@pytest.mark.parametrize("wanted", ["cells/architecture.json", "cells", "./cells/../cells"])
def test_a_given_architecture_lies_beside_the_experiment_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: str
) -> None:
    path = given(tmp_path, wanted)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    runs = plan(load_experiment(path), "tiny")
    assert {run.config["architecture"]["digest"] for run in runs} == {published("DARTS_V1").digest}


def test_a_moved_folder_is_the_same_run_and_another_architecture_is_not(tmp_path: Path) -> None:
    here, there, other = (tmp_path / name for name in ("here", "there", "other"))
    plans = [
        plan(load_experiment(given(folder, "cells", name)), "tiny")
        for folder, name in ((here, "DARTS_V1"), (there, "DARTS_V1"), (other, "DARTS_V2"))
    ]
    signatures = [[run.signature for run in runs] for runs in plans]
    assert signatures[0] == signatures[1] != signatures[2]
    assert str(here) not in json.dumps(plans[0][0].config)


def test_a_given_architecture_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no architecture at .*relative to its file") as error:
        plan(load_experiment(given(tmp_path, "cell")), "tiny")
    assert str(tmp_path / "cell") in str(error.value)
    (tmp_path / "cell").write_text("Genotype(normal=[], reduce=[])")
    with pytest.raises(ConfigError, match=r"not valid JSON.*`dasbench import .*/cell` makes an architecture"):
        plan(load_experiment(given(tmp_path, "cell")), "tiny")
    (tmp_path / "cell").write_text('{"space": "darts_cell", "genotype": {}}')
    with pytest.raises(ConfigError, match="this version reads 1; it has the keys"):
        plan(load_experiment(given(tmp_path, "cell")), "tiny")


def test_what_no_seed_changes_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of runs: recipes, options and given architectures are not read again for each of them."""
    demo, asked = load_experiment("demo"), Counter[str]()
    for name in ("load_recipe", "published", "parse"):
        real = getattr(plan_module, name)
        monkeypatch.setattr(
            plan_module, name, lambda *given, name=name, real=real: (asked.update([name]), real(*given))[1]
        )
    plan(demo, "quick", search_seeds=[0], retrain_seeds=[0])
    once = Counter(asked)
    assert len(plan(demo, "quick", search_seeds=range(6), retrain_seeds=range(3))) == 171
    assert asked == once + once
