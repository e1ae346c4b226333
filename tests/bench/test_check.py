"""What is found before the first run starts, rows that share their runs, and names in folders."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.cli import main
from bench.commands.selection import records_folder
from bench.config import ConfigError
from bench.data.datasets import DataError, load
from bench.names import folder_form, one_line
from bench.plan.experiment import load_experiment
from bench.plan.runs import plan
from bench.records.directory import RunDirectory, sharing
from bench.run.check import check
from bench.run.jobs import create_missing, make_jobs
from bench.run.phases.check import check_last_batch
from tests.bench.test_experiment import changed

PROFILE = "profiles__tiny__"
SEARCH = ("search", "darts")


LACKING = [
    ({PROFILE + "recipe_changes__augmentation": "crop-flip-cutuot"}, "row '.*': unknown augmentation"),
    ({PROFILE + "recipe_changes__augmentation": "resized-crop-flip"}, "row '.*': "),
    ({PROFILE + "recipe_changes__optimizer": "adamv"}, "row '.*': unknown optimizer 'adamv'; did you mean 'adam"),
    ({PROFILE + "recipe_changes__auxiliary_weight": 0.4}, "row '.*': images of 8x8 .* auxiliary head"),
    ({PROFILE + "data__test_images": 100_000}, "row '.*': 100000 images were asked for"),
    (
        {PROFILE + "network__scales": {"nasbench": {}}},
        "unknown .* 'nasbench'; did you mean 'nasbench201'",
    ),
    ({PROFILE + "network__scales": {"nasbench201": {"cells": 2}}}, "row '.*': unknown scale 'cells'"),
    ({PROFILE + "network__stem": "imagenet"}, "row '.*': images of 8x8 pixels do not go through .* imagenet stem"),
]


@pytest.mark.parametrize(("edits", "message"), LACKING)
def test_what_a_later_phase_lacks_is_named_before_anything_runs(
    tmp_path: Path, edits: dict[str, object], message: str
) -> None:
    planned = plan(load_experiment(changed(tmp_path, **edits)), "tiny")
    with pytest.raises((ConfigError, DataError), match=message):
        check(planned, load("digits"))


LAUNCHED = [LACKING[0], ({PROFILE + "recipe_changes__batch_size": 95}, "row '.*': ")]


@pytest.mark.parametrize(
    ("edits", "message"), [*LAUNCHED, *(pytest.param(*each, marks=pytest.mark.long) for each in LACKING[1:])]
)
def test_launching_finds_it_before_anything_is_submitted(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    edits: dict[str, object],
    message: str,
) -> None:
    """Also a last batch of one image (of 96) that two processes cannot share."""
    monkeypatch.chdir(tmp_path)
    experiment = changed(tmp_path, **edits)
    cluster = tmp_path / "two.yaml"
    cluster.write_text("{gpus: 0, phases: {train: {processes: 2}}}")
    words = ["launch", str(experiment), "--cluster", str(cluster), "--dry-run", "--runs-dir", str(tmp_path / "runs")]
    assert main(words) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert re.search(message, said), said
    assert not (tmp_path / "runs").exists()


def test_rows_that_come_out_the_same_share_their_runs_under_both_names(tmp_path: Path) -> None:
    path = changed(tmp_path, rows__paper={"published": "DARTS_V2"})
    folder = tmp_path / "edited-tiny"
    alone = make_jobs(folder, plan(load_experiment(path), "tiny", ["paper"]))
    create_missing(alone)
    both = plan(load_experiment(path), "tiny", ["DARTS_V2", "paper"])
    assert [info.rows for info in both] == [["DARTS_V2", "paper"]] * len(both)
    assert sharing(both) == ["'DARTS_V2' and 'paper' have the same configuration: they share the runs of 'DARTS_V2'"]
    jobs = make_jobs(folder, both)
    assert [job.directory.path for job in jobs] == [job.directory.path for job in alone]
    create_missing(jobs)
    assert {tuple(job.directory.read_info().rows) for job in jobs} == {("paper", "DARTS_V2")}
    assert len(list(folder.iterdir())) == len(alone)


def test_labels_are_text_and_folders_are_safe(tmp_path: Path) -> None:
    path = changed(tmp_path, rows={"w/o pooling [/red]": {"published": "DARTS_V2"}})
    (info, *_) = plan(load_experiment(path), "tiny")
    assert info.label == "w/o pooling [/red]"
    assert "/" not in info.name
    RunDirectory(tmp_path / "runs" / info.name).create(info)
    assert RunDirectory(tmp_path / "runs" / info.name).read_info().label == info.label
    for label in ("darts", "DARTS_V2", "l1-filters", "C=16 (2nd)", "é"):
        assert folder_form(label) == label
    assert one_line("a\x1b[31m\nb") == "a\\x1b[31m\\nb"


@pytest.mark.parametrize("name", ["../up", "a/b", "", "a\nb", "x" * 101, "-a", "a%b", "a b"])
def test_names_of_experiments_and_profiles_are_plain(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="it must be letters, digits"):
        load_experiment(changed(tmp_path, name=name))
    with pytest.raises(ConfigError, match="a profile is called"):
        load_experiment(changed(tmp_path, profiles={name: {}}))


def test_two_experiments_that_would_share_a_folder(tmp_path: Path) -> None:
    (info, *_) = plan(load_experiment(changed(tmp_path, name="a-b")), "tiny")
    RunDirectory(tmp_path / "a-b-tiny" / info.name).create(info)
    assert records_folder(tmp_path, "a-b", "tiny") == tmp_path / "a-b-tiny"
    with pytest.raises(ConfigError, match="holds the runs of experiment a-b at profile tiny"):
        records_folder(tmp_path, "a", "b-tiny")


@pytest.mark.parametrize(
    "edit", ['{"experiment": null, "profile": "tiny"}', '{"experiment": "x", "profile": "y"}', "{"]
)
def test_one_edited_record_does_not_take_a_folder_over(tmp_path: Path, edit: str) -> None:
    for info in plan(load_experiment(changed(tmp_path, name="own")), "tiny"):
        RunDirectory(tmp_path / "own-tiny" / info.name).create(info)
    first = min((tmp_path / "own-tiny").glob("*/run.json"))
    first.write_text(edit)
    assert records_folder(tmp_path, "own", "tiny") == tmp_path / "own-tiny"


@pytest.mark.parametrize(("size", "batch", "refused"), [(32, 47, True), (64, 47, False), (32, 46, False)])
def test_a_last_batch_of_one_image_that_ends_as_one_pixel_is_refused(
    tmp_path: Path, size: int, batch: int, refused: bool
) -> None:
    """Behind the stem of ImageNet an image of 32 pixels is one of 4, 2 and 1; 48 images are one more than 47."""
    edits = {PROFILE + "options__darts__batch_size": batch, PROFILE + "network__stem": "imagenet"}
    planned = plan(load_experiment(changed(tmp_path, **edits)), "tiny")
    searches = [info for info in planned if (info.phase, info.method) == SEARCH]
    data = SimpleNamespace(info=SimpleNamespace(image_size=size, channels=3, outputs=10))
    if not refused:
        check_last_batch(searches[0], data, [48, 48])  # type: ignore[arg-type]
        return
    with pytest.raises(DataError, match=r"leave a last batch of one, .* use another batch_size \(44, 45, 46, 48 do\)"):
        check_last_batch(searches[0], data, [48, 48])  # type: ignore[arg-type]
