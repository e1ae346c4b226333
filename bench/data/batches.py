"""Batches on the device. Order and augmentation are functions of (seed, stream, epoch): the state is (epoch, step)."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bench.data.augment import Augmentation, augment, draw, stage_order
from bench.data.image_files import ImageFiles, decoders
from bench.data.images import DataError, Images
from bench.data.photographs import Photographs
from methods.base import Batch

AHEAD = 2
"""Batches of image files that are decoded while a step computes."""
ON_HOST = ("operations", "resized_crop", "place", "turn")
"""Random numbers that are needed there alone."""


def check_crop(images: Images, augmentation: Augmentation) -> None:
    """Raises DataError for a crop that needs the original file, of images that are in memory, or a patch of images that
    are no photographs, or are smaller; then with the names of all of those."""
    if augmentation.resized_crop and isinstance(images, Tensor):
        raise DataError(
            f"augmentation '{augmentation.name}' is for image files; images in memory take 'crop-flip' and its like"
        )
    if isinstance(images, Photographs):
        _check_patch(images, augmentation)
    elif augmentation.patch:
        raise DataError(f"augmentation '{augmentation.name}' cuts patches out of photographs, for super-resolution")


def _check_patch(images: Photographs, augmentation: Augmentation) -> None:
    side, scale = augmentation.patch, images.scale
    if not side and augmentation.name != "none":
        raise DataError(
            f"augmentation '{augmentation.name}' is for classes; photographs take patches, as 'patch-64-flip-rotate'"
        )
    if side % scale:
        raise DataError(f"a patch of {side} pixels is no multiple of the factor {scale}; choose another augmentation")
    small = [f"{each.name} ({each.size[1]}x{each.size[0]})" for each in images.smaller_than(side)]
    if small:
        raise DataError(
            f"{len(small)} of {len(images)} photographs are smaller than a patch of {side}x{side} pixels: "
            f"{', '.join(small)}; remove them, or choose an augmentation with smaller patches"
        )


class Batches:
    """A labelled set of images, served as augmented batches.

    Images in memory are moved to the device once; image files are decoded by threads, AHEAD batches ahead.
    """

    def __init__(
        self,
        images: Images,
        labels: Tensor,
        batch_size: int,
        augmentation: Augmentation,
        seed: int,
        device: torch.device | str = "cpu",
        *,
        shuffle: bool = True,
        drop_last: bool = False,
        stream: str = "train",
        fresh: bool = False,
        rank: int = 0,
        world_size: int = 1,
        memory_format: torch.memory_format = torch.contiguous_format,
    ) -> None:
        """
        Args:
            images: uint8, (N, C, H, W), or files.
            labels: int64, (N,).
            batch_size: images of one step, over all ranks together.
            augmentation: see `bench.data.augment.get_augmentation`.
            seed, stream: with the epoch they decide order and augmentation; two streams of one seed (the training and
                the validation batches of a search) are independent.
            fresh: draw every batch from all images anew (without repetition inside it) instead of in passes.
            rank, world_size: this process serves its share of every batch; the shares of all ranks, one after the
                other, are the batch that a single process would serve.

        Raises:
            DataError: no images, a batch larger than the set while `drop_last`, or a batch with fewer images than
                ranks.
        """
        self.images, self.labels = images, labels
        self.batch_size, self.augmentation = batch_size, augmentation
        self.seed, self.stream = seed, stream
        self.device = torch.device(device)
        self.shuffle, self.drop_last, self.fresh = shuffle, drop_last, fresh
        self.rank, self.world_size = rank, world_size
        self.memory_format = memory_format
        self._check()
        if isinstance(images, Tensor):
            self.images = images.to(self.device)
        self.labels = labels.to(self.device)

    def _check(self) -> None:
        count, last = len(self.labels), len(self.labels) % self.batch_size
        if self.batch_size < 1 or len(self) == 0:
            raise DataError(f"no batch of {self.batch_size} in {count} images; choose a smaller batch size")
        smallest = self.batch_size if self.drop_last or last == 0 else last
        if smallest < self.world_size:
            raise DataError(
                f"a batch of {smallest} images cannot be shared by {self.world_size} processes; "
                "use drop_last, another batch size or fewer processes"
            )
        check_crop(self.images, self.augmentation)

    def __len__(self) -> int:
        """Steps of an epoch."""
        full, rest = divmod(len(self.labels), self.batch_size)
        return full + (1 if rest and not self.drop_last else 0)

    @property
    def smallest(self) -> int:
        """Images of the smallest batch, over all ranks."""
        last = len(self.labels) % self.batch_size
        return last if last and not self.drop_last else min(self.batch_size, len(self.labels))

    def images_in(self, step: int) -> int:
        """Images of a step's batch, over all ranks; the last one of an epoch may have fewer than the others."""
        return min(self.batch_size, len(self.labels) - step * self.batch_size)

    @property
    def images_per_epoch(self) -> int:
        """Images served in an epoch, over all ranks."""
        return len(self) * self.batch_size if self.drop_last else len(self.labels)

    def epoch(self, epoch: int, start_step: int = 0, steps: int | None = None) -> Iterator[Batch]:
        """Batches of an epoch from `start_step` on; earlier steps are jumped over, not replayed.

        Args:
            steps: end of the epoch; None means one pass over the images. Beyond one pass, further passes follow in
                new orders (a validation set smaller than the training set it is paired with).

        Yields:
            images, float32, (B, C, H, W), normalised, on the device; labels, int64, (B,).
        """
        yield from self._serve(self._orders(epoch, start_step, len(self) if steps is None else steps))

    def _orders(self, epoch: int, step: int, end: int) -> Iterator[tuple[Pass, int]]:
        """For each step of an epoch the pass it belongs to and its number there."""
        length = 1 if self.fresh else len(self)
        while step < end:
            number, first = divmod(step, length)
            last = min(length, first + end - step)
            order = Pass.make(self, epoch, number)
            yield from ((order, place) for place in range(first, last))
            step += last - first

    def _serve(self, orders: Iterator[tuple[Pass, int]]) -> Iterator[Batch]:
        if isinstance(self.images, Tensor):
            for order, step in orders:
                yield self._finish(order, step, self.images[order.indices[order.rows(step)]])
            return
        with ThreadPoolExecutor(decoders()) as pool, ThreadPoolExecutor(1) as ahead:
            waiting: deque[tuple[tuple[Pass, int], Future[Any]]] = deque()
            for step_of in orders:
                waiting.append((step_of, ahead.submit(self._decode, *step_of, pool)))
                if len(waiting) > AHEAD:
                    yield self._next(waiting)
            while waiting:
                yield self._next(waiting)

    def _next(self, waiting: deque[tuple[tuple[Pass, int], Future[Any]]]) -> Batch:
        step_of, decoded = waiting.popleft()
        return self._take(*step_of, decoded.result())

    def _take(self, order: Pass, step: int, decoded: Any) -> Batch:
        """A batch on the device, of what `_decode` gave for it."""
        return self._finish(order, step, decoded.to(self.device, non_blocking=True))

    def _decode(self, order: Pass, step: int, pool: ThreadPoolExecutor) -> Any:
        """On the host, ahead of its step: the images of a batch."""
        assert isinstance(self.images, ImageFiles)
        rows = order.rows(step)
        crops = order.host_drawn.get("resized_crop")
        images = self.images.read(order.host_indices[rows], None if crops is None else crops[rows], pool)
        return images.pin_memory() if self.device.type == "cuda" else images

    def _finish(self, order: Pass, step: int, images: Tensor) -> Batch:
        rows = order.rows(step)
        drawn = {name: values[rows] for name, values in order.drawn.items()}
        images = augment(images, drawn, order.counts.get(step), self.augmentation)
        return images.contiguous(memory_format=self.memory_format), self.labels[order.indices[rows]]


@dataclass
class Pass:
    """One pass over the images, or one batch drawn afresh: order and random numbers, on the host and on the device."""

    shares: list[slice]
    host_indices: Tensor
    host_drawn: dict[str, Tensor]
    indices: Tensor
    drawn: dict[str, Tensor]
    counts: dict[int, list[list[int]]]

    def rows(self, step: int) -> slice:
        """This process's share of a step, as rows of the pass."""
        return self.shares[step]

    @classmethod
    def make(cls, batches: Batches, epoch: int, number: int) -> Pass:
        count = len(batches.labels)
        generator = torch.Generator().manual_seed(_pass_seed(batches.seed, batches.stream, epoch, number))
        indices = torch.randperm(count, generator=generator) if batches.shuffle else torch.arange(count)
        if batches.fresh:
            indices = indices[: batches.batch_size]
        drawn = draw(batches.augmentation, len(indices), generator)
        shares = [_share(batches, step) for step in range(1 if batches.fresh else len(batches))]
        counts: dict[int, list[list[int]]] = {}
        moved = {name: values for name, values in drawn.items() if name not in ON_HOST}
        if "operations" in drawn:
            moved["order"] = torch.zeros_like(drawn["operations"])
            for step, rows in enumerate(shares):
                moved["order"][rows], counts[step] = stage_order(drawn["operations"][rows])
        moved = {name: values.to(batches.device) for name, values in moved.items()}
        return cls(shares, indices, drawn, indices.to(batches.device), moved, counts)


def _share(batches: Batches, step: int) -> slice:
    """Rows of this rank in a step: consecutive shares whose sizes differ by at most one."""
    start = step * batches.batch_size
    size = min(batches.batch_size, len(batches.labels) - start)
    small, larger = divmod(size, batches.world_size)
    begin = batches.rank * small + min(batches.rank, larger)
    return slice(start + begin, start + begin + small + (1 if batches.rank < larger else 0))


def _pass_seed(seed: int, stream: str, epoch: int, number: int) -> int:
    digest = hashlib.sha256(f"batches/{stream}/{seed}/{epoch}/{number}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def evaluation_batches(
    images: Images,
    labels: Tensor,
    batch_size: int,
    augmentation: Augmentation,
    device: torch.device | str = "cpu",
    *,
    rank: int = 0,
    world_size: int = 1,
    memory_format: torch.memory_format = torch.contiguous_format,
    serve: type[Batches] = Batches,
) -> Batches:
    """Batches whose `epoch(0)` serves every image once, in stored order, normalised and not augmented.

    With several processes each serves its own consecutive part of the images; sums over the processes are exact.

    Args:
        augmentation: gives mean and std; must be "none".
        serve: what serves these images.

    Raises:
        DataError: another augmentation, or fewer images than processes.
    """
    if augmentation.name != "none":
        raise DataError(f"evaluation takes the augmentation 'none', got '{augmentation.name}'")
    if len(labels) < world_size:
        raise DataError(f"{len(labels)} images cannot be evaluated by {world_size} processes; use fewer processes")
    first, last = (part * len(labels) // world_size for part in (rank, rank + 1))
    batch_size = min(batch_size, last - first)
    return serve(
        images[first:last],
        labels[first:last],
        batch_size,
        augmentation,
        seed=0,
        device=device,
        shuffle=False,
        memory_format=memory_format,
    )
