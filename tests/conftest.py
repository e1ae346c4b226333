"""Triton reads this variable when it is first imported: without a GPU its kernels are interpreted, on CPU tensors."""

from __future__ import annotations

import os

import torch

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")
