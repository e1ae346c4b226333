"""What changed between two experiments."""

import pytest

import reports
from tests.reports.synthetic import KINDS, Kind, experiment


def test_the_same_runs_are_identical(tmp_path):
    a, b = experiment(tmp_path / "a", KINDS[:2]), experiment(tmp_path / "b", KINDS[:2])
    text = reports.compare(a, b)
    assert text.count("identical") == 2
    assert "beyond noise" not in text


def test_noise_and_a_real_change_are_told_apart(tmp_path):
    a = experiment(tmp_path / "a", (Kind("darts", "darts", 3.0), Kind("random", "random_sampling", 3.1)))
    kinds = (Kind("darts", "darts", 3.0), Kind("random", "random_sampling", 6.0, params=2e6))
    text = reports.compare(a, experiment(tmp_path / "b", kinds, seed=1, environment={"commit": "b" * 40}))
    lines = {line.split()[0]: line for line in text.splitlines() if line.endswith("noise")}
    assert lines["darts"].endswith("within noise")
    assert lines["random"].endswith("beyond noise")
    assert "params M 3.30 -> 2.00" in text
    assert "commit bbbbbbbbbb" in text


def test_other_profiles_are_not_compared(tmp_path):
    a, b = experiment(tmp_path, KINDS[:1]), experiment(tmp_path, KINDS[:1], profile="quick")
    text = reports.compare(a, b)
    assert "only in A: darts" in text
    assert "not comparable" in text
    assert "noise" not in text


def test_two_commits_of_one_folder(tmp_path):
    experiment(tmp_path, KINDS[:1], name="x")
    path = experiment(tmp_path / "later", KINDS[:1], name="x", seed=2, environment={"commit": "b" * 40})
    for run in path.iterdir():
        run.rename(tmp_path / "x-paper" / f"later-{run.name}")
    folder = tmp_path / "x-paper"
    text = reports.compare(folder.with_name("x-paper@aaaa"), folder.with_name("x-paper@bbbb"))
    assert "commit aaaaaaaaaa" in text
    assert "commit bbbbbbbbbb" in text
    assert "within noise" in text


def test_a_missing_side_is_an_error(tmp_path):
    with pytest.raises(reports.ReportError, match="no such folder"):
        reports.compare(experiment(tmp_path, KINDS[:1]), tmp_path / "nowhere")
