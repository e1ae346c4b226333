"""an image twice or four times as large: mean absolute error, PSNR (dB) and SSIM of the luma channel

Low resolution is the photograph made smaller by antialiased bicubic interpolation and rounded to 8 bits
(`methods.parts.pictures.resize`); inputs and targets are in [0, 1]. Measured as the field does: output rounded to 8
bits, Y channel of BT.601, as many pixels as the factor cut off at each border, every image by itself, then the mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from methods.tasks.base import Metric, Task

if TYPE_CHECKING:
    from torch import Tensor, nn

PSNR = Metric("psnr", "PSNR", "dB", higher_is_better=True, low=0.0, differences=(0.05, 0.1))
"""The two small differences are ours: no source says what is small."""
SSIM = Metric("ssim", "SSIM", "", higher_is_better=True, low=-1.0, high=1.0, digits=4)
OUTPUT = (720, 1280)
"""Height and width of the image that a network gives when its MACs are counted, as the field states them."""
MOST_PSNR = 100.0
"""dB, of an image without an error: its mean would be infinite."""


@dataclass(frozen=True)
class Options:
    """Attributes:
    scale: the factor, in each direction.
    """

    scale: Literal[2, 4] = 2


@dataclass(frozen=True)
class SuperResolution(Task):
    """Outputs and targets are images in [0, 1], float, (batch, channels, scale * h, scale * w)."""

    scale: int = 2

    name = "super_resolution"
    metric = PSNR
    headline = PSNR
    others = (SSIM,)
    loss_terms = ("hfen_weight",)
    recipe_fields = ("hfen_weight",)

    @property
    def title(self) -> str:
        return f"super-resolution x{self.scale}"

    def loss(self, outputs: Tensor, targets: Tensor, hfen_weight: float = 0.0, **terms: float) -> Tensor:
        """Mean absolute error in grey levels (0 to 255), plus the high-frequency error with its weight."""
        from methods.parts.pictures import GREY_LEVELS, high_frequency_error

        loss = (outputs - targets).abs().mean() * GREY_LEVELS
        return loss + hfen_weight * high_frequency_error(outputs, targets) if hfen_weight else loss

    def sums(self, outputs: Tensor, targets: Tensor, loss: Tensor) -> dict[str, Tensor]:
        """Of patches, whose PSNR is of all their pixels; no SSIM, and nothing leaves the device."""
        import torch

        from methods.parts.pictures import GREY_LEVELS, in_grey_levels, luma

        error = luma(in_grey_levels(outputs.float())) - luma(targets)
        mean = error.square().flatten(1).mean(1)
        psnr = (10 * torch.log10(GREY_LEVELS**2 / mean)).clamp(max=MOST_PSNR)
        return {"loss_sum": loss * len(targets), "psnr_sum": psnr.sum(), "count": loss.new_full((), len(targets))}

    def evaluated(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Of whole images, by scikit-image, on the host."""
        import torch

        from methods.parts.pictures import GREY_LEVELS, in_grey_levels, luma

        outputs = outputs.float()
        loss = (outputs - targets).abs().flatten(1).mean(1).sum() * GREY_LEVELS
        cut = slice(self.scale, -self.scale)
        pairs = [luma(each)[:, 0, cut, cut].double().cpu().numpy() for each in (in_grey_levels(outputs), targets)]
        found = [similarity(one, other) for one, other in zip(*pairs, strict=True)]
        psnr, ssim = (loss.new_tensor(sum(values), dtype=torch.float64) for values in zip(*found, strict=True))
        return {"loss_sum": loss, "psnr_sum": psnr, "ssim_sum": ssim, "count": loss.new_full((), len(targets))}

    def values(self, sums: Mapping[str, float]) -> dict[str, float]:
        names = {"loss": "loss_sum", "psnr": "psnr_sum", "ssim": "ssim_sum"}
        return {name: sums[key] / sums["count"] for name, key in names.items() if key in sums}

    def imagined_targets(self, inputs: Tensor, outputs: int) -> Tensor:
        count, channels, height, width = inputs.shape
        return inputs.new_empty(count, channels, self.scale * height, self.scale * width).uniform_()

    @property
    def counted_at(self) -> tuple[int, int]:
        """What gives OUTPUT."""
        return OUTPUT[0] // self.scale, OUTPUT[1] // self.scale

    def outputs(self, channels: int) -> int:
        """Values for each pixel that is read."""
        return int(channels * self.scale**2)

    def input_side(self, side: int) -> int:
        return side // self.scale

    baseline_name = "bicubic"

    def baseline(self) -> nn.Module:
        from methods.parts.bicubic import Bicubic

        return Bicubic(self.scale)


def similarity(image: object, target: object) -> tuple[float, float]:
    """PSNR in dB, and SSIM with Gaussian windows of 11 pixels and sigma 1.5 (Wang et al., IEEE TIP 2004).

    Args:
        image, target: the luma channel, float64 arrays (h, w), in grey levels.
    """
    from typing import Any, cast

    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    one, other = cast(Any, image), cast(Any, target)
    if (one == other).all():
        return MOST_PSNR, 1.0
    psnr = peak_signal_noise_ratio(other, one, data_range=255)
    ssim = structural_similarity(
        other, one, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    return min(float(psnr), MOST_PSNR), float(ssim)


def make(options: Options) -> SuperResolution:
    return SuperResolution(options.scale)
