"""Batched augmentation against torchvision on single images and against plain loops."""

import math

import pytest
import torch
from torchvision.transforms import AutoAugment, AutoAugmentPolicy
from torchvision.transforms import functional as tvf
from torchvision.transforms.autoaugment import _apply_op

from bench.data import autoaugment as aa
from bench.data.augment import augment, crop_and_flip, cutout, draw, get_augmentation, normalise, stage_order
from bench.data.datasets import DataError, DatasetInfo
from bench.data.names import AUGMENTATIONS

INFO = DatasetInfo("c", (0.5, 0.4, 0.3), (0.2, 0.25, 0.3), ("a", "b"), image_size=32, padding=4, cutout=16)
GREY = DatasetInfo("d", (0.3,), (0.4,), ("a", "b"), image_size=8, padding=1, cutout=4, flip=False)
POLICY_OPERATIONS = sorted({(name, level) for pair in aa.CIFAR10_POLICY for name, _, level in pair}, key=str)


def images(count: int, channels: int = 3, size: int = 32, seed: int = 0) -> torch.Tensor:
    """Noise, smooth gradients, a flat image and one with few values, so that every branch of an operation is met."""
    generator = torch.Generator().manual_seed(seed)
    batch = torch.randint(256, (count, channels, size, size), generator=generator, dtype=torch.uint8)
    batch[0] = 77
    batch[1] = (torch.arange(size * size).view(size, size) * 255 // (size * size)).to(torch.uint8)
    batch[2] = batch[2] // 100 * 100
    batch[3] = batch[3] // 4 + 60
    return batch


def numbers(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_policy_is_torchvisions() -> None:
    assert list(aa.CIFAR10_POLICY) == AutoAugment(AutoAugmentPolicy.CIFAR10).policies


@pytest.mark.parametrize("size", [32, 8])
@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize(
    ("operation", "level"),
    [*POLICY_OPERATIONS, ("ShearX", 5), ("ShearX", 9), ("Posterize", 3), ("Rotate", 9)],
)
def test_operation_agrees_with_torchvision(operation: str, level: int | None, channels: int, size: int) -> None:
    batch = images(6, channels, size)
    space = AutoAugment(AutoAugmentPolicy.CIFAR10)._augmentation_space(10, (size, size))
    values, signed = space[operation]
    theirs = float(values[level]) if level is not None else 0.0
    for sign in (1, -1) if signed else (1,):
        ours = aa.magnitude(operation, level, size) * sign
        assert ours == pytest.approx(theirs * sign, abs=2e-5)
        geometric = operation.startswith(("Shear", "Translate", "Rotate"))
        kind = aa.OPERATIONS.index("Affine" if geometric else operation)
        matrices = torch.tensor(aa.matrix(operation, ours, size)).repeat(6, 1, 1) if geometric else None
        order, counts = stage_order(torch.full((6, 1), kind))
        got = aa.apply_stage(batch, order[:, 0], counts[0], torch.full((6,), ours, dtype=torch.float64), matrices)
        expected = torch.stack(
            [
                _apply_op(image, operation, theirs * sign, tvf.InterpolationMode.NEAREST, [aa.FILL] * channels)
                for image in batch
            ]
        )
        assert torch.equal(got, expected)


def test_whole_policy_agrees_with_torchvision_image_by_image(monkeypatch: pytest.MonkeyPatch) -> None:
    count = 300
    batch = images(count)
    augmentation = get_augmentation("crop-flip-autoaugment", INFO)
    augmentation = type(augmentation)(**{**vars(augmentation), "padding": 0, "flip": False})
    drawn = draw(augmentation, count, numbers(3))
    order, counts = stage_order(drawn["operations"])
    got = augment(batch, {**drawn, "order": order}, counts, augmentation)

    generator = numbers(3)
    chosen = torch.randint(25, (count,), generator=generator)
    probabilities = torch.rand(count, 2, generator=generator)
    signs = torch.randint(2, (count, 2), generator=generator)
    reference = AutoAugment(AutoAugmentPolicy.CIFAR10, fill=[128.0] * 3)
    for k in range(count):
        row = (int(chosen[k]), probabilities[k], signs[k])
        monkeypatch.setattr(AutoAugment, "get_params", staticmethod(lambda _, row=row: row))
        expected = tvf.normalize(reference(batch[k]).float() / 255, list(INFO.mean), list(INFO.std))
        torch.testing.assert_close(got[k], expected, rtol=1e-6, atol=1e-6)


def test_stage_keeps_every_image_in_its_place() -> None:
    batch = images(8)
    kinds = torch.tensor([aa.OPERATIONS.index(n) for n in ("Invert", "Identity") * 4])[:, None]
    order, counts = stage_order(kinds)
    got = aa.apply_stage(batch, order[:, 0], counts[0], torch.zeros(8, dtype=torch.float64), None)
    assert torch.equal(got[0::2], 255 - batch[0::2])
    assert torch.equal(got[1::2], batch[1::2])


@pytest.mark.parametrize("turn", [-0.2, -0.05, 0.1, 0.2])
def test_hue_agrees_with_torchvision(turn: float) -> None:
    batch = images(8, size=16)
    got = aa._hue(batch, torch.full((8, 1, 1, 1), turn, dtype=torch.float64))
    expected = tvf.adjust_hue(batch, turn)
    assert (got.int() - expected.int()).abs().max() <= 1


def test_jitter_applies_its_four_operations_in_each_images_order() -> None:
    augmentation = get_augmentation("resized-crop-flip-jitter", INFO)
    drawn = draw(augmentation, 12, numbers(1))
    batch = images(12)
    order, counts = stage_order(drawn["operations"])
    staged = batch
    for stage in range(4):
        staged = aa.apply_stage(staged, order[:, stage], counts[stage], drawn["magnitudes"][:, stage], None)
    for k in range(12):
        image = batch[k]
        assert len(set(drawn["operations"][k].tolist())) == 4
        for kind, value in zip(drawn["operations"][k].tolist(), drawn["magnitudes"][k].tolist(), strict=True):
            name = aa.OPERATIONS[kind]
            assert abs(value) <= (0.2 if name == "Hue" else 0.4)
            if name == "Hue":
                image = aa._hue(image[None], torch.tensor(value))[0]
            else:
                image = _apply_op(image, name, value, tvf.InterpolationMode.NEAREST, None)
        assert torch.equal(staged[k], image)


@pytest.mark.parametrize("info", [INFO, GREY], ids=["rgb", "grey"])
def test_crop_flip_cutout_against_a_loop(info: DatasetInfo) -> None:
    count, size = 40, info.image_size
    batch = images(count, info.channels, size)
    augmentation = get_augmentation("crop-flip-cutout", info)
    drawn = draw(augmentation, count, numbers(5))
    got = augment(batch, drawn, None, augmentation)
    for k in range(count):
        padded = tvf.pad(batch[k], [info.padding] * 4)
        top, left = drawn["offset"][k].tolist()
        image = padded[:, top : top + size, left : left + size]
        if info.flip and drawn["flip"][k]:
            image = tvf.hflip(image)
        image = tvf.normalize(image.float() / 255, list(info.mean), list(info.std))
        row, column = drawn["hole"][k].tolist()
        half = info.cutout // 2
        image[:, max(row - half, 0) : row + half, max(column - half, 0) : column + half] = 0
        torch.testing.assert_close(got[k], image, rtol=1e-6, atol=1e-6)


def test_draws_cover_their_ranges() -> None:
    drawn = draw(get_augmentation("crop-flip-cutout", INFO), 4000, numbers())
    assert drawn["offset"].unique().tolist() == list(range(9))
    assert drawn["hole"].unique().tolist() == list(range(32))
    assert drawn["flip"].float().mean() == pytest.approx(0.5, abs=0.05)


def test_cutout_removes_the_area_expected_at_centre_and_corner() -> None:
    ones = torch.ones(2, 3, 32, 32)
    holes = cutout(ones, torch.tensor([[16, 16], [0, 31]]), 16)
    assert (holes[0] == 0).sum() == 3 * 16 * 16
    assert (holes[1] == 0).sum() == 3 * 8 * 9  # rows 0..7, columns 23..31


def test_images_that_must_not_be_mirrored_are_not() -> None:
    assert "flip" not in draw(get_augmentation("crop-flip", GREY), 5, numbers())
    assert "flip" in draw(get_augmentation("crop-flip", INFO), 5, numbers())


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_every_named_augmentation_runs_and_none_is_plain_normalisation(name: str) -> None:
    augmentation = get_augmentation(name, INFO)
    batch = images(9)
    drawn = draw(augmentation, 9, numbers())
    order, counts = stage_order(drawn["operations"]) if "operations" in drawn else (None, None)
    got = augment(batch, {**drawn, "order": order} if order is not None else drawn, counts, augmentation)
    assert got.shape == batch.shape
    assert got.dtype == torch.float32
    plain = normalise(batch, INFO.mean, INFO.std)
    assert torch.equal(got, plain) == (name == "none")


def test_augment_leaves_its_input_alone() -> None:
    augmentation = get_augmentation("crop-flip-autoaugment-cutout", INFO)
    batch = images(50)
    before = batch.clone()
    drawn = draw(augmentation, 50, numbers())
    order, counts = stage_order(drawn["operations"])
    augment(batch, {**drawn, "order": order}, counts, augmentation)
    assert torch.equal(batch, before)


def test_crop_alone_keeps_direction() -> None:
    batch = images(4)
    same = crop_and_flip(batch, torch.full((4, 2), 4), None, 4)
    assert torch.equal(same, batch)


def test_unknown_name_is_refused_with_the_nearest_and_all() -> None:
    with pytest.raises(DataError, match=r"'crop-flop'; did you mean 'crop-flip'\? Known: none, crop"):
        get_augmentation("crop-flop", INFO)


def test_normalise_is_torchvisions() -> None:
    batch = images(5)
    expected = tvf.normalize(batch.float() / 255, list(INFO.mean), list(INFO.std))
    torch.testing.assert_close(normalise(batch, INFO.mean, INFO.std), expected, rtol=1e-6, atol=1e-6)
    assert math.isclose(float(normalise(batch[:1], (77 / 255,) * 3, (1.0,) * 3).abs().max()), 0, abs_tol=1e-7)
