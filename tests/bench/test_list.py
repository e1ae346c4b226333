"""`dasbench list`: what it says is declared beside each thing, and is true."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.cli import main
from bench.commands.list import KINDS
from bench.plan import catalogue
from bench.plan.evaluation import evaluator_names
from methods.facts import Facts, declared, own_methods
from methods.registry import all_methods
from methods.spaces import get_space, space_names
from tests.plugins.test_plugin import installed  # noqa: F401

ROOT = Path(__file__).parents[2]


def test_the_facts_read_from_the_source_are_those_of_the_classes() -> None:
    assert dict(own_methods()) == {name: cls.facts for name, cls in all_methods().items()}


@pytest.mark.parametrize("name", own_methods())
def test_every_method_of_ours_says_what_it_is(name: str) -> None:
    facts = own_methods()[name]
    assert all([facts.special, facts.paper, facts.space, facts.kind])
    assert len(facts.special) <= 110
    for space in facts.space.split(", "):
        assert space == "any" or get_space(space)


def test_no_two_methods_are_described_alike() -> None:
    assert len({facts.special for facts in own_methods().values()}) == len(own_methods())


def test_every_space_is_described() -> None:
    assert set(catalogue.spaces()) == {get_space(name).name for name in space_names()}
    assert all(catalogue.spaces().values())
    with pytest.raises(Exception, match="Known spaces: " + ", ".join(space_names())):
        get_space("nothing")


def test_every_evaluator_is_listed_with_what_it_is() -> None:
    assert set(catalogue.evaluators()) == set(evaluator_names())
    assert all(text.startswith("Scores by ") for text in catalogue.evaluators().values())


def test_a_class_without_facts_is_described_by_its_docstring() -> None:
    source = '@register("mine")\nclass Mine(CellSampler):\n    """Draws cells.\n\n    And more.\n    """\n'
    assert list(declared(source)) == [("mine", Facts("Draws cells."))]
    source = source.replace("CellSampler", "base.SamplingSearch")
    assert list(declared(source)) == [("mine", Facts("Draws cells.", kind="sampling search"))]


def test_everything_is_listed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    run = tmp_path / "demo-quick" / "train-a"
    run.mkdir(parents=True)
    (run / "run.json").write_text("not JSON")
    assert main(["list", "--runs-dir", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    for word in (*KINDS, "mgas-ablation", "--profile short: one GPU", "pc-darts-imagenet", "DARTS_V2", "0 of 1 done"):
        assert word in said
    assert main(["list", "methods", "--runs-dir", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "gradient search in darts_cell, nasbench201, chain_s, chain_xs, chain_imagenet; Xu et al., ICLR 2020" in said
    assert "plain-cifar" not in said
    assert main(["list", "method", "--runs-dir", str(tmp_path)]) == 2
    assert "did you mean 'methods'?" in capsys.readouterr().err


def test_it_imports_no_torch_and_knows_plugins(installed: dict[str, str]) -> None:  # noqa: F811
    """The plugin declares nothing but its name: it is listed by its docstring, without being imported."""
    code = "import sys; from bench.cli import main; main(['list', 'methods']); sys.exit('torch' in sys.modules)"
    environment = {**installed, "PYTHONPATH": os.pathsep.join([str(ROOT), installed["PYTHONPATH"]])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.search(r"aging_evolution +Evolves cells of the DARTS space", done.stdout)


def test_a_broken_plugin_is_listed_as_broken(installed: dict[str, str], tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "dasbench_evolution.py").write_text("raise RuntimeError('out of order')")
    path = os.pathsep.join([str(ROOT), str(tmp_path / "broken"), installed["PYTHONPATH"]])
    code = "from bench.cli import main; main(['list', 'methods'])"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**installed, "PYTHONPATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "(dasbench_evolution) cannot be loaded: RuntimeError: out of order" in done.stdout
    assert "pc_darts" in done.stdout
