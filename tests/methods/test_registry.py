"""Methods by name: found once, and a broken third-party package stands in nobody's way."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from methods import facts, registry
from methods.base import MethodError, SamplingSearch
from methods.facts import own_modules
from methods.registry import ENTRY_POINT_GROUP, all_methods, broken_plugins, get_method, register

ROOT = Path(__file__).parents[2]


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Every scan of the installed packages; they offer one plugin that raises and one that is not there."""
    seen: list[str] = []

    def entry_points(group: str) -> list[EntryPoint]:
        seen.append(group)
        return [
            EntryPoint("exits", "tests.methods.broken_plugin", group),
            EntryPoint("absent", "no_such_module_of_ours", group),
        ]

    monkeypatch.setattr(registry, "entry_points", entry_points)
    broken_plugins.cache_clear()
    yield seen
    broken_plugins.cache_clear()


def test_the_packages_are_searched_once(scans: list[str]) -> None:
    for _ in range(20):
        assert get_method("darts").name == "darts"
        all_methods()
    assert scans == [ENTRY_POINT_GROUP]


def test_a_broken_plugin_is_named_and_the_others_work(scans: list[str]) -> None:
    assert {"darts", "mgas", "random_sampling"} <= set(all_methods())
    assert broken_plugins()["exits"] == (
        "plugin 'exits' (tests.methods.broken_plugin) cannot be loaded: SystemExit: this one gives up"
    )
    with pytest.raises(MethodError, match=r"unknown method 'absent'.*ModuleNotFoundError: .*no_such_module_of_ours"):
        get_method("absent")


def test_only_the_file_of_the_asked_method_is_imported() -> None:
    code = (
        "import sys; from methods.registry import get_method; get_method('random_sampling');"
        "parts = {part for name in sys.modules for part in name.split('.')};"
        "loaded = {'mgas', 'pruning', 'darts', 'pc_darts'} & parts;"
        "assert get_method('darts').name == 'darts'; sys.exit(repr(loaded) if loaded else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_new_file_is_a_new_method(own: dict[Path, str]) -> None:
    own[facts.FOLDER / "sampling" / "hill.py"] = REGISTERED.format("hill")
    assert own_modules()["hill"] == "methods.sampling.hill"
    own[facts.FOLDER / "spaces" / "hills.py"] = REGISTERED.format("grid").replace("methods.registry", "methods.spaces")
    facts._own.cache_clear()
    assert "grid" not in own_modules(), "another registry's decorator"


def test_two_files_with_one_name_are_refused(own: dict[Path, str]) -> None:
    for name in ("hill", "climb"):
        own[facts.FOLDER / f"{name}.py"] = REGISTERED.format("hill")
    with pytest.raises(MethodError, match=r"two methods are called 'hill': methods\.hill and methods\.climb"):
        own_modules()


def test_nobody_takes_the_name_of_one_of_ours() -> None:
    """Not even before ours was imported."""
    with pytest.raises(MethodError, match=r"two methods are called 'darts': methods.*darts and tests"):
        register("darts")(type("Mine", (SamplingSearch,), {"__module__": "tests.mine"}))


REGISTERED = (
    'from methods.registry import register\n\n\n@register("{}")\nclass Hill(SamplingSearch):\n    """Climbs."""\n'
)


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[Path, str]]:
    """The texts of this package's files, to which a test adds."""
    texts = dict(facts._sources())
    monkeypatch.setattr(facts, "_sources", lambda: texts)
    facts._own.cache_clear()
    yield texts
    facts._own.cache_clear()
