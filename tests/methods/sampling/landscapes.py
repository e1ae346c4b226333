"""Scores of every code of a small space, and a search run on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from methods.architecture import Architecture
from methods.base import SearchContext
from methods.sampling.code_search import CodeSearch
from methods.spaces.decisions import Code, Decision, enumerate_codes

NB201 = "nasbench201"


@dataclass(frozen=True)
class TinySpace:
    """Three decisions of unequal size, the last of them ordered: 24 codes."""

    name: str = "tiny"

    def decisions(self) -> tuple[Decision, ...]:
        return Decision("a", "xyz"), Decision("b", "pq"), Decision("c", (1, 2, 4, 8), ordered=True)

    def encode(self, architecture: Architecture) -> Code:
        return tuple(architecture.genotype["code"])

    def decode(self, code: Code) -> Architecture:
        return Architecture(self.name, {"code": list(code)})


def landscape(space: Any, seed: int = 0, rugged: float = 0.5) -> dict[Code, float]:
    """A score, no two alike, of every code: a sum over decisions plus noise of its own for each code."""
    generator = np.random.default_rng(seed)
    parts = [generator.normal(size=len(decision.options)) for decision in space.decisions()]
    codes = list(enumerate_codes(space))
    noise = rugged * generator.normal(size=len(codes))
    return {
        code: 80 + float(sum(part[option] for part, option in zip(parts, code, strict=True)) + more)
        for code, more in zip(codes, noise, strict=True)
    }


def run(search: CodeSearch, scores: dict[Code, float], at_once: int = 1) -> list[Code]:
    """Ask and tell until the budget is spent, `at_once` proposals before the first of them is told; what was asked."""
    for begin in range(0, search.samples, at_once):
        asked = [search.ask() for _ in range(min(at_once, search.samples - begin))]
        for proposal in asked:
            search.tell(proposal, scores[search.space.encode(proposal)])
    return search.codes


def context(seed: int = 0) -> SearchContext:
    return SearchContext(num_classes=10, seed=seed)
