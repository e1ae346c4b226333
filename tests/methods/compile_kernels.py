"""Compile every kernel for a GPU that need not be there: run by `test_kernels_compile.py` in a process of its own.

Launches are intercepted: instead of running, each is compiled to machine code for the compute capability named on the
command line, with the types and constants of that launch. Prints one line a compiled kernel: name, dtype, registers,
bytes of stack.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
import triton
from torch import nn
from triton.backends.compiler import GPUTarget
from triton.runtime.jit import JITFunction

POINTERS = {torch.float32: "*fp32", torch.bfloat16: "*bf16", torch.float64: "*fp64"}
TARGET = GPUTarget("cuda", int(sys.argv[1]), 32)
seen: set[Any] = set()


def compile_instead(kernel: JITFunction, *args: Any, grid: Any, warmup: bool, **named: Any) -> None:
    values = dict(zip(kernel.arg_names, args, strict=False)) | named
    constants, signature, attributes = {}, {}, {}
    for index, name in enumerate(kernel.arg_names):
        value = values[name]
        if kernel.params[index].is_constexpr:
            signature[name], constants[(index,)] = "constexpr", value
        elif isinstance(value, torch.Tensor):
            signature[name], attributes[(index,)] = POINTERS[value.dtype], [["tt.divisibility", 16]]
        else:
            signature[name] = "i32"
    key = (kernel.__name__, tuple(signature.items()), tuple(str(c) for c in constants.values()))
    if key in seen:
        return
    seen.add(key)
    source = triton.compiler.ASTSource(kernel, signature, constants, attributes)
    compiled = triton.compile(source, target=TARGET)
    registers, stack = usage(compiled.asm["cubin"])
    print(kernel.__name__, next(t for t in signature.values() if t.startswith("*")), registers, stack)


def usage(machine_code: bytes) -> tuple[int, int]:
    """Registers, and bytes of stack (where spilt registers go), by the tool that Triton ships."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "kernel.cubin")
        file.write_bytes(machine_code)
        command = [triton.knobs.nvidia.cuobjdump.path, "-res-usage", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = re.search(r"REG:(\d+) STACK:(\d+)", done.stdout + done.stderr)
    assert found is not None, done.stdout + done.stderr
    return int(found[1]), int(found[2])


def main() -> None:
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from methods.parts.executors.kernels.depthwise import norm_relu_depthwise, relu_depthwise
    from methods.parts.executors.kernels.weighted_sum import fused_weighted_sum

    def leaf(*shape: int, dtype: torch.dtype) -> torch.Tensor:
        return torch.zeros(shape, dtype=dtype).requires_grad_()

    for dtype in (torch.float32, torch.bfloat16):
        for edges, candidates, shared, channels, size in [(4, 4, 3, 16, 32), (4, 5, 2, 32, 16), (2, 0, 1, 12, 16)]:
            norms = [nn.BatchNorm2d(edges * channels, affine=False) for _ in range(candidates)]
            zs = [leaf(8, edges * channels, size, size, dtype=dtype) for _ in norms]
            xs = [leaf(8, channels, size, size, dtype=dtype) for _ in range(shared)]
            weights = leaf(edges, candidates + shared, dtype=torch.float32)
            fused_weighted_sum(weights, zs, norms, xs).sum().backward()
        for kernel, stride, dilation in [(3, 1, 1), (5, 1, 1), (3, 2, 1), (5, 2, 1), (3, 1, 2), (5, 1, 2), (5, 2, 2)]:
            for edges in (1, 4):
                x, w = leaf(8, 16, 32, 32, dtype=dtype), leaf(edges * 16, 1, kernel, kernel, dtype=torch.float32)
                relu_depthwise(x, w, stride, dilation).sum().backward()
        for kernel in (3, 5):
            x, w = leaf(8, 16, 32, 32, dtype=dtype), leaf(16, 1, kernel, kernel, dtype=torch.float32)
            norm_relu_depthwise(x, w, nn.BatchNorm2d(16, affine=False)).sum().backward()


if __name__ == "__main__":
    JITFunction.run = compile_instead
    main()
