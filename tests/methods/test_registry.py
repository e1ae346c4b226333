"""Methods by name: found once, and a broken third-party package stands in nobody's way."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint

import pytest

from methods import registry
from methods.base import MethodError
from methods.registry import ENTRY_POINT_GROUP, all_methods, broken_plugins, get_method


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
