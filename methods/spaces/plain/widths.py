"""The widths of a plain network's stages as decisions: one for all layers of a stage, in eighths of the unpruned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from methods.architecture import ArchitectureError
from methods.spaces.decisions import Decision

STEPS = 8


def width_decision(name: str, full: int) -> Decision:
    """The widths full / 8, 2 full / 8, ..., full. `full` is a multiple of 8."""
    return Decision(name, tuple(full * step // STEPS for step in range(1, STEPS + 1)), ordered=True)


def common_width(widths: Mapping[str, int], layers: Sequence[str], decision: Decision) -> int:
    """The option of a decision that all layers of a stage have; a layer without a width of its own has the full one.

    Raises:
        ArchitectureError: they differ, or their width is none of the options.
    """
    found = {widths.get(layer, decision.options[-1]) for layer in layers}
    if len(found) > 1 or not found <= set(decision.options):
        raise ArchitectureError(
            f"no code stands for it: {decision.name} has the widths {sorted(found)}; as a decision, all layers of a "
            f"stage have one of {', '.join(map(str, decision.options))}"
        )
    return decision.options.index(found.pop())


def layer_widths(layers: Sequence[str], decision: Decision, option: int) -> dict[str, int]:
    """The widths that an architecture states for an option: none where it is the full one."""
    full = option == len(decision.options) - 1
    return {} if full else dict.fromkeys(layers, decision.options[option])
