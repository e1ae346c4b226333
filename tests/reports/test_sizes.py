"""What titles say of the size of networks; tables stay as they are."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from reports.collect import _details
from reports.rows import Row, Setting
from reports.sizes import say_sizes

NETWORK: dict[str, Any] = {"channels": 36, "cells": 20}
HEAD = "cifar10, profile quick, recipe plain (abcdefgh)"


def rows(tmp_path: Path, *spaces: str | None, network: dict[str, Any] = NETWORK) -> list[Row]:
    """A row with a training of a network of each space; None for one that has not begun."""
    config = {"data": {"train_images": 2000}, "network": network, "precision": "bf16"}
    setting = Setting("cifar10", "quick", "plain", "abcdefghij", _details(config))
    found = []
    for number, space in enumerate(spaces):
        path = tmp_path / str(number)
        path.mkdir()
        if space is not None:
            (path / "architecture.json").write_text(json.dumps({"space": space}))
        row = Row(setting, str(number), "darts", "scratch")
        row.trains.append(SimpleNamespace(path=path, info=SimpleNamespace(config=config)))  # type: ignore[arg-type]
        found.append(row)
    return found


@pytest.mark.parametrize(
    ("spaces", "said"),
    [
        (("darts_cell",), "2000 training images, C=36, 20 cells, bf16"),
        (("chain_xs", "timm"), "2000 training images, bf16, chain_xs: channels 8"),
        (("nasbench201",), "2000 training images, bf16, nasbench201: channels 16, cells_per_stage 5"),
        (("chain_xs", "darts_cell"), "2000 training images, C=36, 20 cells, bf16, chain_xs: channels 8"),
        (("chain_xs", None), "2000 training images, C=36, 20 cells, bf16, chain_xs: channels 8"),
        (("of_another_package",), "2000 training images, C=36, 20 cells, bf16"),
    ],
)
def test_a_title_says_the_size_of_what_stands_in_its_table(
    tmp_path: Path, spaces: tuple[str | None, ...], said: str
) -> None:
    found = rows(tmp_path, *spaces)
    before = [row.setting for row in found]
    say_sizes(found)
    assert {row.setting.title for row in found} == {f"{HEAD}, {said}"}
    assert [row.setting for row in found] == before
    assert [row.setting.slug for row in found] == [setting.slug for setting in before]


def test_a_size_that_the_profile_gives_is_said_once(tmp_path: Path) -> None:
    found = rows(tmp_path, "chain_xs", network={**NETWORK, "scales": {"chain_xs": {"channels": 16}}})
    say_sizes(found)
    assert found[0].setting.title == f"{HEAD}, 2000 training images, chain_xs: channels 16, bf16"
