"""PC-DARTS: partial channels and edge normalisation (Xu et al., ICLR 2020, arXiv 1907.05737).

DARTS with 1/K of the channels through the candidates, softmax-weighted edges, and an architecture that stays frozen
for the first epochs. A quarter of the activations allow a larger batch and with it larger learning rates.
"""

from __future__ import annotations

from dataclasses import dataclass

from methods.gradient.darts import DARTS, DARTSOptions
from methods.registry import register


@dataclass(frozen=True)
class PCDARTSOptions(DARTSOptions):
    """The released code's settings for CIFAR-10 are the defaults.

    For ImageNet it has batch_size 1024, partial_channels 2, arch_start_epoch 35, warmup_epochs 5, lr .5, arch_lr 6e-3,
    arch_clip 5, and searches on 10 % + 2.5 % of the images of every class.
    """

    batch_size: int = 256
    partial_channels: int = 4
    edge_normalisation: bool = True
    arch_start_epoch: int = 15
    lr: float = 0.1
    lr_end: float = 0.0
    arch_lr: float = 6e-4


@register(
    "pc_darts",
    special="DARTS with 1/K of the channels through the candidates and normalised edges: less memory, larger batches",
    paper="Xu et al., ICLR 2020, arXiv 1907.05737",
    space="darts_cell",
)
class PCDARTS(DARTS):
    """Searches a normal and a reduction cell; see `PCDARTSOptions`."""

    Options = PCDARTSOptions
