"""Universally slimmable networks (Yu and Huang, ICCV 2019, arXiv 1903.05134): one set of weights for any width.

The sandwich rule with in-place distillation, the learning rate falling linearly; afterwards every width of the space is
scored with statistics of its own, and the query table says which one to take for a cost. Settings of the training are
ours where the paper's are for ImageNet. In the released code a name was changed in the settings that ship with it, so
that distillation is silently off there; here it is on (`distillation`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from methods.gradient.slimmable import SlimmableOptions, SlimmableSearch
from methods.registry import register


@dataclass(frozen=True)
class USNetOptions(SlimmableOptions):
    """See `SlimmableOptions`."""

    schedule: Literal["cosine", "linear"] = "linear"


@register(
    "us_net",
    special="one set of weights for any width: largest, smallest and two random ones a step, distilled in place",
    paper="Yu and Huang, ICCV 2019, arXiv 1903.05134",
    space="chain_s_widths, chain_xs_widths, resnet_widths",
    watched="methods.gradient.watched:SLIMMABLE",
)
class USNet(SlimmableSearch):
    """The same width everywhere in a network; see `USNetOptions`."""

    Options = USNetOptions
