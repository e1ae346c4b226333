"""Training augmentation on the device: a pure function of an image batch and of numbers drawn beforehand.

`draw` makes the random numbers of a whole epoch on the CPU, row k for the k-th image of the epoch; `augment` applies
the rows of one batch. The order of operations is that of the published recipes: crop, flip, AutoAugment (on uint8),
normalise, cutout.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from bench.data.autoaugment import OPERATIONS, TORCHVISION, apply_stage, draw_jitter, draw_policy
from bench.data.autoaugment_pil import PIL
from bench.data.image_files import CROP_TRIES
from bench.data.images import DataError, DatasetInfo
from bench.data.names import ALL_AUGMENTATIONS

POLICIES = {"autoaugment": TORCHVISION, "autoaugment-pil": PIL}


@dataclass(frozen=True)
class Augmentation:
    """What happens to a training image, and how it is normalised.

    Attributes:
        padding: zero padding of the random crop in pixels; 0 means no crop.
        flip: mirror half of the images.
        cutout: side of the zeroed square in pixels; 0 means none.
        policy: "autoaugment", "autoaugment-pil", "jitter" or None.
        resized_crop: random resized crop while decoding; only for images that are files.
        patch: side of the patches of photographs, in pixels of high resolution; 0 for none.
        turn: turn half of them upside down, and make the rows of half of them their columns.
        mean, std: by channel, for pixels in [0, 1].
    """

    name: str
    image_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    padding: int = 0
    flip: bool = False
    cutout: int = 0
    policy: str | None = None
    resized_crop: bool = False
    patch: int = 0
    turn: bool = False


def get_augmentation(name: str, info: DatasetInfo, cutout: int | None = None) -> Augmentation:
    """The augmentation of that name with a data set's sizes.

    A data set whose classes do not survive mirroring (`info.flip` is False) is never flipped.

    Args:
        cutout: side of the cutout square in pixels; None means the data set's usual one.

    Raises:
        DataError: no such name.
    """
    if name not in ALL_AUGMENTATIONS:
        near = difflib.get_close_matches(name, ALL_AUGMENTATIONS, n=1)
        hint = f"; did you mean '{near[0]}'? Known" if near else "; known"
        raise DataError(f"unknown augmentation '{name}'{hint}: {', '.join(ALL_AUGMENTATIONS)}")
    plain = Augmentation(name, info.image_size, info.mean, info.std)
    parts = name.replace("resized-crop", "resized_crop").split("-")
    return replace(
        plain,
        padding=info.padding if "crop" in parts else 0,
        flip="flip" in parts and info.flip,
        cutout=(info.cutout if cutout is None else cutout) if "cutout" in parts else 0,
        policy="-".join(part for part in parts if part in ("autoaugment", "pil", "jitter")) or None,
        resized_crop="resized_crop" in parts,
        patch=int(parts[1]) if "patch" in parts else 0,
        turn="rotate" in parts,
    )


def draw(augmentation: Augmentation, count: int, generator: torch.Generator) -> dict[str, Tensor]:
    """All random numbers for `count` images, on the CPU, by name; every tensor has `count` rows.

    "offset" int64 (count, 2), rows and columns of the crop in the padded image; "flip" bool (count,); "hole" int64
    (count, 2), the centre of the cutout; "resized_crop" float32 (count, CROP_TRIES, 4); "operations", "magnitudes" and
    "matrices" of the policy's stages (see `bench.data.autoaugment`); "place" float64 (count, 2), where a patch is as a
    share of the rows and columns it can begin at; "turn" bool (count, 2), upside down and rows as columns.
    """
    size = augmentation.image_size
    drawn: dict[str, Tensor] = {}
    if augmentation.padding:
        drawn["offset"] = torch.randint(2 * augmentation.padding + 1, (count, 2), generator=generator)
    if augmentation.flip:
        drawn["flip"] = torch.rand(count, generator=generator) < 0.5
    if augmentation.cutout:
        drawn["hole"] = torch.randint(size, (count, 2), generator=generator)
    if augmentation.resized_crop:
        drawn["resized_crop"] = torch.rand(count, CROP_TRIES, 4, generator=generator)
    if augmentation.policy in POLICIES:
        drawn |= draw_policy(count, size, generator, POLICIES[augmentation.policy])
    if augmentation.policy == "jitter":
        drawn |= draw_jitter(count, generator)
    if augmentation.patch:
        drawn["place"] = torch.rand(count, 2, generator=generator, dtype=torch.float64)
    if augmentation.turn:
        drawn["turn"] = torch.rand(count, 2, generator=generator) < 0.5
    return drawn


def stage_order(operations: Tensor) -> tuple[Tensor, list[list[int]]]:
    """How a batch is grouped by operation in each stage; computed on the CPU.

    Args:
        operations: int64, (B, stages).

    Returns:
        positions sorted by operation, int64, (B, stages); and for each stage the number of images of each operation.
    """
    counts = [torch.bincount(stage, minlength=len(OPERATIONS)).tolist() for stage in operations.unbind(1)]
    return operations.argsort(dim=0, stable=True), counts


def augment(
    images: Tensor, drawn: dict[str, Tensor], counts: list[list[int]] | None, augmentation: Augmentation
) -> Tensor:
    """Augment and normalise one batch.

    Args:
        images: uint8, (B, C, H, W).
        drawn: the batch's rows of `draw`, on the images' device; with a policy also "order" from `stage_order`.
        counts: from `stage_order`, on the host; None without a policy.

    Returns:
        float32, (B, C, H, W).
    """
    if "offset" in drawn or "flip" in drawn:
        images = crop_and_flip(images, drawn.get("offset"), drawn.get("flip"), augmentation.padding)
    for stage, stage_counts in enumerate(counts or []):
        matrices = drawn["matrices"][:, stage] if "matrices" in drawn else None
        images = apply_stage(images, drawn["order"][:, stage], stage_counts, drawn["magnitudes"][:, stage], matrices)
    normalised = normalise(images, augmentation.mean, augmentation.std)
    return cutout(normalised, drawn["hole"], augmentation.cutout) if "hole" in drawn else normalised


def crop_and_flip(images: Tensor, offset: Tensor | None, flip: Tensor | None, padding: int) -> Tensor:
    """Pad with zeros, take each image's window at `offset`, mirror where `flip`: one gather."""
    count, _, height, width = images.shape
    rows = torch.arange(height, device=images.device).expand(count, height)
    columns = torch.arange(width, device=images.device).expand(count, width)
    if flip is not None:
        columns = torch.where(flip[:, None], width - 1 - columns, columns)
    if offset is not None:
        images = torch.nn.functional.pad(images, (padding,) * 4)
        rows, columns = rows + offset[:, :1], columns + offset[:, 1:]
    which = torch.arange(count, device=images.device)[:, None, None]
    return images[which, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def normalise(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """(pixel / 255 - mean) / std by channel; uint8 in, float32 out."""
    channels = [(images[:, c : c + 1].float() / 255 - mean[c]) / std[c] for c in range(len(mean))]
    return torch.cat(channels, dim=1)


def cutout(images: Tensor, centre: Tensor, length: int) -> Tensor:
    """Zero a square of side `length` around `centre`, clipped at the borders (DeVries & Taylor 2017, section 3.2).

    Args:
        images: float, (B, C, H, W).
        centre: int64, (B, 2), row and column.
    """
    height, width = images.shape[-2:]
    low, high = centre - length // 2, centre + length // 2
    rows = torch.arange(height, device=images.device)
    columns = torch.arange(width, device=images.device)
    in_rows = (rows >= low[:, :1]) & (rows < high[:, :1])
    in_columns = (columns >= low[:, 1:]) & (columns < high[:, 1:])
    hole = in_rows[:, :, None] & in_columns[:, None, :]
    return images.masked_fill(hole[:, None], 0.0)
