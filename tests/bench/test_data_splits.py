"""Splits are disjoint, stratified and seeded, and the test set stays closed to searches."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.data.datasets import DataError, DatasetInfo, ImageData, LabelledImages, load
from bench.data.splits import (
    FinalEvaluation,
    SealedTestSetError,
    SearchData,
    search_data,
    stratified_order,
    subset,
    train_data,
)
from methods.base import SearchSplit

CLASSES = 5


def make(count: int, test: int = 10) -> ImageData:
    """Images whose pixels hold their own index."""

    def part(size: int, start: int) -> LabelledImages:
        index = torch.arange(start, start + size)
        pixels = torch.stack([index // 256, index % 256], 1).to(torch.uint8).view(size, 1, 1, 2)
        return LabelledImages(pixels, index % CLASSES)

    info = DatasetInfo("fake", (0.5,), (0.5,), tuple("abcde"), image_size=2, padding=0, cutout=0)
    return ImageData(info, part(count, 0), lambda: part(test, count))


def identities(images: LabelledImages) -> set[int]:
    pixels = images.images[:].view(-1, 2).long()
    return set((pixels[:, 0] * 256 + pixels[:, 1]).tolist())


@pytest.mark.parametrize(("train", "valid"), [(0.5, 0.5), (0.1, 0.025), (0.8, 0.2), (1.0, 0.0)])
def test_parts_are_disjoint_stratified_and_of_the_asked_size(train: float, valid: float) -> None:
    data = make(1000)
    parts = search_data(data, SearchSplit(train, valid), seed=4)
    assert (len(parts.train), len(parts.valid)) == (1000 * train, 1000 * valid)
    assert not identities(parts.train) & identities(parts.valid)
    for part in (parts.train, parts.valid):
        assert part.labels.bincount(minlength=CLASSES).tolist() == [len(part) // CLASSES] * CLASSES
        assert all(index % CLASSES == label for index, label in zip(_indices(part), part.labels.tolist(), strict=True))


def _indices(part: LabelledImages) -> list[int]:
    pixels = part.images[:].view(-1, 2).long()
    return (pixels[:, 0] * 256 + pixels[:, 1]).tolist()


def test_split_depends_on_its_seed_and_on_nothing_else() -> None:
    data = make(200)
    one = search_data(data, SearchSplit(), seed=1)
    torch.rand(7)
    again = search_data(data, SearchSplit(), seed=1)
    other = search_data(data, SearchSplit(), seed=2)
    assert _indices(one.train) == _indices(again.train)
    assert identities(one.train) != identities(other.train)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=8), st.integers(0, 2**31), st.data())
@settings(max_examples=60, deadline=None)
def test_every_prefix_of_the_order_is_proportional(sizes: list[int], seed: int, choose: st.DataObject) -> None:
    labels = torch.cat([torch.full((size,), label) for label, size in enumerate(sizes)])
    order = stratified_order(labels, seed)
    assert sorted(order.tolist()) == list(range(len(labels)))
    prefix = choose.draw(st.integers(1, len(labels)))
    counts = labels[order[:prefix]].bincount(minlength=len(sizes))
    for size, count in zip(sizes, counts.tolist(), strict=True):
        assert abs(count - prefix * size / len(labels)) <= 1 + len(sizes) * size / len(labels)


def test_subsets_are_nested_and_the_same_in_every_run() -> None:
    data = make(300)
    small, large = train_data(data, 20), train_data(data, 100)
    assert identities(small) < identities(large)
    assert small.labels.bincount().tolist() == [4] * CLASSES
    assert train_data(data) is data.train
    assert len(search_data(data, SearchSplit(), seed=0, train_images=100).train) == 50


def test_search_of_a_subset_stays_inside_it() -> None:
    data = make(300)
    parts = search_data(data, SearchSplit(), seed=9, train_images=60)
    assert identities(parts.train) | identities(parts.valid) == identities(train_data(data, 60))


@pytest.mark.parametrize("phase", ["search", "transform", "anything"])
def test_only_a_final_evaluation_opens_the_test_set(phase: str) -> None:
    data = make(50)
    with pytest.raises(SealedTestSetError, match=f"phase '{phase}'"):
        FinalEvaluation(data, phase).open_test()
    assert identities(FinalEvaluation(data, "train").open_test()) == set(range(50, 60))
    assert len(FinalEvaluation(data, "train", test_images=5).open_test()) == 5


def test_what_a_search_is_given_holds_no_test_image() -> None:
    data = load("digits")
    parts = search_data(data, SearchSplit(), seed=0)
    assert set(SearchData.__slots__) == {"info", "train", "valid"}
    assert not [name for name in dir(parts) if "test" in name]
    with pytest.raises((AttributeError, TypeError)):
        parts.test = data  # type: ignore[attr-defined]
    assert not [name for name in dir(data) if "test" in name and not name.startswith("_")]


@pytest.mark.parametrize("split", [SearchSplit(0.6, 0.5), SearchSplit(0.0, 0.5), SearchSplit(0.5, -0.1)])
def test_impossible_fractions(split: SearchSplit) -> None:
    with pytest.raises(DataError, match="fractions must be"):
        search_data(make(50), split, seed=0)


def test_impossible_counts() -> None:
    with pytest.raises(DataError, match="choose 1 to 50"):
        subset(make(50).train, 51)
    with pytest.raises(DataError, match="leaves a part empty"):
        search_data(make(50), SearchSplit(0.5, 0.001), seed=0)


def test_odd_counts_are_never_used_twice() -> None:
    parts = search_data(make(51), SearchSplit(0.5, 0.5), seed=0)
    assert not identities(parts.train) & identities(parts.valid)
    assert len(parts.train) + len(parts.valid) <= 51
