"""AutoAugment by Pillow: every operation of the released policy beside Pillow itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

from bench.data.augment import augment, draw, get_augmentation, stage_order
from bench.data.autoaugment import CIFAR10_POLICY, OPERATIONS, draw_policy
from bench.data.autoaugment_pil import PIL
from bench.data.datasets import DatasetInfo
from bench.data.resample import cubic_affine, pixel_affine

IMAGES = torch.randint(256, (6, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
GREY = (128, 128, 128)


def pictures() -> list[Image.Image]:
    return [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in IMAGES]


def tensors(images: list[Image.Image]) -> torch.Tensor:
    return torch.stack([torch.from_numpy(np.array(image)).permute(2, 0, 1) for image in images])


def rotated(image: Image.Image, degrees: float) -> Image.Image:
    turned = image.convert("RGBA").rotate(degrees)
    return Image.composite(turned, Image.new("RGBA", turned.size, (128,) * 4), turned).convert("RGB")


def by_pillow(image: Image.Image, name: str, value: float) -> Image.Image:
    maps = {
        "ShearX": (1, value, 0, 0, 1, 0),
        "ShearY": (1, 0, 0, value, 1, 0),
        "TranslateX": (1, 0, value, 0, 1, 0),
        "TranslateY": (1, 0, 0, 0, 1, value),
    }
    if name in maps:
        how = Image.Resampling.BICUBIC if name.startswith("Shear") else Image.Resampling.NEAREST
        return image.transform(image.size, Image.Transform.AFFINE, maps[name], how, fillcolor=GREY)
    if name == "Rotate":
        return rotated(image, value)
    if name in ("Brightness", "Color", "Contrast", "Sharpness"):
        return getattr(ImageEnhance, name)(image).enhance(1 + value)
    if name == "Posterize":
        return ImageOps.posterize(image, int(value))
    if name == "Solarize":
        return ImageOps.solarize(image, value)
    return {"AutoContrast": ImageOps.autocontrast, "Equalize": ImageOps.equalize, "Invert": ImageOps.invert}[name](
        image
    )


@pytest.mark.parametrize("level", range(10))
@pytest.mark.parametrize("name", sorted(PIL.geometric))
def test_geometry_is_pillow_s_to_the_bit(name: str, level: int) -> None:
    largest = {"Shear": 0.3, "Trans": 32 * 150 / 331, "Rotat": 30.0}[name[:5]]
    for sign in (-1, 1):
        value = sign * float(np.linspace(0, largest, 10)[level])
        assert abs(PIL.magnitude(name, level, 32) - abs(value)) < 1e-9
        matrices = torch.tensor(PIL.matrix(name, value, 32), dtype=torch.float64).expand(len(IMAGES), 2, 3)
        resample = {"PixelAffine": pixel_affine, "CubicAffine": cubic_affine}[PIL.geometric[name]]
        expected = tensors([by_pillow(image, name, value) for image in pictures()])
        assert torch.equal(resample(IMAGES, matrices), expected), (name, value)


def stage_of(name: str) -> tuple[int, int]:
    """A sub-policy and stage in which an operation stands."""
    return next((row, s) for row, pair in enumerate(PIL.sub_policies) for s, item in enumerate(pair) if item[0] == name)


@pytest.mark.parametrize("name", sorted({item[0] for pair in PIL.sub_policies for item in pair} - set(PIL.geometric)))
def test_colours_are_pillow_s_within_one_grey_level(name: str) -> None:
    row, stage = stage_of(name)
    value = PIL.magnitude(name, PIL.sub_policies[row][stage][2], 32)
    for sign in (-1, 1) if name in PIL.signed else (1,):
        order = torch.full((len(IMAGES), 1), OPERATIONS.index(name))
        places, counts = stage_order(order)
        drawn = {
            "order": places,
            "magnitudes": torch.full((len(IMAGES), 1), sign * value, dtype=torch.float64),
        }
        plain = get_augmentation("none", DatasetInfo("c", (0.0,) * 3, (1.0,) * 3, ("a",), 32, 4, 16))
        found = (augment(IMAGES, drawn, counts, plain) * 255).round()
        expected = tensors([by_pillow(image, name, sign * value) for image in pictures()])
        allowed = {"Brightness": 1, "Color": 1, "Contrast": 1, "Sharpness": 1}.get(name, 0)
        assert int((found - expected).abs().max()) <= allowed, name


def test_the_released_policy_s_probabilities_signs_and_thresholds() -> None:
    assert PIL.sub_policies[16] == (("Equalize", 0.2, None), ("Equalize", 0.8, None))
    assert PIL.sub_policies[:16] + PIL.sub_policies[17:] == CIFAR10_POLICY[:16] + CIFAR10_POLICY[17:]
    assert PIL.magnitude("Solarize", 2, 32) == pytest.approx(np.linspace(256, 0, 10)[2])
    assert PIL.magnitude("Posterize", 7, 32) == np.round(np.linspace(8, 4, 10))[7]
    drawn = draw_policy(40_000, 32, torch.Generator().manual_seed(1), PIL)
    turned = drawn["matrices"][:, :, 1, 0][(drawn["operations"] == OPERATIONS.index("PixelAffine"))]
    angles = {round(float(np.degrees(np.arcsin(value))), 6) for value in turned.unique().tolist()}
    assert angles == {0.0, round(30 * 2 / 9, 6)}, "translations, and one rotation of one sign"


def test_the_whole_augmentation_is_drawn_and_applied() -> None:
    info = DatasetInfo("c", (0.5,) * 3, (0.25,) * 3, ("a",), 32, 4, 16)
    chosen = get_augmentation("crop-flip-autoaugment-pil-cutout", info)
    drawn = draw(chosen, 600, torch.Generator().manual_seed(2))
    drawn["order"], counts = stage_order(drawn.pop("operations"))
    images = IMAGES.repeat(100, 1, 1, 1)
    found = augment(images, drawn, counts, chosen)
    assert found.shape == images.shape
    assert found.isfinite().all()
    assert sum(stage[OPERATIONS.index("CubicAffine")] for stage in counts) > 0
