"""Cluster profiles: what they may say, and what sbatch is given for them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench.config import ConfigError
from bench.plan.experiment import load_experiment
from bench.plan.runs import plan
from slurm.cluster import cluster_names, load_cluster, minutes
from slurm.launch import launch
from slurm.queue import SlurmSilentError

TINY = Path(__file__).parent.parent / "experiments" / "tiny.yaml"


@pytest.fixture(autouse=True)
def _no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """A SLURM that is installed and stopped answers only after seconds, each time."""

    def silent(*command: str) -> str:
        raise SlurmSilentError(command[0])

    monkeypatch.setattr("slurm.queue._run", silent)


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("name", cluster_names())
def test_shipped_profiles_can_be_read(name: str) -> None:
    assert load_cluster(name).description


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("partion: gpu", r"mine.yaml: unknown key 'partion'; did you mean 'partition'\? Valid: .*wckey.*setup"),
        ("time: 90 minutes", r"'90 minutes' is not a time; write 90min"),
        ("time: '1:30'", r"'1:30' is not a time"),  # hours and minutes to some, minutes and seconds to SLURM
        ("mem: 16 gigs", r"'16 gigs' is not an amount of memory"),
        ("{time: 1min, signal_seconds: 60}", r"signal_seconds \(60\) must be shorter than time \(1min\)"),
        ("phases: {retrain: {gpus: 2}}", r"unknown phase 'retrain'; did you mean 'train'"),
        ("phases: {train: {account: x}}", r"unknown key 'account'"),
        ("sbatch: {requeue: false}", r"sbatch.requeue is set by `dasbench launch` itself"),
        ("runs_per_task: 0", r"mine.yaml: runs_per_task is 0; it must be a whole number in \[1, "),
        ("gpus: -1", r"mine.yaml: gpus is -1; it must be a whole number in \[0, 1024\]"),
        ("phases: {train: {gpus: -1}}", r"mine.yaml.phases.train: gpus is -1; it must be"),
        ("signal_seconds: -5", r"mine.yaml: signal_seconds is -5; it must be"),
        ("confirm_above: -1", r"mine.yaml: confirm_above is -1.0; it must be a number, at least 0"),
        ("confirm_above: .inf", r"mine.yaml: confirm_above is inf; it must be"),
        ("gpus: 1\ngpus: 2", r"mine.yaml, line 2, column 1: the key 'gpus' is given twice"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_cluster(written(tmp_path, text))


def test_an_unknown_cluster_lists_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"unknown cluster 'local'; did you mean 'local-test'\?"):
        load_cluster("local")


@pytest.mark.parametrize(
    ("time", "expected"),
    [("90min", 90), ("12h", 720), ("2d", 2880), ("1-12:00:00", 2160), ("0:00:30", 1)],
)
def test_times(time: str, expected: int) -> None:
    assert minutes(time) == expected


def test_what_sbatch_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_ROOT", str(tmp_path / "data"))
    cluster = load_cluster(
        written(
            tmp_path,
            "{partition: gpu, account: mine, qos: long, constraint: h100, gpus: 2, cpus: 3, mem: 20G, time: 12h, "
            "wckey: key, array_parallelism: 3, signal_seconds: 200, setup: [module load cuda], "
            "sbatch: {reservation: r1}, phases: {train: {partition: big, gpus: 1, time: 1d}}}",
        )
    )
    planned = plan(load_experiment(str(TINY)), "tiny", ["darts"])
    result = launch(tmp_path / "runs" / "tiny-tiny", planned, cluster, dry_run=True)
    search, train = (dict(re.findall(r"^#SBATCH --([\w-]+)=?(.*)$", text, re.MULTILINE)) for text in result.texts)
    asked = {
        "partition": "gpu",
        "account": "mine",
        "qos": "long",
        "constraint": "h100",
        "gpus-per-node": "2",
        "cpus-per-task": "3",
        "mem": "20G",
        "time": "720",
        "wckey": "key",
        "array": "0-1%2",
        "signal": "USR2@200",
        "requeue": "",
        "open-mode": "append",
        "reservation": "r1",
    }
    assert asked.items() <= search.items()
    assert {"partition": "big", "gpus-per-node": "1", "time": "1440", "account": "mine"}.items() <= train.items()
    assert train["dependency"] == "aftercorr:ID_OF_ARRAY_0"
    assert train["kill-on-invalid-dep"] == "yes"
    lines = result.texts[0].splitlines()
    assert lines.index("module load cuda") < next(n for n, line in enumerate(lines) if "export PYTHONPATH=" in line)
    assert f"export DATA_ROOT={tmp_path / 'data'}" in lines
    assert not (tmp_path / "runs").exists()
    assert result.device_hours_limit == pytest.approx(2 * 12 * 2 + 2 * 24)


def test_a_wckey_is_left_out_unless_asked_for(tmp_path: Path) -> None:
    planned = plan(load_experiment(str(TINY)), "tiny", ["darts"])
    (text, _) = launch(tmp_path / "runs", planned, load_cluster("local-test"), dry_run=True).texts
    assert "--wckey" not in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('sbatch: {"comment": "x\\ntouch /tmp/y"}', r"sbatch.'comment' is .*one line of printable text"),
        ('sbatch: {"x\\ntouch /tmp/y": 1}', "is no option of sbatch"),
        ("sbatch: {time: 1}", "would contradict what the profile asks for; set 'time'"),
        ("sbatch: {cpus_per_task: 8}", "set 'cpus' of the profile"),
        ("sbatch: {comment: [1]}", "it must be text, a number"),
        ('partition: "a\\nb"', "partition is .*one line of printable text"),
        ("name: ../x", "name is '../x'; it must be letters"),
    ],
)
def test_what_would_become_shell_or_contradict_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_cluster(written(tmp_path, text))


def test_a_folder_that_slurm_would_read_as_a_pattern(tmp_path: Path) -> None:
    planned = plan(load_experiment(str(TINY)), "tiny", ["darts"])
    for name in ("100%j", "a\nb"):
        with pytest.raises(ConfigError, match="choose another RUNS_DIR"):
            launch(tmp_path / name / "tiny-tiny", planned, load_cluster("local-test"), dry_run=True)
