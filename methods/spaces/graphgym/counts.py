"""Parameters of a design's network in closed form, and the width at which it has a given number of them. No torch."""

from __future__ import annotations

from methods.architecture import ArchitectureError
from methods.spaces.graphgym.design import REFERENCE, Design

LARGEST_WIDTH = 4096


def params(design: Design, width: int, features: int, outputs: int) -> int:
    """Parameters of the network that `GraphGymNetwork` builds.

    Args:
        width: of every hidden layer before the last part; behind concatenations that part is wider.
        features, outputs: numbers for each node, and for each node or graph.
    """
    beside = 2 if design.batch_norm else 1  # scale and shift, or a bias
    total = layer(features, width, beside) + (design.pre_layers - 1) * layer(width, width, beside)
    grown = width
    for _ in range(design.message_layers):
        total += 2 * grown * width + beside * width  # of the messages, and of the node itself
        grown = grown + width if design.connectivity == "skip-cat" else width
    total += (design.post_layers - 1) * layer(grown, grown, beside) + grown * outputs + outputs
    return total + (design.activation == "prelu")


def layer(inputs: int, outputs: int, beside: int) -> int:
    return inputs * outputs + beside * outputs


def width_for(design: Design, budget: float, features: int, outputs: int) -> int:
    """The width at which a design's parameters come nearest to a budget."""
    low, high = 1, LARGEST_WIDTH
    while low < high:  # the first width at or above the budget
        middle = (low + high) // 2
        if params(design, middle, features, outputs) < budget:
            low = middle + 1
        else:
            high = middle
    near = [width for width in (low - 1, low) if width >= 1]
    return min(near, key=lambda width: abs(params(design, width, features, outputs) - budget))


def match_widths(
    designs: list[Design], base_width: int, features: int, outputs: int, tolerance: float = 0.02, reach: float = 0.5
) -> list[int]:
    """Widths at which designs have equally many parameters: the largest number is within `tolerance` of the smallest.

    The budget is that of the reference design at `base_width`. Widths are whole numbers, so that a design with many
    wide layers has few sizes near it: of the sizes that its designs can have within `reach` of the budget, the nearest
    one is taken at which all others match.

    Raises:
        ArchitectureError: there is none.
    """
    budget = params(REFERENCE, base_width, features, outputs)
    sizes = sorted(_sizes(designs, budget, reach, features, outputs), key=lambda size: (abs(size - budget), size))
    for size in sizes:
        widths = [width_for(design, size, features, outputs) for design in designs]
        found = [params(design, width, features, outputs) for design, width in zip(designs, widths, strict=True)]
        if max(found) <= (1 + tolerance) * min(found):
            return widths
    raise ArchitectureError(
        f"no widths give these {len(designs)} networks equal sizes to {tolerance:.0%} near the budget of {budget:,} "
        f"parameters (width {base_width}): a step of the width is too coarse there; raise base_width"
    )


def _sizes(designs: list[Design], budget: int, reach: float, features: int, outputs: int) -> set[int]:
    """Every size that one of the designs can have near the budget, and the budget itself."""
    found = {budget}
    for design in designs:
        width = max(1, width_for(design, budget * (1 - reach), features, outputs))
        while (size := params(design, width, features, outputs)) <= budget * (1 + reach):
            found.add(size)
            width += 1
    return found
