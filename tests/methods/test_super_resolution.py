"""Super-resolution against textbooks: counts of the published networks, bicubic degradation, PSNR and SSIM."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from methods.domain import MethodError
from methods.parts.counts import count_macs, count_params
from methods.parts.pictures import high_frequency_error, in_grey_levels, luma, resize
from methods.spaces.superres.counts import network_counts
from methods.spaces.superres.layout import OPERATIONS
from methods.spaces.superres.network import DistillationNetwork
from methods.tasks import CLASSIFICATION, get_task, task_of
from methods.tasks.base import require_metric

PUBLISHED: dict[str, tuple[tuple[str, ...], list[tuple[int, int]], int, float]] = {
    "DLSR": (("conv_1x1", "sep_conv_7x7", "sep_conv_5x5"), [(1, 2), (2, 3), (2, 4), (4, 5)], 322_620, 67.31),
    "with the parameter term": (
        ("sep_conv_3x3", "sep_conv_5x5", "sep_conv_5x5"), [(1, 2), (2, 3), (3, 4), (1, 3)], 327_804, 68.50,
    ),
}  # fmt: skip
"""Released genotypes (DLSR-PyTorch 3ea0d84), with parameters and 1e9 MACs at an output of 1280x720, counted there."""


def picture(seed: int, height: int = 48, width: int = 64) -> Tensor:
    """A smooth random photograph with 8 bits, (1, 3, h, w) in [0, 1]."""
    noise = torch.rand(1, 3, height // 8, width // 8, generator=torch.Generator().manual_seed(seed))
    return in_grey_levels(resize(noise, height, width))


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_networks_have_their_published_counts(name: str) -> None:
    operations, inputs, params, gigamacs = PUBLISHED[name]
    with torch.device("meta"):
        network = DistillationNetwork(operations, inputs, 48, 3, 12)
    macs = count_macs(network, (3, 360, 640))
    assert count_params(network) == params
    assert round(macs / 1e9, 2) == gigamacs
    found = network_counts(operations, 48, 3, 12, 360, 640)
    assert (found.params, found.macs) == (params, macs)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_is_counted_in_closed_form_and_keeps_the_size(operation: str) -> None:
    network = DistillationNetwork([operation] * 3, [(1, 2)] * 4, 8, 3, 48)
    found = network_counts([operation] * 3, 8, 3, 48, 20, 16)
    assert (found.params, found.macs) == (count_params(network), count_macs(network, (3, 20, 16)))
    assert network(torch.rand(1, 3, 20, 16)).shape == (1, 3, 80, 64)


@pytest.mark.parametrize("scale", [2, 4])
def test_low_resolution_is_what_pillow_makes(scale: int) -> None:
    high = picture(1)
    ours = in_grey_levels(resize(high, 48 // scale, 64 // scale))[0].permute(1, 2, 0) * 255
    image = Image.fromarray((high[0].permute(1, 2, 0) * 255).round().byte().numpy())
    theirs = np.asarray(image.resize((64 // scale, 48 // scale), Image.Resampling.BICUBIC)).astype(int)
    assert np.abs(ours.round().numpy().astype(int) - theirs).max() <= 1  # Pillow rounds between its two passes


def test_psnr_is_that_of_the_luma_channel_without_its_border() -> None:
    """Textbook: 20 log10(255 / RMSE), in float64, `scale` pixels cut off."""
    task = get_task("super_resolution", {"scale": 2})
    one, other = picture(1), picture(2)
    weights = np.array([65.481, 128.553, 24.966])
    y = [(each[0].double().permute(1, 2, 0).numpy() @ weights + 16)[2:-2, 2:-2] for each in (one, other)]
    expected = 20 * np.log10(255 / np.sqrt(np.mean((y[0] - y[1]) ** 2)))
    sums = {name: float(value) for name, value in task.evaluated(one, other).items()}
    found = task.values(sums)
    assert found["psnr"] == pytest.approx(expected, abs=1e-4)
    assert 0 < found["ssim"] < 1
    same = task.values({name: float(value) for name, value in task.evaluated(one, one).items()})
    assert (same["psnr"], same["ssim"], same["loss"]) == (100.0, 1.0, 0.0)


def test_a_batch_in_training_has_the_psnr_of_all_its_pixels() -> None:
    task = get_task("super_resolution", {"scale": 2})
    one, other = picture(1), picture(2)
    mean = (luma(one) - luma(other)).double().square().mean()
    found = task.sums(one, other, torch.tensor(3.0))
    assert float(found["psnr_sum"]) == pytest.approx(float(10 * torch.log10(255**2 / mean)), abs=1e-4)
    assert (float(found["loss_sum"]), float(found["count"])) == (3.0, 1.0)


def test_the_loss_is_in_grey_levels_and_adds_high_frequencies() -> None:
    task = get_task("super_resolution", {"scale": 2})
    one, other = picture(1), picture(2)
    plain = (one - other).abs().mean() * 255
    assert torch.equal(task.loss(one, other), plain)
    assert torch.equal(task.loss(one, other, hfen_weight=0.2), plain + 0.2 * high_frequency_error(one, other))
    assert float(high_frequency_error(torch.zeros_like(one), torch.zeros_like(one))) == 0.0


def test_what_an_estimate_times_a_step_on_fits_the_outputs() -> None:
    inputs = torch.rand(3, 3, 8, 6)
    for scale in (2, 4):
        task, network = get_task("super_resolution", {"scale": scale}), torch.nn.PixelShuffle(scale)
        outputs = network(inputs.repeat(1, scale**2, 1, 1))
        assert outputs.shape == task.imagined_targets(inputs, 3 * scale**2).shape
    labels = CLASSIFICATION.imagined_targets(inputs, 2)
    assert labels.shape == (3,)
    assert set(labels.tolist()) <= {0, 1}
    CLASSIFICATION.loss(torch.randn(3, 2), labels)


def test_a_task_says_by_what_its_networks_are_compared() -> None:
    class Unmeasured:
        name = "unmeasured"

    nothing: Any = Unmeasured()
    with pytest.raises(MethodError, match=r"task 'unmeasured' has no metric: .* give its class `metric = Metric\("):
        require_metric(nothing)
    with pytest.raises(MethodError, match="unknown task 'super_resolutoin'; did you mean 'super_resolution'"):
        get_task("super_resolutoin")
    with pytest.raises(MethodError, match=r"task 'super_resolution': .*unexpected keyword argument 'factor'"):
        get_task("super_resolution", {"factor": 2})


def test_a_configuration_without_a_task_is_of_classification() -> None:
    assert task_of({}) == CLASSIFICATION
    assert task_of({"task": {"name": "super_resolution", "scale": 4}}) == get_task("super_resolution", {"scale": 4})
    assert CLASSIFICATION.headline_of(97.5) == 2.5
    assert CLASSIFICATION.metric.gain(97.0, 96.0) == 1.0
    assert CLASSIFICATION.headline.gain(3.0, 4.0) == 1.0
