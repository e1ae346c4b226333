"""What is read as an input is verified: nothing edited, swapped, damaged or empty is taken for a run's result."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from bench.plan.experiment import load_experiment
from bench.plan.runs import plan
from bench.records.directory import RecordError, RunDirectory, read_record, read_records
from bench.records.soundness import identity_fault, result_fault
from bench.run.one_run import DONE, FAILED, execute
from methods.architecture import Architecture
from methods.spaces import get_space
from tests.bench.conftest import TINY
from tests.bench.test_records import result


@pytest.fixture(scope="module")
def pruned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished dense training and a transform of it, with the two trainings that wait for it."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("pruned")
    content = yaml.safe_load(TINY.read_text())
    content["rows"] = {
        "DARTS_V2": {"published": "DARTS_V2"},
        "half": {"method": "l1_filter_pruning", "of": "DARTS_V2", "options": {"ratio": 0.4, "of": "params"}},
    }
    content["profiles"]["tiny"]["recipe_changes"]["epochs"] = 1
    (folder / "mine.yaml").write_text(yaml.safe_dump(content))
    for info in plan(load_experiment(str(folder / "mine.yaml")), "tiny", ["half"], [0]):
        directory = RunDirectory(folder / "runs" / info.name)
        directory.create(info)
        if info.phase == "transform" or info.label == "DARTS_V2":
            assert execute(directory.path, "cpu") == DONE
    return folder / "runs"


@pytest.fixture
def runs(pruned: Path, tmp_path: Path) -> dict[str, Path]:
    """A copy of them: run directories by phase and inheritance."""
    shutil.copytree(pruned, tmp_path / "runs")
    named = {
        "train-DARTS": "dense",
        "transform": "transform",
        "train-half-finetune": "finetune",
        "train-half": "scratch",
    }
    found: dict[str, Path] = {}
    for path in sorted((tmp_path / "runs").iterdir()):
        found[next(name for start, name in named.items() if path.name.startswith(start))] = path
    return found


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-7] ^= 4
    path.write_bytes(content)


def other_architecture(path: Path) -> None:
    get_space("darts_cell").sample(torch.Generator().manual_seed(1)).save(path)


def test_what_was_not_touched_is_taken(runs: dict[str, Path]) -> None:
    assert execute(runs["finetune"], "cpu") == DONE
    found = RunDirectory(runs["finetune"]).read_result()
    assert found is not None
    assert {"weights.safetensors", "architecture.json", "metrics.jsonl"} <= set(found["files"])


@pytest.mark.parametrize(
    ("run", "damage", "said"),
    [
        ("finetune", lambda runs: flip_a_bit(runs["transform"] / "weights.safetensors"), "not as its run left it"),
        ("finetune", lambda runs: (runs["transform"] / "weights.safetensors").unlink(), "is missing"),
        ("scratch", lambda runs: other_architecture(runs["transform"]), "is not what its run found"),
        ("scratch", lambda runs: edit(runs["transform"] / "result.json", lambda d: d.pop("architecture")),
         "names no architecture"),
        ("scratch", lambda runs: (runs["transform"] / "result.json").write_text('{"schema": 1}'), "has no metrics"),
        ("scratch", lambda runs: edit(runs["transform"] / "run.json", lambda d: d["config"]["options"].update(ratio=9)),
         "it was changed"),
        ("scratch", lambda runs: edit(runs["scratch"] / "run.json", lambda d: d["config"]["recipe"].update(lr=0.5)),
         "it was changed"),
        ("scratch", lambda runs: edit(runs["scratch"] / "run.json", lambda d: d["recipe"].update(hash="0" * 8)),
         "recipe hash 00000000"),
        ("scratch", lambda runs: edit(runs["scratch"] / "run.json", lambda d: d.update(retrain_seed=9)),
         "retrain_seed is 9"),
        ("scratch", lambda runs: edit(runs["scratch"] / "run.json", lambda d: d.update(needs=[])), "lack a run"),
    ],
)  # fmt: skip
def test_what_was_touched_is_refused(
    runs: dict[str, Path], run: str, damage: Callable[[dict[str, Path]], object], said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    damage(runs)
    assert execute(runs[run], "cpu") == FAILED
    assert said in capsys.readouterr().err
    assert not (runs[run] / "result.json").exists()


def test_records_of_earlier_versions_are_taken(runs: dict[str, Path]) -> None:
    """They have no checksums, no copy of run.json, no fingerprint and no list of commits."""
    for name in ("dense", "transform"):
        edit(runs[name] / "result.json", lambda d: [d.pop(key) for key in ("files", "run")])
        edit(runs[name] / "run.json", lambda d: [d["environment"].pop(key) for key in ("data", "commits", "slot")])
        (runs[name] / "begun.json").unlink()
    assert execute(runs["finetune"], "cpu") == DONE
    records, problems = read_records(runs["dense"].parent)
    assert (len(records), problems) == (4, [])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"test_error": -5.0, "test_accuracy": 105.0}, "outside [0, 100]"),
        ({"test_error": float("nan")}, "not a finite number: the run diverged"),
        ({"test_error": 5.0}, "do not add up"),
        ({"test_error": True}, "not a number"),
        ({"test_error": None}, "no test_error"),
    ],
)
def test_no_run_can_have_this_result(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    wrong = result()
    wrong["metrics"] |= change
    assert said in str(result_fault(wrong, "train"))
    with pytest.raises(RecordError, match="no result is written"):
        RunDirectory(tmp_path).write_result(wrong)


def test_negative_costs_and_a_search_without_an_answer() -> None:
    assert "outside [0, inf]" in str(result_fault({**result(), "costs": {"images": -1}}, "train"))
    assert "no architecture" in str(result_fault({"metrics": {}, "costs": {}}, "search"))
    assert result_fault(result("search"), "search") is None


def test_a_result_of_another_run_is_refused(runs: dict[str, Path]) -> None:
    shutil.copy(runs["dense"] / "result.json", runs["scratch"] / "result.json")
    with pytest.raises(RecordError, match="is the result of train run"):
        read_record(runs["scratch"])


def test_planned_runs_are_what_they_say(runs: dict[str, Path]) -> None:
    for path in runs.values():
        assert identity_fault(vars(RunDirectory(path).read_info())) is None


def test_data_that_changed_is_refused(runs: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    edit(runs["transform"] / "run.json", lambda d: d["environment"]["data"]["train"].update(digest="f" * 16, images=7))
    assert execute(runs["scratch"], "cpu") == FAILED
    said = capsys.readouterr().err
    assert "the train images of 'digits' have changed since transform-half" in said
    assert "7 images of 10 classes (ffffffffffffffff) then, " in said
    assert "Bring the data back" in said


def test_an_architecture_keeps_its_digest_through_its_files(tmp_path: Path) -> None:
    found = get_space("darts_cell").sample(torch.Generator().manual_seed(3))
    masked = Architecture(found.space, found.genotype, masks={"a": torch.tensor([[True, False, True]])})
    masked.save(tmp_path)
    assert Architecture.load(tmp_path).digest == masked.digest
    assert (tmp_path / "architecture.json").read_bytes() == masked.to_files()["architecture.json"]
