"""The ordered pass: every option of a decision once, in an order drawn anew, before any comes again (strict fairness).

Chu, Zhang and Xu, ICCV 2021 (FairNAS, arXiv 1907.01845), section 3.3: uniform orders, independent of the
probabilities. As many calls as a decision has options are its round: after T rounds each was chosen exactly T times.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from methods.parts.gates import Gates, Logits, straight_through


class OrderedPass:
    """One for the decisions of one parameter: what is left of each decision's round is its state.

    The gates have the gradient of the probabilities.

    Args:
        generator: on the host.
    """

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator
        self.left: list[list[int]] = []

    def __call__(self, logits: Logits) -> Gates:
        there = logits.options.isfinite().tolist()
        self.left = self.left or [[] for _ in there]
        for row, exists in enumerate(there):
            self.left[row] = self.left[row] or self._order(exists)
        chosen = tuple(row.pop(0) for row in self.left)
        index = torch.tensor(chosen, device=logits.options.device)
        return Gates(straight_through(logits.options.softmax(dim=-1), index), logits.weights, chosen)

    def _order(self, exists: list[bool]) -> list[int]:
        options = [column for column, is_it in enumerate(exists) if is_it]
        return [options[place] for place in torch.randperm(len(options), generator=self.generator).tolist()]

    def state_dict(self) -> dict[str, Any]:
        """What is left of the round; the generator is its owner's."""
        return {"left": [list(row) for row in self.left]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.left = [list(row) for row in state["left"]]
