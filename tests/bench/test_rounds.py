"""Proposals as runs of their own: the same search on however many devices, in whatever order, killed and continued."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.plan.experiment import load_experiment
from bench.plan.runs import plan
from bench.records.directory import RunDirectory, RunInfo, read_record
from bench.run.evaluators import make_evaluator
from bench.run.jobs import make_jobs
from bench.run.local import Queue, work
from bench.run.one_run import DONE, INTERRUPTED, execute
from bench.run.phases import search
from bench.run.search import SamplingState, sampling_search
from methods.architecture import Architecture
from methods.base import SearchContext
from methods.parts.costs.preference import Indifferent
from methods.registry import get_method
from reports.collect import collect
from reports.summary import summarise
from slurm.arrays import arrange
from tests.bench.conftest import TINY
from tests.bench.test_evaluators import StopAfter

SAMPLES, AT_ONCE = 7, 3
METHODS: dict[str, dict[str, Any]] = {
    "epnas": {"space": "chain_xs", "workers": 3, "refit": 3, "grow_every": 1, "at_most": {"params": 200000}},
    "autoshrink": {"space": "graph_5", "children": 3},
}


def planned(folder: Path, method: str = "epnas", seeds: tuple[int, ...] = (0,)) -> list[RunInfo]:
    """A search of three rounds on the digits, and the retraining of its answer."""
    content = yaml.safe_load(TINY.read_text())
    content["rows"] = {"mine": {"method": method, "options": {**METHODS[method], "samples": SAMPLES}}}
    quick = {"evaluation": {"proxy": {"epochs": 1, "at_once": AT_ONCE}}, "options": {}}
    scales = {"scales": {"graph_5": {"channels": 2}}} if method == "autoshrink" else {}
    content["profiles"]["tiny"] |= quick | {"network": scales}
    folder.mkdir(exist_ok=True, parents=True)
    (folder / "mine.yaml").write_text(yaml.safe_dump(content))
    return plan(load_experiment(str(folder / "mine.yaml")), "tiny", None, list(seeds))


def scores(folder: Path, runs: list[RunInfo]) -> list[tuple[str, Any]]:
    """Architecture and score of every proposal."""
    found = [read_record(folder / run.name).result or {} for run in runs if run.phase == "score"]
    return [(each["architecture"], each["scored"] and each["scored"][0]) for each in found]


def create(folder: Path, runs: list[RunInfo]) -> None:
    for run in runs:
        RunDirectory(folder / run.name).create(run)


def test_a_plan_has_a_run_for_each_proposal_after_the_round_before(tmp_path: Path) -> None:
    runs = planned(tmp_path, seeds=(0, 1))
    rounds: dict[int | None, list[list[RunInfo]]] = {}
    for seed in (0, 1):
        own = [run for run in runs if run.phase == "score" and run.search_seed == seed]
        assert [run.proposal for run in own] == list(range(SAMPLES))
        rounds[seed] = [own[:3], own[3:6], own[6:]]
        assert not any(run.needs for run in own[:3])
        for before, after in ((own[:3], own[3:6]), (own[3:6], own[6:])):
            assert all(run.needs == [each.signature for each in before] for run in after)
        found = next(run for run in runs if run.phase == "search" and run.search_seed == seed)
        assert found.needs == [own[6].signature]
    arrays = [array for array in arrange(runs) if array.phase == "score"]
    assert [len(array.tasks) for array in arrays] == [6, 3, 3, 1, 1], "a round of a search is one array"
    assert len({run.name for run in runs}) == len(runs)


@pytest.mark.parametrize("method", METHODS)
def test_the_bits_are_those_of_one_process(tmp_path: Path, method: str) -> None:
    """Runs of a round in reverse, against the loop that asks, trains and tells by itself."""
    runs = planned(tmp_path, method)
    create(tmp_path, runs)
    scored = [run for run in runs if run.phase == "score"]
    for run in [*scored[2::-1], *scored[5:2:-1], scored[6]]:
        assert execute(tmp_path / run.name, "cpu") == DONE
    last = next(run for run in runs if run.phase == "search")
    tasks: list[Any] = []
    real = search.run_sampling_search

    def once_more(task: Any, *more: Any) -> Any:
        tasks.append(task)
        return real(task, *more)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(search, "run_sampling_search", once_more)
        assert execute(tmp_path / last.name, "cpu") == DONE
    alone, state, proposed = search.make_method(tasks[0], None), SamplingState(), list[Architecture]()
    evaluator = make_evaluator(tasks[0])
    found = sampling_search(
        alone,  # type: ignore[arg-type]
        evaluator,
        state,
        told=lambda number, proposal: proposed.append(proposal),
        at_once=AT_ONCE,
    )
    result = read_record(tmp_path / last.name).result
    assert result is not None
    assert result["architecture"] == found.digest
    in_runs = scores(tmp_path, runs)
    assert [digest for digest, _ in in_runs] == [each.digest for each in proposed]
    assert all(score in (None, own.score) for (_, score), own in zip(in_runs, state.scored, strict=True))
    assert result["costs"]["images"] == sum(each.images or 0 for each in state.scored)
    assert not (tmp_path / last.name / "checkpoints").exists(), "nothing is left to train"


@pytest.mark.long
def test_two_devices_and_one_find_the_same(tmp_path: Path) -> None:
    for devices in (1, 2):
        folder = tmp_path / str(devices)
        runs = planned(folder)
        queue = Queue(make_jobs(folder, runs), ["cpu"] * devices)
        work(queue)
        assert not queue.stopping, "somebody told this process to stop, and so the queue"
        undone = {job.info.name: (job.state, job.info.error) for job in queue.jobs if job.state != "done"}
        assert not undone
    one, two = (scores(tmp_path / str(devices), runs) for devices in (1, 2))
    assert one == two
    answers = [read_record(tmp_path / str(devices) / runs[-1].name).result for devices in (1, 2)]
    assert answers[0] is not None
    assert answers[1] is not None
    assert answers[0]["metrics"]["test_error"] == answers[1]["metrics"]["test_error"]


def test_a_killed_training_goes_on_with_the_same_bits(tmp_path: Path) -> None:
    for folder in ("whole", "killed"):
        create(tmp_path / folder, planned(tmp_path / folder))
    first = planned(tmp_path / "whole")[0].name
    assert execute(tmp_path / "whole" / first, "cpu") == DONE
    assert execute(tmp_path / "killed" / first, "cpu", StopAfter(1)) == INTERRUPTED
    assert execute(tmp_path / "killed" / first, "cpu") == DONE
    one, other = (read_record(tmp_path / folder / first).result or {} for folder in ("whole", "killed"))
    assert one["scored"][:2] == other["scored"][:2]
    assert one["metrics"] == other["metrics"]


def test_what_is_proposed_again_is_not_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a method that has one network alone."""
    runs = planned(tmp_path, "autoshrink")
    create(tmp_path, runs)
    cls = get_method("autoshrink")
    monkeypatch.setattr(cls, "propose", lambda self: self.place)
    for run in runs[: SAMPLES + 1]:
        assert execute(tmp_path / run.name, "cpu") == DONE
    images = [(read_record(tmp_path / run.name).result or {})["costs"]["images"] for run in runs[:SAMPLES]]
    assert images[0] > 0
    assert not any(images[1:])
    result = read_record(tmp_path / runs[SAMPLES].name).result
    assert result is not None
    assert result["costs"]["images"] == images[0]
    assert result["report"]["evaluations"] == SAMPLES
    assert result["report"]["different networks"] == 1


def test_the_report_counts_a_search_once(tmp_path: Path) -> None:
    runs = planned(tmp_path, "autoshrink")
    create(tmp_path, runs)
    for run in runs:
        assert execute(tmp_path / run.name, "cpu") == DONE
    rows, problems = collect([read_record(tmp_path / run.name) for run in runs])
    assert not problems
    assert [run.info.phase for run in rows[0].searches] == ["search"]
    found = next(read_record(tmp_path / run.name).result or {} for run in runs if run.phase == "search")
    assert summarise(rows[0]).evaluations == SAMPLES
    assert summarise(rows[0]).different == found["report"]["different networks"]


def test_asked_for_three_and_told_in_order_is_what_a_round_is() -> None:
    """Against asking and telling by hand."""
    cls = get_method("regularized_evolution")
    options, context = cls.Options(space="nasbench201", samples=SAMPLES), SearchContext(10, seed=3)
    make: Any = cls

    class Scores:
        def score(self, proposals: Any) -> list[Any]:
            from bench.run.evaluators.base import Scored

            return [Scored(float(int(each.digest[:4], 16) % 97), 1, 1.0, None) for _, each in proposals]

    state, asked = SamplingState(), list[str]()

    def note(_: int, proposal: Any) -> None:
        asked.append(proposal.digest)

    scores: Any = Scores()
    sampling_search(make(options, context), scores, state, told=note, preference=Indifferent(), at_once=AT_ONCE)
    method: Any = make(options, context)
    by_hand: list[str] = []
    for size in (3, 3, 1):
        proposals = [method.ask() for _ in range(size)]
        for each in proposals:
            by_hand.append(each.digest)
            method.tell(each, scores.score([(0, each)])[0].score)
    assert asked == by_hand
    assert len(astuple(state.scored[0])) == 4
