"""The last batch of an epoch: one image, or an odd number under mixup."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from bench.plan.experiment import load_experiment
from bench.plan.runs import plan
from bench.records.directory import RunDirectory
from bench.run.last_batch import Mixup
from bench.run.one_run import DONE, execute
from methods.parts.single_values import take_single_values
from tests.bench.conftest import TINY


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4, 5), nn.BatchNorm1d(5)
    )


def test_one_image_is_normalised_with_the_running_statistics_and_leaves_them() -> None:
    plain, taken = network(), network()
    take_single_values(taken)
    image, batch = torch.randn(1, 3, 3, 3), torch.randn(6, 3, 3, 3)
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        plain(image)
    assert torch.equal(taken(batch), network()(batch))
    before = {name: value.clone() for name, value in taken.state_dict().items()}
    logits = taken(image)
    assert all(torch.equal(value, before[name]) for name, value in taken.state_dict().items())
    expected = taken.eval()(image)
    assert torch.equal(logits, expected)
    logits.sum().backward()
    assert taken[0].weight.grad is not None
    assert not any(module.training for module in taken.modules())


def test_a_module_is_in_training_again_after_one_image() -> None:
    taken = network()
    take_single_values(taken)
    taken(torch.randn(1, 3, 3, 3))
    assert all(module.training for module in taken.modules())
    assert torch.equal(taken(torch.ones(4, 3, 3, 3)), network()(torch.ones(4, 3, 3, 3)))


def test_a_share_of_one_is_not_a_batch_of_one() -> None:
    """Two processes with an image each have a batch of two, of which `GlobalBatchNorm2d` knows both."""

    class Shared(nn.BatchNorm2d):
        processes = 2

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.training

    norm = Shared(3)
    take_single_values(norm)
    assert torch.equal(norm(torch.zeros(1, 3, 1, 1)), torch.ones(1, 3, 1, 1))


@pytest.mark.slow
@pytest.mark.parametrize(("left", "of_24", "of_43"), [(1, 23, 14), pytest.param(3, 21, 20, marks=pytest.mark.long)])
def test_searches_take_any_last_batch(left: int, of_24: int, of_43: int, tmp_path: Path) -> None:
    """Shared weights on half of 48 images; MGAS on nine tenths, whose early heads make one pixel of any image."""
    assert 24 % of_24 == 43 % of_43 == left
    content = yaml.safe_load(TINY.read_text())
    tiny = content["profiles"]["tiny"]
    shared = {"channels": 4, "cells": 3, "cells_per_stage": 1, "epochs": 1, "recalibration_batches": 3}
    mgas = {"channels": 4, "cells": 3, "targets": [18000, 12000], "autoaugment": False, "warmup_epochs": [1],
            "commit_interval": 1, "phase_epochs": [2, 2, 2, 2], "max_epochs": 8, "stage_ratios": [0.6]}  # fmt: skip
    tiny["data"]["train_images"] = 48
    tiny["evaluation"] = {"supernet": shared | {"batch_size": of_24}}
    sampling = {"space": "nasbench201", "samples": 2}
    tiny["options"] = {"mgas": mgas | {"batch_size": of_43}, "random_sampling": sampling}
    content["rows"] = {"mgas": {"method": "mgas"}, "shared": {"method": "random_sampling", "evaluator": "supernet"}}
    path = tmp_path / "odd.yaml"
    path.write_text(yaml.safe_dump(content))
    searches = [info for info in plan(load_experiment(str(path)), "tiny", None, [0]) if info.phase == "search"]
    assert len(searches) == 2
    for info in searches:
        directory = RunDirectory(tmp_path / info.name)
        directory.create(info)
        assert execute(directory.path, "cpu") == DONE, info.label
        values = [line["values"]["train/loss"] for line in directory.read_metrics()]
        assert values
        assert all(map(math.isfinite, values))


@pytest.mark.parametrize("count", [1, 2, 3, 8, 9])
def test_mixup_of_any_number_is_one_lambda_and_the_batch_reversed(count: int) -> None:
    """x_i * lambda + x_{n-1-i} * (1 - lambda), images and one-hot labels alike (Zhang et al., section 2)."""
    images, labels = torch.randn(count, 3, 2, 2), torch.randint(4, (count,))
    np.random.seed(3)
    mixed, targets = Mixup(0.4, 4)(images.clone(), labels)
    np.random.seed(3)
    np.random.rand()
    weight = np.random.beta(0.4, 0.4)
    hot = nn.functional.one_hot(labels, 4).float()
    torch.testing.assert_close(mixed, images * weight + images.flip(0) * (1 - weight))
    torch.testing.assert_close(targets, hot * weight + hot.flip(0) * (1 - weight))


def test_mixup_of_an_even_batch_is_timms_to_the_bit() -> None:
    from timm.data import Mixup as Timms

    images, labels = torch.randn(8, 3, 2, 2), torch.randint(4, (8,))
    results = []
    for mixup in (Mixup(0.2, 4), Timms(mixup_alpha=0.2, label_smoothing=0.0, num_classes=4)):
        np.random.seed(1)
        results.append(mixup(images.clone(), labels))
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(*results, strict=True))
