"""What must be in the environment before anything is imported, of tests and of the processes that they start."""

from __future__ import annotations

import os

import torch

from bench.device import compiler

compiler.keep_out()  # as every command and every run begins

os.environ["DASBENCH_CALIBRATION"] = "0"  # what is fast here must not decide the bits that tests compare

if not torch.cuda.is_available():  # Triton interprets its kernels, on CPU tensors
    os.environ.setdefault("TRITON_INTERPRET", "1")
