"""Image operations of AutoAugment and colour jitter on whole batches, each image with its own magnitude.

Values agree with torchvision's operations on uint8 tensors. A *stage* gives every image one operation; images that
share an operation are processed together. Which image goes where is known on the host before the epoch starts, so that
nothing here waits for the device.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from bench.data.resample import cubic_affine, pixel_affine

FILL = 128.0  # grey, for pixels that come from outside the image

OPERATIONS = (
    "Identity",
    "Affine",  # shears, translations and rotations, told apart by their matrices alone
    "Brightness",
    "Color",
    "Contrast",
    "Sharpness",
    "Posterize",
    "Solarize",
    "AutoContrast",
    "Equalize",
    "Invert",
    "Hue",
    "PixelAffine",  # Pillow's nearest and cubic resampling, see `bench.data.resample`
    "CubicAffine",
)

SubPolicies = tuple[tuple[tuple[str, float, int | None], tuple[str, float, int | None]], ...]

# (operation, probability, level of 0..9 or None) twice per sub-policy: Cubuk et al., "AutoAugment", CVPR 2019,
# appendix, table of the CIFAR-10 policy.
CIFAR10_POLICY: SubPolicies = (
    (("Invert", 0.1, None), ("Contrast", 0.2, 6)),
    (("Rotate", 0.7, 2), ("TranslateX", 0.3, 9)),
    (("Sharpness", 0.8, 1), ("Sharpness", 0.9, 3)),
    (("ShearY", 0.5, 8), ("TranslateY", 0.7, 9)),
    (("AutoContrast", 0.5, None), ("Equalize", 0.9, None)),
    (("ShearY", 0.2, 7), ("Posterize", 0.3, 7)),
    (("Color", 0.4, 3), ("Brightness", 0.6, 7)),
    (("Sharpness", 0.3, 9), ("Brightness", 0.7, 9)),
    (("Equalize", 0.6, None), ("Equalize", 0.5, None)),
    (("Contrast", 0.6, 7), ("Sharpness", 0.6, 5)),
    (("Color", 0.7, 7), ("TranslateX", 0.5, 8)),
    (("Equalize", 0.3, None), ("AutoContrast", 0.4, None)),
    (("TranslateY", 0.4, 3), ("Sharpness", 0.2, 6)),
    (("Brightness", 0.9, 6), ("Color", 0.2, 8)),
    (("Solarize", 0.5, 2), ("Invert", 0.0, None)),
    (("Equalize", 0.2, None), ("AutoContrast", 0.6, None)),
    (("Equalize", 0.2, None), ("Equalize", 0.6, None)),
    (("Color", 0.9, 9), ("Equalize", 0.6, None)),
    (("AutoContrast", 0.8, None), ("Solarize", 0.2, 8)),
    (("Brightness", 0.1, 3), ("Color", 0.7, 0)),
    (("Solarize", 0.4, 5), ("AutoContrast", 0.9, None)),
    (("TranslateY", 0.9, 9), ("TranslateY", 0.7, 9)),
    (("AutoContrast", 0.9, None), ("Solarize", 0.8, 3)),
    (("Equalize", 0.8, None), ("Invert", 0.1, None)),
    (("TranslateY", 0.7, 9), ("AutoContrast", 0.9, None)),
)
_SIGNED = ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate", "Brightness", "Color", "Contrast", "Sharpness")
_IDENTITY_MATRIX = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]


def magnitude(operation: str, level: int | None, size: int) -> float:
    """What level 0..9 of an operation means (AutoAugment, table 6): a slope, pixels, degrees, bits, a threshold."""
    if level is None:
        return 0.0
    if operation == "Posterize":
        return 8.0 - round(4 * level / 9)
    if operation == "Solarize":
        return float(torch.linspace(255.0, 0.0, 10)[level])
    translation = 150 / 331 * size
    largest = {"ShearX": 0.3, "ShearY": 0.3, "Rotate": 30.0, "TranslateX": translation, "TranslateY": translation}
    return float(torch.linspace(0.0, largest.get(operation, 0.9), 10)[level])  # in float32, to the bit as torchvision


def matrix(operation: str, value: float, size: int) -> list[list[float]]:
    """The 2x3 matrix from output to input pixels, around the image's centre, of a geometric operation.

    Shears leave the top-left corner where it is; translations are by whole pixels; angles are in degrees.
    """
    if operation == "ShearX":
        return [[1.0, value, value * size / 2], [0.0, 1.0, 0.0]]
    if operation == "ShearY":
        return [[1.0, 0.0, 0.0], [value, 1.0, value * size / 2]]
    if operation == "TranslateX":
        return [[1.0, 0.0, -float(int(value))], [0.0, 1.0, 0.0]]
    if operation == "TranslateY":
        return [[1.0, 0.0, 0.0], [0.0, 1.0, -float(int(value))]]
    cosine, sine = math.cos(math.radians(value)), math.sin(math.radians(value))
    return [[cosine, -sine, 0.0], [sine, cosine, 0.0]]


@dataclass(frozen=True)
class Policy:
    """An AutoAugment policy: its sub-policies and what their names and levels mean.

    Attributes:
        signed: operations whose magnitude is negated for half of the images.
        geometric: names of `OPERATIONS` for those that are done by a matrix.
        magnitude: of an operation at a level, for images of a size. matrix: of a geometric one with that magnitude.
        dtype: of the matrices.
    """

    sub_policies: SubPolicies
    signed: tuple[str, ...]
    geometric: dict[str, str]
    magnitude: Callable[[str, int | None, int], float]
    matrix: Callable[[str, float, int], list[list[float]]]
    dtype: torch.dtype = torch.float32


_GEOMETRIC = ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate")
TORCHVISION = Policy(CIFAR10_POLICY, _SIGNED, dict.fromkeys(_GEOMETRIC, "Affine"), magnitude, matrix)


def draw_policy(count: int, size: int, generator: torch.Generator, policy: Policy = TORCHVISION) -> dict[str, Tensor]:
    """For each of `count` images a sub-policy, and for its two stages the operation, magnitude and matrix.

    Returns:
        "operations" int64 (count, 2), "magnitudes" float64 (count, 2), "matrices" (count, 2, 2, 3).
    """
    chosen = torch.randint(len(policy.sub_policies), (count,), generator=generator)
    probabilities = torch.rand(count, 2, generator=generator)
    signs = torch.randint(2, (count, 2), generator=generator)
    operations, magnitudes, matrices, thresholds = _policy_tables(policy, size)
    stages = torch.arange(2)
    used = probabilities <= thresholds[chosen]
    positive = signs.bool().long()
    index = (chosen[:, None], stages[None, :], positive)
    identity = torch.tensor(_IDENTITY_MATRIX, dtype=policy.dtype)
    return {
        "operations": torch.where(used, operations[chosen], OPERATIONS.index("Identity")),
        "magnitudes": magnitudes[index],
        "matrices": torch.where(used[:, :, None, None], matrices[index], identity),
    }


def _policy_tables(policy: Policy, size: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """By sub-policy and stage: operation, and by sign (0 negative, 1 positive) magnitude and matrix; probability."""
    shape = (len(policy.sub_policies), 2)
    operations = torch.zeros(shape, dtype=torch.int64)
    magnitudes = torch.zeros(*shape, 2, dtype=torch.float64)
    matrices = torch.tensor(_IDENTITY_MATRIX, dtype=policy.dtype).repeat(*shape, 2, 1, 1)
    probabilities = torch.zeros(shape)
    for row, sub_policy in enumerate(policy.sub_policies):
        for stage, (name, probability, level) in enumerate(sub_policy):
            operations[row, stage] = OPERATIONS.index(policy.geometric.get(name, name))
            probabilities[row, stage] = probability
            for sign in (0, 1):
                value = policy.magnitude(name, level, size) * (-1 if name in policy.signed and sign == 0 else 1)
                magnitudes[row, stage, sign] = value
                if name in policy.geometric:
                    matrices[row, stage, sign] = torch.tensor(policy.matrix(name, value, size), dtype=policy.dtype)
    return operations, magnitudes, matrices, probabilities


def draw_jitter(count: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Brightness, contrast and saturation by up to 0.4, hue by up to 0.2, in a random order for each image.

    The ImageNet recipe of DARTS (quark0/darts, cnn/train_imagenet.py). As `draw_policy`, with four stages and without
    matrices.
    """
    kinds = torch.tensor([OPERATIONS.index(name) for name in ("Brightness", "Contrast", "Color", "Hue")])
    limits = torch.tensor([0.4, 0.4, 0.4, 0.2], dtype=torch.float64)
    order = torch.rand(count, 4, generator=generator).argsort(dim=1)
    values = (torch.rand(count, 4, generator=generator, dtype=torch.float64) * 2 - 1) * limits
    return {"operations": kinds[order], "magnitudes": values.gather(1, order)}


def apply_stage(
    images: Tensor, order: Tensor, counts: list[int], magnitudes: Tensor, matrices: Tensor | None
) -> Tensor:
    """Give each image its operation.

    Args:
        images: uint8, (B, C, H, W).
        order: int64, (B,), on the device: positions in the batch sorted by operation.
        counts: on the host: images of each operation, in the order of OPERATIONS.
        magnitudes: float64, (B,).
        matrices: (B, 2, 3); None where no image has a geometric operation.
    """
    parts, start = [], 0
    for name, count in zip(OPERATIONS, counts, strict=True):
        if count:
            rows = order[start : start + count]
            if name in _RESAMPLING:
                assert matrices is not None
                parts.append(_RESAMPLING[name](images[rows], matrices[rows]))
            else:
                parts.append(_FUNCTIONS[name](images[rows], magnitudes[rows].view(-1, 1, 1, 1)))
            start += count
    return torch.empty_like(images).index_copy_(0, order, torch.cat(parts))


def _affine(images: Tensor, matrices: Tensor) -> Tensor:
    height, width = images.shape[-2:]
    x = torch.arange(width, device=images.device, dtype=torch.float32) + (0.5 - width / 2)
    y = torch.arange(height, device=images.device, dtype=torch.float32) + (0.5 - height / 2)
    base = torch.stack([x.expand(height, width), y[:, None].expand(height, width), x.new_ones(height, width)])
    halves = torch.stack([x.new_full((), width / 2), x.new_full((), height / 2)])
    grid = torch.einsum("nij,jhw->nhwi", matrices, base) / halves
    shifted = images.float() - FILL  # zeros outside become the fill colour
    return (F.grid_sample(shifted, grid, mode="nearest", align_corners=False) + FILL).to(torch.uint8)


_RESAMPLING: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Affine": _affine,
    "PixelAffine": pixel_affine,
    "CubicAffine": cubic_affine,
}


def _blend(images: Tensor, other: Tensor, ratio: Tensor) -> Tensor:
    """`ratio * images + (1 - ratio) * other`, cut off to whole values as torchvision does."""
    return (ratio.float() * images + (1 - ratio).float() * other).clamp(0, 255).to(torch.uint8)


def _grey(images: Tensor) -> Tensor:
    if images.shape[1] == 1:
        return images
    red, green, blue = images.unbind(1)
    return (0.2989 * red + 0.587 * green + 0.114 * blue).to(torch.uint8).unsqueeze(1)


def _brightness(images: Tensor, value: Tensor) -> Tensor:
    return _blend(images, torch.zeros_like(images), 1 + value)


def _color(images: Tensor, value: Tensor) -> Tensor:
    return images if images.shape[1] == 1 else _blend(images, _grey(images), 1 + value)


def _contrast(images: Tensor, value: Tensor) -> Tensor:
    return _blend(images, _grey(images).float().mean((1, 2, 3), keepdim=True), 1 + value)


def _sharpness(images: Tensor, value: Tensor) -> Tensor:
    """Blend with the image smoothed by the kernel of ones with 5 in its centre; the border is left as it is."""
    if min(images.shape[-2:]) <= 2:
        return images
    wide = images.to(torch.int32)
    rows = wide[..., :-2, :] + wide[..., 1:-1, :] + wide[..., 2:, :]
    total = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:] + 4 * wide[..., 1:-1, 1:-1]
    smooth = images.clone()
    smooth[..., 1:-1, 1:-1] = ((2 * total + 13) // 26).to(torch.uint8)  # total / 13, rounded; never a tie
    return _blend(images, smooth, 1 + value)


def _posterize(images: Tensor, bits: Tensor) -> Tensor:
    step = (2 ** (8 - bits)).to(torch.uint8)
    return images // step * step


def _solarize(images: Tensor, threshold: Tensor) -> Tensor:
    return torch.where(images >= threshold, 255 - images, images)


def _auto_contrast(images: Tensor, _: Tensor) -> Tensor:
    low = images.amin((2, 3), keepdim=True).float()
    high = images.amax((2, 3), keepdim=True).float()
    flat = high == low
    scale = 255 / torch.where(flat, 255.0, high - low)
    return ((images - torch.where(flat, 0.0, low)) * scale).clamp(0, 255).to(torch.uint8)


def _equalize(images: Tensor, _: Tensor) -> Tensor:
    """Histogram equalisation of each channel; counts come from sorting, which needs no atomic additions."""
    count, channels, height, width = images.shape
    pixels = images.reshape(count * channels, height * width).to(torch.int64)
    ranked = pixels.sort(dim=1).values.contiguous()
    values = torch.arange(256, device=images.device).expand(len(pixels), 256).contiguous()
    below = torch.searchsorted(ranked, values)  # pixels darker than each value
    step = below.gather(1, ranked[:, -1:]) // 255  # all pixels but the brightest value's
    table = ((below + step // 2) // step.clamp(min=1)).clamp(0, 255)
    table[:, 0] = 0
    equalized = torch.where(step == 0, pixels, table.gather(1, pixels))
    return equalized.to(torch.uint8).reshape(images.shape)


def _invert(images: Tensor, _: Tensor) -> Tensor:
    return 255 - images


def _hue(images: Tensor, value: Tensor) -> Tensor:
    """Turn the hue by `value` of a full circle (HSV)."""
    if images.shape[1] == 1:
        return images
    red, green, blue = (images.float() / 255).unbind(1)
    high, low = torch.maximum(torch.maximum(red, green), blue), torch.minimum(torch.minimum(red, green), blue)
    chroma = high - low
    safe = torch.where(chroma == 0, 1.0, chroma)
    sixth = torch.where(
        high == red,
        ((green - blue) / safe) % 6,
        torch.where(high == green, (blue - red) / safe + 2, (red - green) / safe + 4),
    )
    turned = (sixth + 6 * value.view(-1, 1, 1).float()) % 6

    def channel(offset: int) -> Tensor:
        k = (offset + turned) % 6
        return high - chroma * torch.minimum(k, 4 - k).clamp(0, 1)

    rgb = torch.stack([channel(5), channel(3), channel(1)], dim=1)
    return (rgb * 255.999).to(torch.uint8)


def _identity(images: Tensor, _: Tensor) -> Tensor:
    return images


_FUNCTIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Identity": _identity,
    "Brightness": _brightness,
    "Color": _color,
    "Contrast": _contrast,
    "Sharpness": _sharpness,
    "Posterize": _posterize,
    "Solarize": _solarize,
    "AutoContrast": _auto_contrast,
    "Equalize": _equalize,
    "Invert": _invert,
    "Hue": _hue,
}
