"""Batches: functions of (seed, stream, epoch); jumping equals replaying; ranks together serve what one process does."""

import itertools

import pytest
import torch

from bench.data.augment import Augmentation, get_augmentation
from bench.data.batches import Batches, evaluation_batches
from bench.data.datasets import DataError, DatasetInfo
from methods.base import Batch

INFO = DatasetInfo("c", (0.5,) * 3, (0.25,) * 3, ("a", "b"), image_size=8, padding=2, cutout=4)
COUNT = 23
IMAGES = torch.randint(256, (COUNT, 3, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
LABELS = torch.arange(COUNT)  # each image its own label, so that orders can be seen
FULL = "crop-flip-autoaugment-cutout"


def make(name: str = FULL, batch_size: int = 5, seed: int = 1, **options: object) -> Batches:
    return Batches(IMAGES, LABELS, batch_size, get_augmentation(name, INFO), seed, **options)  # type: ignore[arg-type]


def same(left: list[Batch], right: list[Batch]) -> bool:
    return len(left) == len(right) and all(
        torch.equal(a, c) and torch.equal(b, d) for (a, b), (c, d) in zip(left, right, strict=True)
    )


@pytest.mark.parametrize("name", ["crop-flip", FULL])
def test_an_epoch_is_a_function_of_seed_stream_and_epoch(name: str) -> None:
    first = list(make(name).epoch(4))
    torch.manual_seed(99)
    other = make(name)
    list(other.epoch(3))
    assert same(first, list(other.epoch(4)))
    assert not same(first, list(make(name).epoch(5)))
    assert not same(first, list(make(name, seed=2).epoch(4)))
    assert not same(first, list(make(name, stream="valid").epoch(4)))


@pytest.mark.parametrize("start", range(6))
def test_jumping_to_a_step_equals_replaying(start: int) -> None:
    assert same(list(make().epoch(2, start_step=start)), list(make().epoch(2))[start:])


def test_every_image_is_served_once_in_a_new_order_each_epoch() -> None:
    batches = make()
    orders = [torch.cat([labels for _, labels in batches.epoch(e)]).tolist() for e in range(2)]
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(COUNT))
    assert orders[0] != orders[1]
    assert [len(labels) for _, labels in batches.epoch(0)] == [5, 5, 5, 5, 3]
    assert len(batches) == 5


def test_labels_stay_with_their_images() -> None:
    batches = make("none")
    for images, labels in batches.epoch(0):
        assert torch.equal(images, (IMAGES[labels].float() / 255 - 0.5) / 0.25)


def test_augmentation_of_an_image_does_not_depend_on_the_batch_size() -> None:
    small = torch.cat([images for images, _ in make(batch_size=3).epoch(1)])
    large = torch.cat([images for images, _ in make(batch_size=COUNT).epoch(1)])
    assert torch.equal(small, large)


def test_drop_last() -> None:
    batches = make(drop_last=True)
    assert [len(labels) for _, labels in batches.epoch(0)] == [5] * 4
    assert (len(batches), batches.images_per_epoch) == (4, 20)
    assert make().images_per_epoch == COUNT


@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks_together_serve_the_single_process_batches(world_size: int) -> None:
    whole = list(make().epoch(3, start_step=1))
    shares = [list(make(rank=r, world_size=world_size).epoch(3, start_step=1)) for r in range(world_size)]
    joined = [(torch.cat([s[k][0] for s in shares]), torch.cat([s[k][1] for s in shares])) for k in range(len(whole))]
    assert same(whole, joined)


def test_more_steps_than_one_pass_go_on_in_new_orders_and_can_be_jumped_to() -> None:
    batches = make()
    long = list(batches.epoch(0, steps=13))
    passes = [torch.cat([y for _, y in long[a:b]]).tolist() for a, b in ((0, 5), (5, 10))]
    assert len(long) == 13
    assert sorted(passes[0]) == sorted(passes[1]) == list(range(COUNT))
    assert passes[0] != passes[1]
    assert same(long[7:], list(batches.epoch(0, start_step=7, steps=13)))
    assert same(long[:5], list(batches.epoch(0)))
    assert same(long[:3], list(batches.epoch(0, steps=3)))


def test_memory_format() -> None:
    images, _ = next(make(memory_format=torch.channels_last).epoch(0))
    assert images.is_contiguous(memory_format=torch.channels_last)
    contiguous, _ = next(make().epoch(0))
    assert contiguous.is_contiguous()
    assert torch.equal(images, contiguous)


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_evaluation_serves_everything_once_in_order(world_size: int) -> None:
    plain = get_augmentation("none", INFO)
    parts = [
        evaluation_batches(IMAGES, LABELS, 4, plain, rank=rank, world_size=world_size).epoch(0)
        for rank in range(world_size)
    ]
    served = list(itertools.chain(*parts))
    assert torch.cat([labels for _, labels in served]).tolist() == list(range(COUNT))
    assert torch.equal(torch.cat([images for images, _ in served]), (IMAGES.float() / 255 - 0.5) / 0.25)


def test_impossible_requests_are_refused() -> None:
    with pytest.raises(DataError, match="no batch of 24 in 23 images"):
        make(batch_size=24, drop_last=True)
    with pytest.raises(DataError, match="a batch of 3 images cannot be shared by 4"):
        make(world_size=4)
    with pytest.raises(DataError, match="is for image files"):
        make("resized-crop-flip")
    with pytest.raises(DataError, match="evaluation takes the augmentation 'none'"):
        evaluation_batches(IMAGES, LABELS, 4, get_augmentation("crop", INFO))
    with pytest.raises(DataError, match="23 images cannot be evaluated by 24"):
        evaluation_batches(IMAGES, LABELS, 4, Augmentation("none", 8, (0.5,), (0.5,)), world_size=24)
