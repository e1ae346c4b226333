"""Look-ups in a table of trained networks: batches of seeds, single architectures, and what is refused before."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from bench.config import ConfigError
from bench.data.seal import SealedTestSetError
from bench.data.tables import get_table
from bench.plan.experiment import load_experiment
from bench.plan.lookup import seeds_as_text, seeds_of
from bench.plan.runs import plan
from bench.records.directory import RecordError, RunDirectory, read_record
from bench.records.inputs import verified_file
from bench.records.run_info import RunInfo, needs_images
from bench.run import table_search
from bench.run.images import images_of, optional_images_of
from bench.run.one_run import DONE, FAILED, INTERRUPTED, execute
from bench.run.phases import lines, lookup
from bench.run.phases.context import RunError
from bench.run.stop import StopFlag
from bench.seeds import derive
from methods import registry
from methods.architecture import Architecture
from methods.base import SearchContext
from methods.sampling.random_sampling import RandomSampling, RandomSamplingOptions
from reports.lookups.formats import to_text
from reports.lookups.rows import lookup_rows
from reports.lookups.tables import lookup_tables

YAML = Path(__file__).parent.parent / "experiments" / "lookup.yaml"
Change = Callable[[dict[str, Any]], object]


def written(tmp_path: Path, change: Change = lambda content: None) -> Path:
    """The experiment, with a change, as a file."""
    content = yaml.safe_load(YAML.read_text())
    change(content)
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def runs(*rows: str, path: Path = YAML) -> list[RunInfo]:
    return plan(load_experiment(str(path)), "tiny", rows or None)


def made(folder: Path, info: RunInfo) -> RunDirectory:
    directory = RunDirectory(folder / info.name)
    directory.create(info)
    return directory


def seed_lines(directory: RunDirectory) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory.path / "seeds.jsonl").read_text().splitlines()]


def test_a_batch_is_one_run_a_row_and_data_set() -> None:
    found = {(info.label, info.dataset): info for info in runs("search", "draw")}
    assert set(found) == {(row, data) for row in ("search", "draw") for data in ("cifar10", "imagenet16")}
    assert len({info.signature for info in found.values()}) == 4
    search, draw = found["search", "cifar10"], found["draw", "cifar10"]
    assert (search.config["budgets"], search.config["budget"], search.config["options"]["samples"]) == (
        [3, 6, 12],
        6,
        12,
    )
    assert (draw.config["budgets"], draw.config["options"]["samples"]) == ([1], 1)
    assert search.search_seed is None
    assert not any(map(needs_images, found.values()))
    assert [seeds_of(seeds_as_text(seeds)) for seeds in ([0], range(500), [1, 2, 9])] == [[0], [*range(500)], [1, 2, 9]]


def test_what_a_batch_says_is_what_the_table_says(tmp_path: Path) -> None:
    """Everything in the record follows from the method, asked by hand, and the table's columns."""
    info = next(info for info in runs("search") if info.dataset == "imagenet16")
    directory = made(tmp_path, info)
    assert execute(directory.path, "cpu") == DONE
    table, lines, record = get_table("nasbench201"), seed_lines(directory), read_record(directory.path)
    scores, test = table.validation("imagenet16", 12), table.final("imagenet16", 200)
    assert [line["seed"] for line in lines] == list(range(6))
    for line in lines:
        seed = lookup.context_of(info, 0)

        context = SearchContext(
            120, 3, 16, "cifar", derive(dataset="imagenet16", use="method", repetition=line["seed"])
        )
        assert (seed.num_classes, seed.image_size) == (120, 16)
        method = RandomSampling(RandomSamplingOptions(12, "nasbench201"), context)
        asked = [table.index(method.ask()) for _ in range(12)]
        assert (line["evaluations"], line["distinct"]) == (12, len(set(asked)))
        for answer in line["answers"]:
            best = max(asked[: answer["budget"]], key=lambda index: scores[index])
            assert (answer["index"], answer["score"]) == (best, scores[best])
            assert answer["test"] == {name: table.final(name, 200)[best] for name in table.datasets}
            assert answer["valid"]["cifar10"] == table.validation("cifar10", 200)[best]
            assert answer["rank"]["imagenet16"] == 1 + int((test > test[best]).sum())
            assert answer["regret"]["imagenet16"] == test.max() - test[best]
        rising = np.maximum.accumulate(scores[asked])
        changed = [n for n in range(12) if n == 0 or rising[n] > rising[n - 1]]
        assert line["trajectory"] == [[n + 1, asked[n], scores[asked[n]], test[asked[n]]] for n in changed]
    assert record.result is not None
    six = [line["answers"][1]["test"]["imagenet16"] for line in lines]
    metrics = record.result["metrics"]
    assert metrics["test_accuracy"] == pytest.approx(np.mean(six))
    assert metrics["test_accuracy_std"] == pytest.approx(np.std(six, ddof=1))
    assert metrics == record.result["budgets"]["6"]
    assert record.result["costs"]["evaluations"] == 6 * 12
    assert record.result["costs"]["trained_epochs"] == 6 * 12 * 12
    assert record.result["table"]["sha256"] == table.digest


def test_one_draw_has_no_score_and_no_trajectory(tmp_path: Path) -> None:
    directory = made(tmp_path, runs("draw")[0])
    assert execute(directory.path, "cpu") == DONE
    for line in seed_lines(directory):
        assert (line["evaluations"], line["trajectory"], line["answers"][0]["score"]) == (0, [], None)


class StopAfter(StopFlag):
    """Asks to stop when it was looked at so often."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    @property
    def reason(self) -> str | None:  # type: ignore[override]
        self.looks -= 1
        return "SIGTERM" if self.looks < 0 else None


def test_a_batch_that_is_stopped_or_killed_goes_on_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = runs("evolution")[0]
    alone, stopped, killed = (made(tmp_path / name, info) for name in ("alone", "stopped", "killed"))
    assert execute(alone.path, "cpu") == DONE
    searched: list[int] = []
    real = table_search.TableSearch.run

    def noted(self: table_search.TableSearch, seed: int, context: SearchContext) -> dict[str, Any]:
        if len(searched) == 9:
            raise KeyboardInterrupt  # a kill: nothing of this process is written any more
        searched.append(seed)
        return real(self, seed, context)

    monkeypatch.setattr(table_search.TableSearch, "run", noted)
    assert execute(stopped.path, "cpu", StopAfter(3)) == INTERRUPTED
    assert len(searched) == 4
    assert execute(stopped.path, "cpu") == DONE
    assert len(searched) == len(set(searched)) == 6, "no seed was searched twice"
    monkeypatch.setattr(lines, "CHECKPOINT_SECONDS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        execute(killed.path, "cpu")
    searched.clear()
    assert execute(killed.path, "cpu") == DONE
    assert len(searched) == 3, "three were kept"
    for other in (stopped, killed):
        assert (other.path / "seeds.jsonl").read_bytes() == (alone.path / "seeds.jsonl").read_bytes()
        first, second = read_record(alone.path).result, read_record(other.path).result
        assert first is not None
        assert second is not None
        assert {k: first[k] for k in ("metrics", "budgets", "seeds")} == {
            k: second[k] for k in ("metrics", "budgets", "seeds")
        }
        assert first["costs"]["evaluations"] == second["costs"]["evaluations"]


def test_a_changed_batch_is_noticed(tmp_path: Path) -> None:
    directory = made(tmp_path, runs("draw")[0])
    assert execute(directory.path, "cpu") == DONE
    path = directory.path / "seeds.jsonl"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 7'))
    with pytest.raises(RecordError, match="checksum"):
        verified_file(read_record(directory.path), "seeds.jsonl")


def test_images_that_nobody_described_are_not_taken_for_others() -> None:
    info = next(info for info in runs("search") if info.dataset == "imagenet16")
    context = lookup.context_of(info, 0)
    assert (context.num_classes, context.image_size) == (120, 16)
    with pytest.raises(RunError, match="of 'svhn' are not known"):
        lookup.context_of(replace(info, dataset="svhn"), 0)


def test_a_method_whose_proposals_depend_on_its_budget_is_run_once_for_each(tmp_path: Path) -> None:
    """Proposals that end with the budget: a longer search is another one, so that there is one for each budget."""

    class Last(RandomSampling):
        anytime = False

        def architecture(self) -> Architecture:
            return self.history.asked[self.samples - 1]

    registry.all_methods()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry._methods, "last", Last)
        patch.setattr(Last, "name", "last")
        path = written(tmp_path, lambda content: content["rows"].update(last={"method": "last", "evaluator": "table"}))
        content = yaml.safe_load(path.read_text())
        content["profiles"]["tiny"]["options"]["last"] = {"space": "nasbench201"}
        path.write_text(yaml.safe_dump(content))
        directory = made(tmp_path, runs("last", path=path)[0])
        assert execute(directory.path, "cpu") == DONE
    for line in seed_lines(directory):
        assert len({answer["index"] for answer in line["answers"]}) == 3


def test_a_method_that_peeks_fails_the_batch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Peeking(RandomSampling):
        def ask(self) -> Architecture:
            get_table("nasbench201").final("cifar10", 200)
            return super().ask()

    registry.all_methods()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry._methods, "random_sampling", Peeking)
        directory = made(tmp_path, runs("search")[0])
        assert execute(directory.path, "cpu") == FAILED
    assert SealedTestSetError.__name__ in capsys.readouterr().err
    assert not (directory.path / "seeds.jsonl").exists()


def test_a_given_architecture_is_looked_up(tmp_path: Path) -> None:
    """The network with the best test accuracy on CIFAR-10 is cell 6111."""
    text = get_table("nasbench201").architectures[6111]
    Architecture("nasbench201", {"cell": text}).save(tmp_path / "best")
    path = written(tmp_path, lambda content: content["rows"].update(best={"architecture": "best"}))
    (info,) = runs("best", path=path)
    directory = made(tmp_path, info)
    assert execute(directory.path, "cpu") == DONE
    result = read_record(directory.path).result
    assert result is not None
    assert (result["metrics"]["rank"], result["metrics"]["regret"]) == (1, 0.0)
    assert result["metrics"]["test_accuracy"] == pytest.approx(94.37, abs=0.01)
    assert result["answer"]["index"] == 6111


def scored(**changes: Any) -> Change:
    return lambda content: content["rows"]["search"].update(changes)


def looked_up(**changes: Any) -> Change:
    return lambda content: content["lookup"].update(changes)


def rows(**changes: Any) -> Change:
    return lambda content: content["rows"].update(changes)


def without_supernet(content: dict[str, Any]) -> None:
    del content["lookup"]
    row = {"method": "random_sampling", "evaluator": "supernet", "options": {"space": "resnet"}}
    content["rows"] = {"x": row}


REFUSED: dict[str, tuple[Change, str]] = {
    "a space without a table": (
        lambda content: content["profiles"]["tiny"]["options"].update(random_sampling={"space": "darts_cell"}),
        "works in the space darts_cell, and table nasbench201 holds networks of nasbench201",
    ),
    "a search in another space": (rows(mgas={"method": "mgas"}), "holds networks of nasbench201"),
    "a published cell of another space": (rows(V2={"published": "DARTS_V2"}), "darts_cell"),
    "a budget of training that was not published": (looked_up(epochs=90), "no test values on cifar10 at 90 epochs"),
    "a budget of training for searches": (scored(evaluation={"epochs": 13}), "no validation values"),
    "a data set": (looked_up(datasets=["cifar11"]), "nothing on data set 'cifar11'; did you mean 'cifar10'"),
    "a data set twice": (looked_up(datasets=["cifar10", "cifar10"]), "each once"),
    "a table": (looked_up(table="nasbench202"), "did you mean 'nasbench201'"),
    "budgets out of order": (looked_up(budgets=[50, 10], budget=50), "rising"),
    "a headline of its own": (looked_up(budget=7), "budget 7 is none of the budgets"),
    "an evaluator": (scored(evaluator="tabel"), "'tabel' is not possible; did you mean 'table'"),
    "an option of an evaluator": (scored(evaluation={"epoch": 12}), "unknown key 'epoch'; did you mean 'epochs'"),
    "an evaluator for a supernet": (rows(darts={"method": "darts", "evaluator": "table"}), "this row has none"),
    "an evaluator of no row": (
        lambda content: content["profiles"]["tiny"]["evaluation"].update(tabel={}),
        "unknown evaluator or row 'tabel'",
    ),
    "a member of a family": (scored(select={"on": "params"}), "leave 'select' out"),
    "a recipe": (scored(recipe="darts-cifar"), "leave 'recipe' out"),
    "shared weights without a supernet": (without_supernet, "no supernet of single paths"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_is_refused_before_anything_runs(what: str, tmp_path: Path) -> None:
    change, message = REFUSED[what]
    with pytest.raises(ConfigError, match=message) as caught:
        load_experiment(str(written(tmp_path, change)))
    assert "\n" not in str(caught.value)


def test_there_are_no_retrain_seeds() -> None:
    with pytest.raises(ConfigError, match="retrains nothing"):
        plan(load_experiment(str(YAML)), "tiny", retrain_seeds=[0])


def test_the_terminal_shows_every_budget(tmp_path: Path) -> None:
    directories = [made(tmp_path, info) for info in runs("search", "draw") if info.dataset == "cifar10"]
    for directory in directories:
        assert execute(directory.path, "cpu") == DONE
    rows, problems = lookup_rows(read_record(directory.path) for directory in directories)
    [table] = lookup_tables(rows)
    text = to_text(table)
    assert problems == []
    assert "networks that its authors trained 200 epochs" in text
    budgets = directories[0].read_info().config["budgets"]
    assert budgets == [3, 6, 12]
    row = next(row for row in rows if row.label == directories[0].read_info().label)
    for place, budget in enumerate(budgets):
        values = [line["answers"][place]["test"]["cifar10"] for line in seed_lines(directories[0])]
        assert row.by_budget[budget] == values
        [shown] = [line for line in text.splitlines() if line.split()[2:3] == [row.label]]
        assert f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}" in shown


def test_rows_without_images_are_left_out_with_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search on images and the look-up of its answer go; what the table alone answers stays."""
    monkeypatch.setenv("DATA_ROOT", str(tmp_path / "nothing"))
    planned = runs()
    kept, data, said = optional_images_of(planned, tmp_path)
    assert {info.label for info in kept} == {"search", "evolution", "draw"}
    assert {info.label for info in planned} - {info.label for info in kept} == {"shared"}
    assert data is None
    assert "shared" in said
    assert "\n" not in said
    assert images_of(kept, tmp_path) is None
