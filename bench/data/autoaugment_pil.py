"""AutoAugment's CIFAR-10 policy as MG-DARTS' search code has it: by Pillow, with shears interpolated.

Where it differs from `bench.data.autoaugment`: shears are cubic; translations are not cut to whole pixels; rotations
have one sign; the second equalisation of the 17th sub-policy has probability .8; solarisation starts at 256. Colours
are those of `bench.data.autoaugment`, which differ from Pillow's by at most one grey level.
"""

from __future__ import annotations

import math

import torch

from bench.data.autoaugment import CIFAR10_POLICY, TORCHVISION, Policy, SubPolicies

_SEVENTEENTH = (("Equalize", 0.2, None), ("Equalize", 0.8, None))


def _magnitude(operation: str, level: int | None, size: int) -> float:
    largest = {
        "ShearX": 0.3,
        "ShearY": 0.3,
        "Rotate": 30.0,
        "TranslateX": 150 / 331 * size,
        "TranslateY": 150 / 331 * size,
    }
    if level is not None and operation in largest:
        return largest[operation] * level / 9
    if level is not None and operation == "Solarize":
        return 256 - 256 * level / 9
    return TORCHVISION.magnitude(operation, level, size)


def _matrix(operation: str, value: float, size: int) -> list[list[float]]:
    """From a place in the result to one in the source, in pixels from the top left corner."""
    if operation == "ShearX":
        return [[1.0, value, 0.0], [0.0, 1.0, 0.0]]
    if operation == "ShearY":
        return [[1.0, 0.0, 0.0], [value, 1.0, 0.0]]
    if operation == "TranslateX":
        return [[1.0, 0.0, value], [0.0, 1.0, 0.0]]
    if operation == "TranslateY":
        return [[1.0, 0.0, 0.0], [0.0, 1.0, value]]
    cosine, sine = round(math.cos(math.radians(value)), 15), round(math.sin(math.radians(value)), 15)
    half = size / 2
    return [[cosine, -sine, half - cosine * half + sine * half], [sine, cosine, half - sine * half - cosine * half]]


def _sub_policies() -> SubPolicies:
    return (*CIFAR10_POLICY[:16], _SEVENTEENTH, *CIFAR10_POLICY[17:])


PIL = Policy(
    _sub_policies(),
    tuple(name for name in TORCHVISION.signed if name != "Rotate"),
    {
        "ShearX": "CubicAffine",
        "ShearY": "CubicAffine",
        "TranslateX": "PixelAffine",
        "TranslateY": "PixelAffine",
        "Rotate": "PixelAffine",
    },
    _magnitude,
    _matrix,
    torch.float64,
)
