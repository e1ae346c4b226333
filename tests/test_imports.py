"""Imports point one way: methods <- bench <- reports, slurm. The command line alone looks up, and only when it runs."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from methods.facts import own_methods
from tests.reports.synthetic import Kind, experiment

ROOT = Path(__file__).parents[1]
BELOW = {
    "methods": {"methods"},
    "bench": {"methods", "bench"},
    "reports": {"methods", "bench", "reports"},
    "slurm": {"methods", "bench", "slurm"},
}
"""What the modules of a package may import of the house."""
FLOORS = {
    "names": 0, "seeds": 0,
    "config": 1,
    "strict_yaml": 2, "records": 2, "data": 2,
    "device": 3, "plan": 3,
    "latency": 4,
    "run": 5,
    "speed": 6, "tracking": 6,
}  # fmt: skip
"""The rooms of `bench`, each standing on those below it; rooms on one floor do not import each other."""


def is_command_line(path: Path) -> bool:
    return path.parts[:2] == ("bench", "commands") or path == Path("bench/cli.py")


def imports(tree: ast.AST, package: str) -> Iterator[tuple[str, int]]:
    """Every module a file imports, wherever it stands in it, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            base = ".".join(parts[: len(parts) + 1 - node.level]) if node.level else ""
            module = ".".join(filter(None, [base, node.module]))
            yield from ((f"{module}.{alias.name}", node.lineno) for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("import_module", "__import__"):
                yield str(node.args[0].value), node.lineno


def faults(path: Path, source: str) -> list[str]:
    """What a file of the product imports against the direction; its path is relative to the repository."""
    tree = ast.parse(source)
    package = ".".join(path.parent.parts)
    allowed, found = BELOW[path.parts[0]], []
    for module, line in imports(tree, package):
        top = module.partition(".")[0]
        upwards = top in BELOW and top not in allowed and not is_command_line(path)
        upwards |= module.startswith(("bench.cli", "bench.commands")) and not is_command_line(path)
        if upwards or top == "tests":
            found.append(f"{path}:{line} imports {module}")
    if is_command_line(path):
        at_once = [node for node in tree.body if not isinstance(node, ast.FunctionDef | ast.ClassDef)]
        at_once = [
            node for node in at_once if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test))
        ]
        for module, line in imports(ast.Module(at_once, []), package):
            if module.partition(".")[0] in ("reports", "slurm"):
                found.append(f"{path}:{line} imports {module} before it runs")
    return found


def climbs(path: Path, source: str) -> list[str]:
    """What a module of `bench` imports of a room above its own or beside it."""
    own = path.relative_to("bench").parts[0].removesuffix(".py")
    found = []
    for module, line in imports(ast.parse(source), ".".join(path.parent.parts)):
        other = [*module.split("."), ""][1]
        if module.startswith("bench.") and other in FLOORS and other != own and FLOORS[other] >= FLOORS[own]:
            found.append(f"{path}:{line} imports {module}")
    return found


def circles(graph: dict[str, set[str]]) -> list[str]:
    """The modules that import each other in a circle."""
    left = {module: set(used) for module, used in graph.items()}
    while free := [module for module, used in left.items() if not used & left.keys()]:
        for module in free:
            del left[module]
    while ends := [module for module in left if not any(module in used for used in left.values())]:
        for module in ends:
            del left[module]
    return sorted(left)


def modules(paths: list[Path]) -> dict[str, set[str]]:
    """What each module imports of the others, wherever in its text."""
    names = {".".join(path.with_suffix("").parts).removesuffix(".__init__"): path for path in paths}
    graph: dict[str, set[str]] = {}
    for name, path in names.items():
        tree = ast.parse((ROOT / path).read_text())
        used = {module for module, _ in imports(tree, ".".join(path.parent.parts))}
        found = {each if each in names else each.rpartition(".")[0] for each in used}
        graph[name] = {each for each in found & names.keys() if each != name}
    return graph


def product() -> list[Path]:
    return sorted(path.relative_to(ROOT) for room in BELOW for path in (ROOT / room).rglob("*.py"))


def test_the_whole_tree() -> None:
    assert len(product()) > 150
    assert [fault for path in product() for fault in faults(path, (ROOT / path).read_text())] == []


def test_the_rooms_of_bench_stand_on_each_other() -> None:
    paths = [path for path in product() if path.parts[0] == "bench" and not is_command_line(path)]
    paths = [path for path in paths if path.name != "__init__.py" or len(path.parts) > 2]
    assert {path.parts[1].removesuffix(".py") for path in paths} == set(FLOORS)
    assert [climb for path in paths for climb in climbs(path, (ROOT / path).read_text())] == []
    assert climbs(Path("bench/records/lease.py"), "def f():\n    from bench.run.loop import Loop") != []
    assert climbs(Path("bench/plan/runs.py"), "from bench.device import engine") != []


def test_nothing_imports_itself_in_a_circle() -> None:
    assert circles(modules(product())) == []
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == ["b", "c"]


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("methods/gradient/darts.py", "from bench.config import parse"),
        ("methods/gradient/mgas/cell.py", "def f():\n    import bench"),
        ("bench/run/show.py", "def f():\n    from reports.draw import draw"),
        ("bench/speed/cases.py", "import importlib\nimportlib.import_module('slurm.task')"),
        ("bench/run/one_run.py", "from bench.commands.output import console"),
        ("reports/page.py", "from slurm.status import status"),
        ("slurm/task.py", "import reports"),
        ("bench/commands/show.py", "from reports.draw import draw"),
        ("bench/cli.py", "import slurm"),
        ("methods/parts/bilevel.py", "from ...bench import config"),
        ("bench/speed/cases.py", "from tests.oracles import bilevel"),
    ],
)
def test_what_points_the_other_way_is_found(path: str, source: str) -> None:
    assert len(faults(Path(path), source)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("bench/commands/show.py", "def run():\n    from reports.draw import draw"),
        ("bench/cli.py", "from bench.commands import COMMANDS"),
        ("reports/page.py", "from bench.records.directory import Record\nfrom methods.genotypes import published"),
        ("methods/gradient/mgas/cell.py", "from . import operations\nfrom ..base import Method"),
    ],
)
def test_what_points_the_right_way_is_not(path: str, source: str) -> None:
    assert faults(Path(path), source) == []


HEAVY = ("torch", "numpy", "pandas", "matplotlib", "mlflow", "scipy", "submitit", "sklearn")


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    """It answers in the time a shell needs to start Python, not in the seconds of importing torch."""
    code = (
        "import sys; from bench.cli import build_parser\n"
        f"try: build_parser().parse_args({arguments})\n"
        f"except SystemExit: sys.exit(repr([name for name in {HEAVY} if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stderr.strip() == "[]"
    assert "usage: dasbench" in done.stdout


def test_a_report_loads_no_torch(tmp_path: Path) -> None:
    """Whatever method a record is of: torch is half a gigabyte and three seconds, scipy.stats one more."""
    kinds = [Kind(name, name, 3.0) for name in own_methods()]
    every = experiment(tmp_path, (*kinds, Kind("gone", "not-installed", 3.0)), searches=1, retrains=1, epochs=2)
    one = experiment(tmp_path, (Kind("darts", "darts", 3.0),), searches=1, retrains=1, epochs=2, name="one")
    page, files = str(tmp_path / "page"), str(tmp_path / "files")
    code = (
        "import sys; from bench.cli import main\n"
        f"codes = [main(['report', {str(every)!r}, '--out', {page!r}, '--formats', 'csv', 'html']),\n"
        f"    main(['report', {str(one)!r}, '--out', {files!r}])]\n"
        "sys.exit(repr((codes, [name for name in ('torch', 'scipy.stats') if name in sys.modules])))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stderr.strip() == "([0, 0], [])"
    assert (tmp_path / "page" / "index.html").exists()
    assert {path.suffix for path in (tmp_path / "files" / "cells").iterdir()} == {".png", ".pdf", ".svg"}
