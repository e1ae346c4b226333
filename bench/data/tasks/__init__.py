"""What of the data depends on the task: a file for each task, called as the task (`methods.tasks`). It has

def list_parts(settings: FolderSettings, where: tuple[Path, ...]) -> Parts      what lies in a folder, not decoded
def load_folder(settings, image_size, runs_dir, content, note) -> ImageData     the folder as a data set
def prepared(data: ImageData, task: Task, settings: Mapping) -> ImageData       as networks of a run have it
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from bench.data.images import ImageData
from methods.tasks import task_of


def data_of(config: Mapping[str, Any]) -> Any:
    """The file of a run's task, by the run's configuration."""
    return import_module(f"{__name__}.{task_of(config).name}")


def prepared(data: ImageData, config: Mapping[str, Any]) -> ImageData:
    """The images of a run's data set as its task has them: for super-resolution in two resolutions.

    Args:
        config: of the run.
    """
    found: ImageData = data_of(config).prepared(data, task_of(config), config["data"])
    return found
