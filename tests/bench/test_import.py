"""`dasbench import` and `dasbench show`: from other people's text to a file that an experiment can name."""

from __future__ import annotations

import io
import json
import sys
import time
from pathlib import Path

import pytest
import yaml

from bench.cli import main
from bench.plan.experiment import load_experiment
from bench.plan.runs import plan
from methods.architecture import Architecture
from methods.genotypes import published
from tests.bench.conftest import TINY
from tests.methods.notations import by_node, flat, genotype_text, nni_sample

V1, V2 = (genotype_text(published(name).genotype, flat) or "" for name in ("DARTS_V1", "DARTS_V2"))
MODULE = f"from collections import namedtuple\nOLD = {V1}\nNEW = {V2}\nDARTS = NEW\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def loaded(name: str) -> Architecture:
    return Architecture.load(Path("architectures") / name)


def test_from_a_file_an_argument_and_standard_input(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "cells.py").write_text(MODULE)
    assert main(["import", "cells.py", "--name", "NEW"]) == 0
    assert main(["import", str(genotype_text(published("DARTS_V1").genotype, by_node)), "--name", "given"]) == 0
    (here / "best.txt").write_text("\ufeff" + V1)
    assert main(["import", "best.txt"]) == 0
    monkeypatch.setattr(
        sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps(nni_sample(published("DARTS_V2").genotype)).encode()))
    )
    assert main(["import", "-", "--name", "nni", "--out", "architectures"]) == 0
    assert loaded("NEW") == loaded("nni") == published("DARTS_V2")
    assert loaded("given") == loaded("best") == published("DARTS_V1")


@pytest.mark.parametrize("line", ["03/12 01:02:03 PM genotype = {}", "BEST = {}", "INFO - {}"])
def test_the_only_one_of_a_text_is_called_as_one_likes(
    line: str, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(line.format(V2).encode() + b"\n")))
    assert main(["import", "-", "--name", "MINE"]) == 0
    assert loaded("MINE") == published("DARTS_V2")
    own = line.partition(" =")[0].split()[-1] if "=" in line else None
    assert (f"called {own} in the text" in capsys.readouterr().out) == bool(own)


def test_a_long_module_of_many_cells_is_read_once(here: Path) -> None:
    """Each genotype's text costs its own length, not the module's."""
    comment = "# " + "n" * 78 + "\r\n"
    (here / "many.py").write_bytes((comment * 20_000 + "".join(f"G{k} = {V1}\r\n" for k in range(2000))).encode())
    began = time.process_time()
    assert main(["import", "many.py", "--name", "G1999"]) == 0
    assert time.process_time() - began < 10
    assert loaded("G1999") == published("DARTS_V1")


def test_all_of_a_file_and_again(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "cells.py").write_text(MODULE)
    assert main(["import", "cells.py", "--all", "--out", "mine"]) == 0
    assert sorted(path.name for path in (here / "mine").iterdir()) == ["DARTS", "NEW", "OLD"]
    assert main(["import", "cells.py", "--all", "--out", "mine"]) == 0
    assert "already in" in capsys.readouterr().out
    (here / "cells.py").write_text(MODULE.replace("OLD =", "BAD = Genotype(normal=1)\nOLD ="))
    assert main(["import", "cells.py", "--all", "--out", "others"]) == 2
    said = capsys.readouterr().out
    assert "3 of 4 imported" in said
    assert "BAD (cells.py, line 2): no reduce cell" in said
    (here / "cells.py").write_text(f"A = {V1}\nOLD = {V2}\nB = {V2}\n")
    assert main(["import", "cells.py", "--all", "--out", "mine"]) == 2
    said = capsys.readouterr().out
    assert "2 of 3 imported" in said
    assert "OLD/architecture.json holds another architecture" in said


def test_an_imported_cell_is_a_row(here: Path, tmp_path: Path) -> None:
    assert main(["import", V1, "--name", "mine"]) == 0
    content = yaml.safe_load(TINY.read_text()) | {"rows": {"mine": {"architecture": "architectures/mine"}}}
    (here / "experiment.yaml").write_text(yaml.safe_dump(content))
    (run,) = plan(load_experiment(str(here / "experiment.yaml")), "tiny")
    assert run.config["architecture"] == {"digest": published("DARTS_V1").digest}


def test_another_architecture_is_not_overwritten(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", V1, "--name", "mine"]) == 0
    assert main(["import", V2, "--name", "mine"]) == 2
    assert "holds another architecture" in capsys.readouterr().err
    assert loaded("mine") == published("DARTS_V1")


def test_show_takes_what_import_takes(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "cell.txt").write_text(V2)
    published("DARTS_V2").save(here / "saved")
    small = ["--channels", "4", "--cells", "3"]
    for given in ("DARTS_V2", V2, "cell.txt", "saved", "saved/architecture.json"):
        assert main(["show", given, *small]) == 0
        assert "digest bc1798975f850952" in capsys.readouterr().out


LONG = "a" * 100_000


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["show", "DARTS_V3"], "did you mean 'DARTS_V2'? Published: DARTS_V2, DARTS_V1, "),
        (["show", "zzz"], "nothing called 'zzz'; Published: "),
        (["show", "[bold]x[/"], "nothing called '[bold]x[/'"),
        (["show", ""], "nothing called ''"),
        (["show", LONG], "nothing called 'aaa"),
        (["show", "x" + "(" * 100_000], "no architecture in a known notation"),
        (["show", "binary"], "binary is not text"),
        (["show", "folder"], "no architecture at folder"),
        (["show", "cells.py"], "3 architectures; choose one with --name: OLD, NEW, DARTS"),
        (["show", "DARTS_V2", "--cells", "0"], "'0' is not a whole number of 1 to 200"),
        (["show", "DARTS_V2", "--stem", "imagenet", "--image-size", "3"], "3x3 pixels do not go through"),
        (["show", "DARTS_V2", "--channels", "4", "--cells", "3", "--out", "/proc/x.png"], "cannot write /proc/x.png"),
        (["import", "missing.py"], "no file missing.py"),
        (["import", LONG], "no file aaa"),
        (["import", "binary"], "binary is not text"),
        (["import", "folder"], "folder is a folder"),
        (["import", "loop"], "no file loop"),
        (["import", ""], "no text given"),
        (["import", "saved"], "is an architecture already; look at it with: dasbench show"),
        (["import", "saved/architecture.json"], "is an architecture already; look at it with: dasbench show"),
        (["import", "nan.json"], "no architecture in a known notation"),
        (["import", "cells.py"], "3 architectures; choose one with --name: OLD, NEW, DARTS"),
        (["import", "cells.py", "--name", "NWE"], "did you mean 'NEW'"),
        (["import", "cells.py", "--name", "NEW", "--all"], "leave one of them out"),
        (["import", "cells.py", "--name", "NEW", "--conventions", "drna"], "did you mean 'drnas'"),
        (["import", "cells.py", "--name", "NEW", "--masks", "binary"], "no use for --masks"),
        (["import", "cells.py", "--name", "NEW", "--out", "binary"], "cannot write binary/NEW/architecture.json"),
        (["import", V2, "--name", "../up"], "cannot name a folder"),
        (["import", V2, "--name", "a" * 200], "cannot name a folder"),
        (["import", "cells.py", "--channels", "-4"], "not a whole number of 1"),
        (["import", "Genotype(\0)"], "not Python text"),
    ],
)
def test_mistakes_end_with_one_message(
    here: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "cells.py").write_text(MODULE)
    (here / "binary").write_bytes(bytes(range(256)))
    (here / "folder").mkdir()
    (here / "loop").symlink_to("loop")
    (here / "nan.json").write_text('{"a": NaN}')
    published("DARTS_V2").save(here / "saved")
    try:
        code = main(arguments)
    except SystemExit as error:
        code = int(error.code or 0)
    message = capsys.readouterr().err
    assert code == 2
    assert words in message
    assert len(message) < 900
    assert not (here / "architectures").exists()
    assert not (here.parent / "up").exists()
