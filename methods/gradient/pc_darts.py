"""PC-DARTS: partial channels and edge normalisation (Xu et al., ICLR 2020, arXiv 1907.05737).

1/K of the channels through the candidates, softmax-weighted edges beside softmax-weighted operations, and an
architecture that stays frozen for the first epochs. A quarter of the activations allow a larger batch and with it
larger learning rates.

Its authors did not release a search in NAS-Bench-201. Of others' there, confopt has both parts as they are here, and
those of few-shot NAS and DrNAS have the partial channels alone (`edge_normalisation: false`), with DARTS' schedule. All
derive by the largest alpha of each edge: the weights of edges do not matter, for every edge of that space stays.
"""

from __future__ import annotations

from dataclasses import dataclass

from methods.gradient.bilevel_search import BilevelSearch, Parts, SpaceOptions, architecture_gradient, mixed
from methods.parts.parameterisation import softmax
from methods.registry import register
from methods.spaces.relaxation import Relaxation


@dataclass(frozen=True)
class PCDARTSOptions(SpaceOptions):
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
    space="darts_cell, nasbench201, chain_s, chain_xs, chain_imagenet",
)
class PCDARTS(BilevelSearch):
    """Softmax with normalised edges, partial channels through a mixture, first-order gradient; see `PCDARTSOptions`."""

    Options = PCDARTSOptions

    def parts(self, relaxed: Relaxation) -> Parts:
        o = self.options
        return Parts(
            parameterisation=softmax(relaxed.topology, o.edge_normalisation),
            executor=mixed(relaxed, o),
            gradient=architecture_gradient(o),
        )
