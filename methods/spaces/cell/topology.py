"""What the cells of DARTS leave open (Liu et al., ICLR 2019, section 2.1): 14 edges, eight candidates on each."""

from __future__ import annotations

from methods.parts.topology import CellTopology
from methods.spaces.cell.layout import INPUTS
from methods.spaces.operations import OPERATIONS

TOPOLOGY = CellTopology(kinds=("normal", "reduce"), inputs=INPUTS, nodes=4, operations=OPERATIONS)
