"""Photographs in two resolutions: the shipped set, folders, patches; and what is refused before anything is done."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.data.augment import get_augmentation
from bench.data.batches import check_crop, evaluation_batches
from bench.data.datasets import load
from bench.data.folder_settings import FolderSettings
from bench.data.images import DataError, ImageData
from bench.data.names import DATASET_TASKS
from bench.data.patches import PatchBatches
from bench.data.photograph_folders import load_folder
from bench.data.photographs import HeldPicture, Photographs, made_smaller
from bench.data.seal import SealedTestSetError, sealed
from bench.data.sets.photographs import TEST, TRAIN
from bench.data.splits import FinalEvaluation, search_data
from bench.data.tasks import prepared
from methods.base import SearchSplit
from methods.parts.pictures import resize
from tests.bench.image_writers import png

DLSR = SearchSplit(3000 / 3450, 450 / 3450)


def config(scale: int = 2, **data: Any) -> Mapping[str, Any]:
    return {"task": {"name": "super_resolution", "scale": scale}, "data": data}


@pytest.fixture(scope="module")
def shipped() -> ImageData:
    torch.set_num_threads(1)
    return prepared(load("photographs", Path("nowhere"), download=False), config(patches=3))


def photographs(part: Any) -> Photographs:
    assert isinstance(part.images, Photographs)
    return part.images


def picture(seed: int, height: int = 40, width: int = 52) -> Tensor:
    return torch.randint(256, (3, height, width), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def several(count: int = 3, scale: int = 2, patches: int = 2) -> Photographs:
    return Photographs(tuple(HeldPicture(f"{n}.png", picture(n)) for n in range(count)), scale, patches)


def batches(images: Photographs, name: str = "patch-32-flip-rotate", size: int = 4, **more: Any) -> PatchBatches:
    info = prepared(load("photographs", Path("nowhere"), download=False), config(images.scale)).info
    labels = torch.zeros(len(images), dtype=torch.int64)
    return PatchBatches(images, labels, size, get_augmentation(name, info), **{"seed": 1, **more})


def test_the_shipped_photographs_are_divided_by_name(shipped: ImageData) -> None:
    """10 to search on, 2 to validate on, 2 to test on: the last two of those to train on are validated on."""
    parts = search_data(shipped, DLSR, seed=5)
    names = [[each.name for each in photographs(part).pictures] for part in (parts.train, parts.valid)]
    assert names == [list(TRAIN)[:10], ["flower.jpg", "coins.png"]]
    test = FinalEvaluation(shipped, "train").open_test()
    assert [each.name for each in photographs(test).pictures] == list(TEST) == ["chelsea.png", "china.jpg"]
    assert photographs(shipped.train).patches == 3
    assert photographs(test).patches == 1
    with sealed("a search"), pytest.raises(SealedTestSetError, match="during a search"):
        FinalEvaluation(shipped, "train").open_test()


@pytest.mark.parametrize(("scale", "counted"), [(2, (3, 360, 640)), (4, (3, 180, 320))])
def test_what_networks_are_told_follows_from_the_factor(scale: int, counted: tuple[int, ...]) -> None:
    info = prepared(load("photographs", Path("nowhere"), download=False), config(scale)).info
    assert (info.outputs, info.input_shape, info.examples) == (3 * scale**2, counted, 1)


def test_low_resolution_is_bicubic_and_both_have_the_whole_pixels_that_fit() -> None:
    low, high = HeldPicture("odd", picture(1, 41, 55)).pair(4)
    assert (low.shape, high.shape) == ((3, 10, 13), (3, 40, 52))
    expected = resize(high[None].double() / 255, 10, 13)[0].clamp(0, 1) * 255
    assert float((low.double() - expected).abs().max()) <= 0.51
    assert torch.equal(high, picture(1, 41, 55)[:, :40, :52])


def test_a_patch_of_both_resolutions_shows_the_same_place() -> None:
    """Textbook: every patch of low resolution is found in the whole image, and that of high resolution at its place."""
    images = several()
    served = batches(images, "patch-32-flip-rotate")
    low, high = next(served.epoch(0))
    assert (low.shape, high.shape, low.dtype) == ((4, 3, 16, 16), (4, 3, 32, 32), torch.float32)
    assert float(high.max()) <= 1.0
    whole = [images.pair(n) for n in range(len(images))]
    for small, large in zip((low * 255).round(), (high * 255).round(), strict=True):
        found = [
            True
            for turn in range(8)
            for one, other in whole
            for row in range(one.shape[1] - 15)
            for column in range(one.shape[2] - 15)
            if torch.equal(undone(small, turn), one[:, row : row + 16, column : column + 16].float())
            and torch.equal(undone(large, turn), other[:, 2 * row : 2 * row + 32, 2 * column : 2 * column + 32].float())
        ]
        assert found == [True]


def undone(patch: Tensor, turn: int) -> Tensor:
    """One of the eight ways to turn a square and its mirror image."""
    patch = patch.transpose(1, 2) if turn & 1 else patch
    patch = patch.flip(1) if turn & 2 else patch
    return patch.flip(2) if turn & 4 else patch


def test_an_epoch_has_so_many_patches_of_each_and_goes_on_at_any_step() -> None:
    served = batches(several(patches=3), size=4)
    assert (len(served), served.images_per_epoch) == (3, 9)
    whole, again = list(served.epoch(2)), list(batches(several(patches=3), size=4).epoch(2, start_step=1))
    assert [len(low) for low, _ in whole] == [4, 4, 1]
    for (low, high), (other, another) in zip(whole[1:], again, strict=True):
        assert torch.equal(low, other)
        assert torch.equal(high, another)
    others = list(served.epoch(3))
    assert not torch.equal(whole[0][0], others[0][0])
    assert [len(low) for low, _ in served.epoch(0, steps=5)] == [4, 4, 1, 4, 4]  # beyond one pass


def test_two_processes_share_a_batch() -> None:
    whole = list(batches(several(), size=4).epoch(0))
    parts = [list(batches(several(), size=4, rank=rank, world_size=2).epoch(0)) for rank in (0, 1)]
    for (low, high), *shares in zip(whole, *parts, strict=True):
        assert torch.equal(low, torch.cat([each for each, _ in shares]))
        assert torch.equal(high, torch.cat([each for _, each in shares]))


def test_photographs_are_evaluated_on_whole_and_one_by_one() -> None:
    images = Photographs((HeldPicture("a", picture(1)), HeldPicture("b", picture(2, 36, 64))), 2)
    info = prepared(load("photographs", Path("nowhere"), download=False), config()).info
    plain = get_augmentation("none", info)
    served = evaluation_batches(images, torch.zeros(2, dtype=torch.int64), 128, plain, serve=PatchBatches)
    found = list(served.epoch(0))
    assert [high.shape for _, high in found] == [(1, 3, 40, 52), (1, 3, 36, 64)]
    assert torch.equal(found[1][1][0], picture(2, 36, 64).float() / 255)


def test_what_cannot_be_served_is_refused(shipped: ImageData) -> None:
    small = Photographs(tuple(HeldPicture(f"{n}.png", picture(n, 30, 90)) for n in (4, 7)) + several().pictures, 2)
    with pytest.raises(DataError, match=r"2 of 5 photographs are smaller than a patch of 32x32 .*: 4.png \(90x30\), 7"):
        batches(small)
    with pytest.raises(DataError, match="photographs take patches, as 'patch-64-flip-rotate'"):
        check_crop(shipped.train.images, get_augmentation("crop-flip", shipped.info))
    with pytest.raises(DataError, match="trained on in patches, and augmentation 'none' cuts none"):
        batches(several(), "none")
    with pytest.raises(DataError, match="cuts patches out of photographs, for super-resolution"):
        check_crop(torch.zeros(4, 3, 64, 64, dtype=torch.uint8), get_augmentation("patch-32-flip-rotate", shipped.info))


def write(folder: Path, *names: str, height: int = 40, width: int = 52, first: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        png(folder / name, picture(first + number, height, width).permute(1, 2, 0).numpy())


LAYOUTS = {
    "plain": ("train", "valid"),
    "DIV2K": ("DIV2K_train_HR", "DIV2K_valid_HR"),
    "HR": ("train/HR", "val/HR"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_folder_of_photographs(layout: str, tmp_path: Path) -> None:
    train, valid = LAYOUTS[layout]
    write(tmp_path / train, "a.png", "b.png", "c.png")
    write(tmp_path / valid, "d.png", first=3)
    data = prepared(load_folder(FolderSettings(str(tmp_path), name="mine")), config())
    assert [Path(each.name).name for each in photographs(data.train).pictures] == ["a.png", "b.png", "c.png"]
    low, high = photographs(FinalEvaluation(data, "train").open_test()).pair(0)
    assert torch.equal(high, picture(3))
    assert torch.equal(low, made_smaller(picture(3), 2))


def test_low_resolution_is_read_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the folder of the factor; of another factor it is made. Held in memory or not is the same."""
    write(tmp_path / "D_train_HR", "1.png", "2.png")
    write(tmp_path / "D_valid_HR", "3.png")
    write(tmp_path / "D_train_LR_bicubic" / "X2", "1x2.png", "2x2.png", height=20, width=26, first=10)
    settings = FolderSettings(str(tmp_path), name="mine")
    for most in (2**31, 0):
        monkeypatch.setattr("bench.data.photograph_folders.MOST_HELD", most)
        train = load_folder(settings).train
        assert torch.equal(photographs(prepared(load_folder(settings), config()).train).pair(1)[0], picture(11, 20, 26))
        assert torch.equal(Photographs(photographs(train).pictures, 4).pair(1)[0], made_smaller(picture(1), 4))
    write(tmp_path / "D_train_LR_bicubic" / "X2", "2x2.png", height=20, width=20)
    with pytest.raises(Exception, match=r"2x2.png has 20x20 pixels, .* it should have 26x20; replace it"):
        photographs(prepared(load_folder(settings), config()).train).pair(1)
    (tmp_path / "D_train_LR_bicubic" / "X2" / "1x2.png").unlink()
    with pytest.raises(DataError, match=r"1 files of low resolution are missing: .*1x2.png; bring them"):
        load_folder(settings)


def test_a_share_of_a_folder_is_tested_on(tmp_path: Path) -> None:
    write(tmp_path / "DF2K_HR", *(f"{n}.png" for n in range(5)))
    data = load_folder(FolderSettings(str(tmp_path), name="mine", test=0.4))
    assert (len(data.train), len(FinalEvaluation(data, "train").open_test())) == (3, 2)


def test_a_folder_that_is_no_data_set_is_refused(tmp_path: Path) -> None:
    settings = FolderSettings(str(tmp_path), name="mine")
    with pytest.raises(DataError, match="has no folder of photographs to train on; expected FOLDER/train"):
        load_folder(settings)
    write(tmp_path / "train", "a.png", "b.png")
    with pytest.raises(DataError, match="has no folder of validation images; expected FOLDER/train"):
        load_folder(settings)
    (tmp_path / "valid").mkdir()
    with pytest.raises(DataError, match=r"there are no images in .*valid; expected"):
        load_folder(settings)
    write(tmp_path / "valid", "c.png")
    for name in ("a.png", "b.png"):
        (tmp_path / "train" / name).write_bytes(b"\x89PNG and then nothing")
    with pytest.raises(DataError, match=r"(?s)2 files cannot be read:.*a\.png.*b\.png"):
        load_folder(settings)


def test_a_changed_folder_is_not_what_was_planned_with(tmp_path: Path) -> None:
    write(tmp_path / "train", "a.png", "b.png")
    write(tmp_path / "valid", "c.png")
    settings = FolderSettings(str(tmp_path), name="mine")
    from bench.data.photograph_folders import list_parts

    content = list_parts(settings).content
    load_folder(settings, content=content)
    write(tmp_path / "train", "e.png")
    with pytest.raises(DataError, match=r"the train images in .* are not those the run was planned with"):
        load_folder(settings, content=content)


def test_data_sets_of_photographs_say_their_task() -> None:
    assert DATASET_TASKS["photographs"] == "super_resolution"
