"""Photographs in the two resolutions of a run, and what networks are told of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bench.data.images import ImageData, LabelledImages
from bench.data.photograph_folders import USUAL_PATCH, list_parts, load_folder
from bench.data.photographs import Photographs
from methods.tasks.super_resolution import SuperResolution

__all__ = ["list_parts", "load_folder", "prepared"]


def prepared(data: ImageData, task: SuperResolution, settings: Mapping[str, Any]) -> ImageData:
    """With the task's factor, and as many patches of each photograph in an epoch as the settings say."""
    scale, patches = task.scale, int(settings.get("patches", 1))
    info = replace(
        data.info,
        image_size=task.input_side(USUAL_PATCH),
        head=task.outputs(data.info.channels),
        counted_at=task.counted_at,
        examples=patches,
    )

    def in_two(images: LabelledImages, patches: int) -> LabelledImages:
        assert isinstance(images.images, Photographs)
        return LabelledImages(replace(images.images, scale=scale, patches=patches), images.labels)

    return ImageData(info, in_two(data.train, patches), lambda: in_two(data._read_test(), 1))
