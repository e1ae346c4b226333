"""What computes a network while it is timed: PyTorch as it is, or ONNX Runtime as a deployment would."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from bench.device.engine import make_engine
from bench.latency.conditions import Conditions, LatencyError
from bench.latency.timing import Call
from methods.architecture import Architecture
from methods.spaces import build

BACKENDS = ("torch", "onnxruntime")


def prepared(architecture: Architecture, conditions: Conditions) -> Call:
    """One forward pass of a new network in evaluation mode, on a batch of random images.

    Raises:
        ArchitectureError: it cannot be built at this size.
        LatencyError: ONNX Runtime or its exporter fails.
    """
    device = torch.device(conditions.device_type)
    network = build(architecture, conditions.classes, conditions.settings).eval().to(device)
    side = conditions.image_size
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(conditions.batch, conditions.settings.in_channels, side, side, generator=generator).to(device)
    return (_onnxruntime if conditions.backend == "onnxruntime" else _torch)(network, images, conditions)


def ready(conditions: Conditions) -> None:
    """Set torch's switches."""
    make_engine(torch.device(conditions.device_type), "fp32", deterministic=False, threads=conditions.threads)


@contextmanager
def subnormals_as_zero() -> Iterator[None]:
    """Subnormal numbers, which trained networks hardly have and which take long, are zeros in this thread meanwhile."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def _torch(network: nn.Module, images: Tensor, conditions: Conditions) -> Call:
    @torch.inference_mode()
    def call() -> None:
        network(images)
        if conditions.device_type == "cuda":
            torch.cuda.synchronize()

    return call


def _onnxruntime(network: nn.Module, images: Tensor, conditions: Conditions) -> Call:
    try:
        import onnx  # noqa: F401  (torch's exporter needs it)
        import onnxruntime
    except ImportError as error:
        raise LatencyError(
            f"ONNX Runtime needs the package {error.name}; pip install 'dasbench[latency]', or take --backend torch"
        ) from None
    try:
        content = _exported(network, images)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = conditions.threads, 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.set_denormal_as_zero", "1")
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the exporter and the runtime have errors of their own
        raise LatencyError(f"ONNX Runtime takes no such network: {type(error).__name__}: {str(error)[:300]}") from None
    given = {"images": images.numpy()}
    return lambda: session.run(None, given)


def _exported(network: nn.Module, images: Tensor) -> bytes:
    """By tracing, which takes a tenth of the time of the exporter that `dasbench export` takes."""
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        path = Path(folder) / "network.onnx"
        torch.onnx.export(network, (images,), path, input_names=["images"], output_names=["logits"], dynamo=False)
        return path.read_bytes()
