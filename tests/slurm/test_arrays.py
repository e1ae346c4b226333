"""Which arrays an experiment becomes, and what waits for what."""

from __future__ import annotations

from pathlib import Path

from bench.plan.experiment import load_experiment
from bench.plan.runs import plan
from bench.records.directory import RunInfo
from slurm.arrays import Array, Place, arrange

TINY = Path(__file__).parent.parent / "experiments" / "tiny.yaml"
IDS: dict[int | str, str] = {number: f"10{number}" for number in range(10)}


def run(name: str, *needs: str, phase: str = "train") -> RunInfo:
    return RunInfo("e", "p", name, "m", phase, "digits", 0, 0, name, {"threads": 1}, needs=list(needs))


def names(array: Array) -> list[str]:
    return [info.signature for info in array.runs]


def check(runs: list[RunInfo], arrays: list[Array], queued: dict[str, Place] | None = None) -> None:
    """Every run once, and no run can start before what it needs has succeeded."""
    assert sorted(name for array in arrays for name in names(array)) == sorted(info.signature for info in runs)
    places = dict(queued or {})
    for number, array in enumerate(arrays):
        own = array.places(number)
        for info in array.runs:
            for need in [places[need] for need in info.needs if need in places]:
                lined_up = need.job in array.corresponding and need.task == own[info.signature].task
                assert lined_up or need in array.after
        places |= own


def test_searches_and_their_trainings_are_two_arrays_that_correspond() -> None:
    runs = plan(load_experiment(str(TINY)), "tiny", ["darts", "random"])
    search, train = arrange(runs)
    check(runs, [search, train])
    assert [len(search.tasks), len(train.tasks)] == [4, 4]
    assert (search.dependency(IDS), train.dependency(IDS)) == (None, "aftercorr:100")


def test_each_retraining_seed_is_an_array_of_its_own() -> None:
    searches = [run(f"s{n}", phase="search") for n in range(3)]
    trains = [run(f"t{n}r{r}", f"s{n}") for n in range(3) for r in range(2)]
    arrays = arrange([*searches, *trains])
    check([*searches, *trains], arrays)
    assert [names(array) for array in arrays[1:]] == [["t0r0", "t1r0", "t2r0"], ["t0r1", "t1r1", "t2r1"]]


def test_a_transform_waits_for_both_runs_it_needs() -> None:
    runs = [run(f"s{n}", phase="search") for n in range(2)]
    runs += [run(f"d{n}") for n in range(2)]
    runs += [run(f"m{n}", f"s{n}") for n in range(2)]
    runs += [run(f"x{n}", f"d{n}", f"m{n}", phase="transform") for n in range(2)]
    runs += [run(f"{kind}{n}", f"x{n}") for n in range(2) for kind in "ab"]
    arrays = arrange(runs)
    check(runs, arrays)
    assert [(array.phase, array.dependency(IDS)) for array in arrays] == [
        ("search", None),
        ("train", None),
        ("train", "aftercorr:100"),
        ("transform", "aftercorr:101:102"),
        ("train", "aftercorr:103"),
        ("train", "aftercorr:103"),
    ]


def test_what_does_not_line_up_is_a_job_of_its_own() -> None:
    runs = [run(f"s{n}", phase="search") for n in range(3)]
    runs += [run("late", "s2"), run("both", "s0", "s1")]
    arrays = arrange(runs)
    check(runs, arrays)
    assert sorted(array.dependency(IDS) or "" for array in arrays) == ["", "afterok:100_0:100_1", "afterok:100_2"]


def test_a_single_search_is_a_plain_job() -> None:
    assert [array.dependency(IDS) for array in arrange([run("s", phase="search"), run("t", "s")])] == [
        None,
        "afterok:100",
    ]


def test_runs_that_are_queued_already_are_waited_for() -> None:
    queued = {f"s{n}": Place("77", n, n) for n in range(2)}
    runs = [run("t0", "s0"), run("t1", "s1"), run("free", "done")]
    arrays = arrange(runs, queued)
    check(runs, arrays, queued)
    assert [(names(array), array.dependency(IDS)) for array in arrays] == [
        (["free"], None),
        (["t0", "t1"], "aftercorr:77"),
    ]


def test_several_runs_of_a_task_line_up_with_the_task_before() -> None:
    runs = [run(f"s{n}", phase="search") for n in range(5)] + [run(f"t{n}", f"s{n}") for n in range(5)]
    search, train = arrange(runs, per_task={"search": 2, "train": 2})
    check(runs, [search, train])
    assert [[info.signature for info in task] for task in train.tasks] == [["t0", "t1"], ["t2", "t3"], ["t4"]]
    assert train.dependency(IDS) == "aftercorr:100"


def test_an_array_is_never_larger_than_the_cluster_allows() -> None:
    runs = [run(f"s{n}", phase="search") for n in range(5)] + [run(f"t{n}", f"s{n}") for n in range(5)]
    arrays = arrange(runs, largest=2)
    check(runs, arrays)
    assert max(len(array.tasks) for array in arrays) == 2
