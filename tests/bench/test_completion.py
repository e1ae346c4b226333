"""What a shell offers at its cursor, through argcomplete as a shell calls it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import argcomplete
import pytest

from bench.cli import build_parser

ROOT = Path(__file__).parents[2]


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A runs folder with two experiments, one of them with a "-" in its profile."""
    for folder, experiment, profile in (("demo-quick", "demo", "quick"), ("mine-quick-cpu", "mine", "quick-cpu")):
        for run in ("search-darts-s0-aa", "train-darts-s0-r0-bb"):
            path = tmp_path / "runs" / folder / run
            path.mkdir(parents=True)
            (path / "run.json").write_text(json.dumps({"experiment": experiment, "profile": profile}))
            (path / "result.json").write_text("{}")
    (tmp_path / "mine.yaml").write_text(
        "dataset: digits\nrows: {on: {method: darts}, 'a b': {method: darts}}\nprofiles: {tiny: {}, large: {}}\n"
    )
    (tmp_path / "broken.yaml").write_text("rows: [")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RUNS_DIR", str(tmp_path / "runs"))
    return tmp_path / "runs"


def no_file(*arguments: object) -> None:
    raise OSError


def offered(line: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The words a shell would offer behind `line`."""
    for name, value in {"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)),
                        "_ARGCOMPLETE_IFS": "\n", "_ARGCOMPLETE_SHELL": "zsh"}.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(os, "fdopen", no_file)  # argcomplete would take, and close, descriptor 9: here pytest's own
    out = io.StringIO()
    with pytest.raises(SystemExit):
        argcomplete.autocomplete(build_parser(), exit_method=sys.exit, output_stream=out)
    return [word.partition(":")[0].strip().replace("\\", "") for word in out.getvalue().split("\n") if word]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("dasbench st", {"status"}),
        ("dasbench run ci", {"cifar10", "cifar100"}),
        ("dasbench run mi", {"mine.yaml"}),
        ("dasbench run cifar10 --profile ", {"quick", "short", "paper", "auto"}),
        ("dasbench run mine.yaml --profile ", {"tiny", "large", "auto"}),
        ("dasbench run mine.yaml --methods ", {"on", "a b"}),
        ("dasbench run demo --methods darts rand", {"random"}),
        ("dasbench run demo --memory ", {"full", "low"}),
        ("dasbench run demo --prof", {"--profile"}),
        ("dasbench run broken.yaml --profile q", {"quick", "quick-cpu"}),
        ("dasbench status ", {"demo", "demo-quick", "mine", "mine-quick-cpu"}),
        ("dasbench status --profile qu", {"quick", "quick-cpu"}),
        ("dasbench status demo-quick --profile qu", {"quick"}),
        ("dasbench cancel demo --methods l1", {"l1-filters"}),
        ("dasbench report demo --formats t", {"tex"}),
        ("dasbench show DARTS_", {"DARTS_V1", "DARTS_V2"}),
        ("dasbench export runs/d", {"runs/demo-quick/", "runs/demo-quick/train-darts-s0-r0-bb"}),
        ("dasbench launch demo --cluster exa", {"example-cpu", "example-gpu"}),
        ("dasbench speed dar", {"darts", "darts-2nd", "darts-low"}),
        ("dasbench list exp", {"experiments"}),
    ],
)
def test_offers(line: str, words: set[str], runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = set(offered(line, monkeypatch))
    assert {word for word in found if not word.startswith("-")} | (found & words) == words


def test_the_installed_command_answers_a_shell(runs: Path) -> None:
    """Through the file descriptor that a shell reads, and without torch."""
    line = "dasbench status demo-quick --profile "
    code = "import sys; from bench.cli import main; main()"
    done = subprocess.run(
        ["bash", "-c", f'"{sys.executable}" -X importtime -c "{code}" 8>&1 9>/dev/null'],
        capture_output=True,
        text=True,
        cwd=runs.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT), "RUNS_DIR": str(runs), "_ARGCOMPLETE": "1",
             "_ARGCOMPLETE_IFS": " ", "COMP_LINE": line, "COMP_POINT": str(len(line))},
    )  # fmt: skip
    assert set(done.stdout.split()) == {"quick", "auto"}
    assert "argcomplete" in done.stderr
    assert "torch" not in done.stderr
