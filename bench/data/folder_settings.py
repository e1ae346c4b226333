"""What an experiment says of a data set that is a folder, and what of it belongs to a run's identity."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from bench.config import ConfigError, identity, restore
from bench.data.decoding import FULL_SCALE, Decoding
from bench.data.names import DATASETS
from bench.names import NAME
from methods.domain import KEY, check, shown, within


@dataclass(frozen=True)
class FolderSettings:
    """A data set that is a folder: FOLDER/train/<class>/ and FOLDER/val/<class>/, or FOLDER/<class>/ with a share.

    Attributes:
        folder: its path; relative to the experiment's file. Where it lies is no part of a run's identity.
        name: what it is called in tables and records; the folder's own name by default.
        test: the name of the folder of test images beside `train`, or the share of the images of every class that are
            the test images. By default the one of val, valid, validation and test that is there.
        flip: False where a mirrored image is no longer of its class.
        channels: 3 or 1 (grey).
        white: the value of a 16-bit pixel that is white.
    """

    folder: str
    name: str = ""
    test: str | float | None = None
    flip: bool = True
    channels: Literal[1, 3] = 3
    white: int = field(default=FULL_SCALE, metadata=within("[255, 65535]"))

    def __post_init__(self) -> None:
        check(self, ConfigError)
        if not self.name:
            object.__setattr__(self, "name", Path(self.folder).expanduser().name)
        if self.name not in NAME[KEY] or self.name in DATASETS:
            why = "is the name of another data set" if self.name in DATASETS else NAME[KEY].describe("")
            raise ConfigError(f"the data set is called {shown(self.name)}, which {why}; give it a 'name'")
        share = self.test
        if isinstance(share, float) and not 0 < share < 1:
            raise ConfigError(f"test is {share}; it must be a share between 0 and 1, or the name of a folder")

    @property
    def decoding(self) -> Decoding:
        return Decoding(channels=self.channels, white=self.white)


def beside(settings: FolderSettings, place: Path) -> FolderSettings:
    """The settings with an absolute path: environment variables and "~" replaced, relative to the folder `place`.

    Raises:
        ConfigError: a variable that is not set.
    """
    path = os.path.expandvars(os.path.expanduser(settings.folder))
    if unset := re.search(r"\$\{?\w+\}?", path):
        raise ConfigError(f"dataset.folder: the environment variable {unset[0]} is not set; set it, or give the path")
    return replace(settings, folder=os.path.abspath(place / path))


def folder_identity(settings: FolderSettings, content: Mapping[str, Any]) -> dict[str, Any]:
    """What decides the results of runs on a folder: its settings without its place, and what its images are."""
    kept = {key: value for key, value in identity(settings).items() if key not in ("folder", "name")}
    return {**kept, "content": dict(content)}


def settings_of(name: str, folder: str, identity_: Mapping[str, Any]) -> FolderSettings:
    """Inverse of `folder_identity`."""
    stored = {key: value for key, value in identity_.items() if key != "content"}
    return restore(FolderSettings, {**stored, "name": name, "folder": folder}, "folder")
