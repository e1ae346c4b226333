"""Parameters and MACs of a network of cells in closed form: what counting the built network gives, without building it.

Counted as in `methods.parts.counts`: MACs are the multiply-adds of convolutions and linear layers for one image, and
the auxiliary head is in `params_training` only.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from methods.architecture import Architecture
from methods.parts.counts import Convolution, NetworkCounts
from methods.spaces.base import NetworkSettings
from methods.spaces.cell.conventions import Conventions
from methods.spaces.cell.layout import CellLayout, Edge, layout
from methods.spaces.cell.network import AUXILIARY_WIDTHS, auxiliary_after, stem_widths
from methods.spaces.operation_names import is_pool
from methods.spaces.operations.base import Place, get_operation


def halved(size: int) -> int:
    """The size after stride 2."""
    return (size + 1) // 2


def place_of(cell: CellLayout, edge: Edge) -> Place:
    """What an operation's counts depend on."""
    source, node = cell.widths[edge.source], cell.widths[edge.node]
    return Place(source, node, cell.stride(edge), edge.mid or source, cell.firsts[edge.node])


def operation_convolutions(cell: CellLayout, edge: Edge, size: int) -> list[Convolution]:
    """The convolutions of one operation of a cell whose inputs are `size` pixels high and wide."""
    after = halved(size) if cell.reduction else size
    before = size if cell.stride(edge) == 2 else after
    return get_operation(edge.operation).convolutions(place_of(cell, edge), before, after)


def operation_weights(cell: CellLayout, edge: Edge) -> int:
    """Convolution weights of one operation."""
    return sum(convolution.weights for convolution in operation_convolutions(cell, edge, size=1))


def norm_parameters(cell: CellLayout, edge: Edge, conventions: Conventions) -> int:
    """Scales and shifts of one operation's normalisations."""
    affine = conventions.pool_norm == "affine" if is_pool(edge.operation) else conventions.affine
    return 2 * get_operation(edge.operation).normalised(place_of(cell, edge)) if affine else 0


def network_counts(
    architecture: Architecture,
    num_classes: int,
    settings: NetworkSettings,
    conventions: Conventions,
    image_size: int = 32,
) -> NetworkCounts:
    """Counts of `methods.spaces.cell.network.CellNetwork` for square images of `image_size` pixels."""
    cells, stem = layout(architecture, settings), stem_widths(architecture, settings)
    return stack_counts(cells, stem, num_classes, settings, conventions, image_size)


def stack_counts(
    cells: Sequence[CellLayout],
    stem: Sequence[int],
    num_classes: int,
    settings: NetworkSettings,
    conventions: Conventions,
    image_size: int = 32,
) -> NetworkCounts:
    """Counts of `methods.spaces.cell.network.CellStack`; arguments as there."""
    params, macs, size = stem_counts(stem, settings.stem, image_size)
    before_last = last = stem[-1]
    auxiliary, place = 0, auxiliary_after(cells)
    known: dict[tuple[int, int, int, int], tuple[int, int]] = {}  # a cell that is repeated is counted once
    for index, cell in enumerate(cells):
        key = id(cell), before_last, last, size
        known[key] = known.get(key) or cell_counts(cell, before_last, last, size, conventions)
        more, work = known[key]
        params, macs = params + more, macs + work
        size = halved(size) if cell.reduction else size
        before_last, last = last, cell.out_channels
        if settings.auxiliary and index == place:
            auxiliary = auxiliary_params(last, num_classes, settings.stem == "cifar" or conventions.auxiliary_norm)
    params += (last + 1) * num_classes
    return NetworkCounts(params, params + auxiliary, macs + last * num_classes)


def cell_counts(cell: CellLayout, before_last: int, last: int, size: int, conventions: Conventions) -> tuple[int, int]:
    """Parameters and MACs of one cell whose inputs have so many channels and are `size` pixels high and wide."""
    inputs = before_last * cell.widths[0] + last * cell.widths[1]
    convolutions = [each for edge in cell.edges for each in operation_convolutions(cell, edge, size)]
    norms = sum(norm_parameters(cell, edge, conventions) for edge in cell.edges)
    if conventions.affine:
        norms += 2 * (cell.widths[0] + cell.widths[1])
    params = inputs + norms + sum(convolution.weights for convolution in convolutions)
    return params, inputs * size**2 + sum(convolution.macs for convolution in convolutions)


def stem_counts(widths: Sequence[int], stem: str, size: int) -> tuple[int, int, int]:
    """Parameters and MACs of normalised 3x3 convolutions between so many channels, and the size after them.

    Those of the ImageNet stem halve the image.
    """
    params = macs = 0
    for c_in, c_out in pairwise(widths):
        size = size if stem == "cifar" else halved(size)
        params += 9 * c_in * c_out + 2 * c_out
        macs += 9 * c_in * c_out * size**2
    return params, macs, size


def auxiliary_params(channels: int, num_classes: int, second_norm: bool) -> int:
    """Of the auxiliary head."""
    first, second = AUXILIARY_WIDTHS
    convolutions = channels * first + first * second * 2 * 2
    return convolutions + 2 * first + 2 * second * second_norm + (second + 1) * num_classes
