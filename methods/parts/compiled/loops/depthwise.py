"""The sums of depthwise convolutions' weight gradients."""

from __future__ import annotations

from methods.parts.compiled.loops.compiling import Array, compiled_loop


@compiled_loop("cc11c")
def add_taps(x: Array, g: Array, channels: int, dilation: int, sums: Array) -> None:
    """Sums of a depthwise convolution's weight gradient, stride 1, zero padding that keeps the size.

    x, g: (batch, h, w * channels); sums: (kernel, kernel, w * channels), each number of a row on its own:
    `sums[a, b] += x g`, x seen `a - kernel // 2` rows and `b - kernel // 2` pixels further, dilated.
    """
    batch, height, row = x.shape
    kernel = sums.shape[0]
    for n in range(batch):
        for a in range(kernel):
            down = (a - kernel // 2) * dilation
            for b in range(kernel):
                right = (b - kernel // 2) * dilation * channels
                if abs(right) >= row:
                    continue
                total = sums[a, b, max(0, -right) : row - max(0, right)]
                for i in range(max(0, -down), height - max(0, down)):
                    left = g[n, i, max(0, -right) : row - max(0, right)]
                    seen = x[n, i + down, max(0, right) : row - max(0, -right)]
                    for j in range(total.size):
                        total[j] += left[j] * seen[j]
