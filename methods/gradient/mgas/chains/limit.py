"""What goes at the epoch limit when no operation is left to go and the target is not met: inner channels."""

from __future__ import annotations

from collections.abc import Callable

import torch

from methods.gradient.mgas.chains.supernet import ChainSupernet
from methods.gradient.mgas.pruning import fewest_of


@torch.no_grad()
def cut_filters(net: ChainSupernet, reached: Callable[[], bool]) -> int:
    """Remove living inner channels of all blocks in ascending gate until `reached`; every block keeps its strongest.

    Returns how many are gone; all that can go, if the target is never reached.
    """
    places = [net.cell(cell.index) for cell in net.executed()]
    blocks = [place.block(slot) for place in places for slot in place.slots]
    at_first = [block.norm2.mask.clone() for block in blocks]
    units: list[tuple[float, int, int]] = []
    for n, block in enumerate(blocks):
        gates = block.norm2.kappa.sigmoid().where(block.norm2.mask, -1.0).cpu()
        living = block.norm2.mask.cpu().nonzero().flatten().tolist()
        units += [(float(gates[c]), n, c) for c in living if c != int(gates.argmax())]
    units.sort()

    def without(number: int) -> bool:
        gone: dict[int, list[int]] = {}
        for _, n, c in units[:number]:
            gone.setdefault(n, []).append(c)
        for n, (block, mask) in enumerate(zip(blocks, at_first, strict=True)):
            block.norm2.mask.copy_(mask)
            block.norm2.mask[gone.get(n, [])] = False
        return reached()

    number = fewest_of(len(units), without)
    without(number)
    for place in places:
        place.rebuild()
    return number
