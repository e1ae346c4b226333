"""Images and their classes: folders of class folders, and nothing to prepare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.data.folders import load_folder
from bench.data.images import ImageData
from bench.data.layout import list_parts
from methods.tasks.base import Task

__all__ = ["list_parts", "load_folder", "prepared"]


def prepared(data: ImageData, task: Task, settings: Mapping[str, Any]) -> ImageData:
    return data
