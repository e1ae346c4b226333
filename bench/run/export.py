"""A trained network as files that other programs read, each checked against PyTorch's own outputs."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from bench.data.splits import FINAL
from bench.records.directory import RecordError
from bench.records.inputs import finished_record, found_architecture, verified_file
from bench.records.weights import WEIGHTS_NAME, load_weights
from methods.spaces import NetworkSettings, build

FORMATS = ("onnx", "torch")
TOLERANCE = 1e-4
"""Largest difference allowed between an exported network's logits and PyTorch's, relative to the largest logit."""


class ExportError(RuntimeError):
    """A network that cannot be exported, or whose export does not compute what it should."""


@dataclass(frozen=True)
class Exported:
    """One file made, and how far its logits are from PyTorch's (largest absolute difference)."""

    path: Path
    difference: float


def trained_network(run: Path) -> tuple[nn.Module, tuple[int, int, int]]:
    """The network of a finished training or evaluation of inherited weights, and its image shape (C, H, W).

    With its weights, in evaluation mode.

    Raises:
        RecordError: not a finished training, or not as the run left it.
    """
    record = finished_record(run)
    if record is None or record.info.phase not in FINAL or record.result is None:
        raise RecordError(f"{run} is not a finished training")
    info, result = record.info, record.result
    channels, height, width = result["network"]["image_shape"]
    settings = NetworkSettings(**info.config["network"], in_channels=channels)
    network = build(found_architecture(record), result["network"]["classes"], settings)
    load_weights(network, verified_file(record, WEIGHTS_NAME))
    return network.eval(), (channels, height, width)


def export(run: Path, out: Path, formats: Iterable[str] = FORMATS) -> list[Exported]:
    """Write a trained network as `network.onnx` and `network.pt2` (torch.export), with a free batch dimension.

    The input is a batch of normalised images, float32, (batch, C, H, W); the output logits, (batch, classes),
    or what the task has instead.

    Raises:
        ExportError: an unknown format, an unwritable folder, a missing package, or an export whose logits differ.
    """
    unknown = sorted(set(formats) - set(FORMATS))
    if unknown:
        raise ExportError(f"unknown format '{unknown[0]}'; valid: {', '.join(FORMATS)}")
    network, shape = trained_network(run)
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise ExportError(f"cannot write to {out}: {error.strerror}; choose another folder with --out") from None
    images = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = network(images)
    writers = {"onnx": _onnx, "torch": _torch}
    made = []
    for name in formats:
        path, found = writers[name](network, images, out)
        difference = float((found - expected).abs().max())
        if not difference <= TOLERANCE * float(expected.abs().max()):
            raise ExportError(f"{path} computes other logits than PyTorch (largest difference {difference:.3g})")
        made.append(Exported(path, difference))
    return made


def _torch(network: nn.Module, images: Tensor, out: Path) -> tuple[Path, Tensor]:
    path = out / "network.pt2"
    program = torch.export.export(network, (images,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.export.save(program, path)
    return path, torch.export.load(path).module()(images).detach()


def _onnx(network: nn.Module, images: Tensor, out: Path) -> tuple[Path, Tensor]:
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  (torch's exporter needs it)
    except ImportError as error:
        raise ExportError(f"ONNX export needs {error.name}; pip install 'dasbench[export]'") from None
    path = out / "network.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (images,),
            path,
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"images": images.numpy().astype(np.float32)})
    return path, torch.from_numpy(found)
