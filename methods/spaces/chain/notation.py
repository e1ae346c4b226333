"""How a chain is written: `k3e6 k5e3 zero | k7e6 zero | ...`, the blocks of a stage in order, stages apart.

A block is `k` and its kernel, `e` and its expansion, then `s` for squeeze-excitation and `h` for hard swish; `zero` is
no block, where the shape stays. Several blocks side by side, whose sum is what the place gives, are joined by `+`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from methods.domain import shown
from methods.form import ArchitectureError
from methods.spaces.operation_names import ZERO


@dataclass(frozen=True)
class Block:
    """What a block is, wherever it stands.

    Attributes:
        kernel: of the depthwise convolution, in pixels.
        expansion: channels inside for one that enters; at 1 there is no convolution that expands.
        squeeze: squeeze-excitation behind the depthwise convolution.
        hard_swish: instead of the network's own activation.
    """

    kernel: int
    expansion: int
    squeeze: bool = False
    hard_swish: bool = False

    @property
    def text(self) -> str:
        """`k5e6`, with `s` and `h` behind it for squeeze-excitation and hard swish."""
        return f"k{self.kernel}e{self.expansion}{'s' * self.squeeze}{'h' * self.hard_swish}"

    def activation(self, usual: str) -> str:
        return "hard_swish" if self.hard_swish else usual


KERNELS, EXPANSIONS = (3, 5, 7), (3, 6)
CANDIDATES = tuple(Block(kernel, expansion) for kernel in KERNELS for expansion in EXPANSIONS)
"""In the order of ProxylessNAS' released search."""
NAMES = (*(block.text for block in CANDIDATES), ZERO)
"""The choices of a place; the last only where the shape stays."""
MOST_BLOCKS = 40
"""In a stage."""
MOST_BESIDE = 24
"""Blocks at one place."""
BLOCK = re.compile(r"k(3|5|7)e([1-9])(s?)(h?)")

Chosen = tuple[Block, ...]
"""The blocks at one place; none is zero."""


def write_chain(stages: Iterable[Iterable[Chosen]]) -> str:
    return " | ".join(" ".join(write_place(chosen) for chosen in stage) for stage in stages)


def write_place(chosen: Chosen) -> str:
    return "+".join(block.text for block in chosen) or ZERO


def read_chain(text: object, stages: int, where: str = "chain") -> tuple[tuple[Chosen, ...], ...]:
    """The places of each stage.

    Raises:
        ArchitectureError: another number of stages, or a word that is none; the message names its place.
    """
    if not isinstance(text, str):
        raise ArchitectureError(f"{where}: {shown(text)} is not a text of blocks such as k3e6, stages apart by '|'")
    parts = [part.split() for part in text.split("|")]
    if len(parts) != stages:
        raise ArchitectureError(f"{where}: {len(parts)} stages in {shown(text)}; this chain has {stages}, apart by '|'")
    for number, words in enumerate(parts, 1):
        if not 1 <= len(words) <= MOST_BLOCKS:
            raise ArchitectureError(f"{where}, stage {number}: {len(words)} blocks; a stage has 1 to {MOST_BLOCKS}")
    return tuple(
        tuple(_read_place(word, f"{where}, stage {number}, block {place}") for place, word in enumerate(words, 1))
        for number, words in enumerate(parts, 1)
    )


def _read_place(word: str, where: str) -> Chosen:
    if word == ZERO:
        return ()
    names = word.split("+")
    if len(names) > MOST_BESIDE:
        raise ArchitectureError(f"{where}: {len(names)} blocks side by side; at most {MOST_BESIDE}")
    chosen = tuple(_read_block(name, word, where) for name in names)
    if len(set(chosen)) < len(chosen):
        raise ArchitectureError(f"{where}: a block stands twice in {shown(word)}")
    return chosen


def _read_block(name: str, word: str, where: str) -> Block:
    found = BLOCK.fullmatch(name)
    if found is None:
        raise ArchitectureError(
            f"{where}: {shown(word)} is no block; one is k and its kernel (3, 5, 7), e and its expansion (1 to 9), "
            f"then s for squeeze-excitation and h for hard swish, as in {', '.join(NAMES[:2])} or k5e6sh; or {ZERO}"
        )
    kernel, expansion, squeeze, hard_swish = found.groups()
    return Block(int(kernel), int(expansion), bool(squeeze), bool(hard_swish))


def names_of(places: Sequence[Chosen]) -> list[str]:
    """One name for every block, and `zero` for every place without one."""
    return [name for chosen in places for name in ([block.text for block in chosen] or [ZERO])]
