"""DARTS: differentiable architecture search (Liu et al., ICLR 2019, arXiv 1806.09055).

Softmax over all candidates of every edge, all of them computed, an architecture gradient of first or second order.
Edge normalisation and partial channels are options, each of which can be used alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from methods.gradient.bilevel_search import BilevelSearch, Parts, SpaceOptions, architecture_gradient, mixed
from methods.parts.parameterisation import softmax
from methods.registry import register
from methods.spaces.relaxation import Relaxation


@dataclass(frozen=True)
class DARTSOptions(SpaceOptions):
    """The released code's settings for CIFAR-10 are the defaults.

    Its authors' for NAS-Bench-201 (AutoDL-Projects) differ in weight_decay 5e-4, nesterov true and a cosine by step
    instead of epoch.
    """


@register(
    "darts",
    special="softmax over all candidate operations; weights and architecture parameters take turns (bilevel)",
    paper="Liu, Simonyan and Yang, ICLR 2019, arXiv 1806.09055",
    space="darts_cell, nasbench201, chain_s, chain_xs, chain_imagenet",
)
class DARTS(BilevelSearch):
    """Softmax, mixture, first-order or unrolled gradient; see `DARTSOptions`."""

    Options = DARTSOptions

    def parts(self, relaxed: Relaxation) -> Parts:
        o = self.options
        return Parts(
            parameterisation=softmax(relaxed.topology, o.edge_normalisation),
            executor=mixed(relaxed, o),
            gradient=architecture_gradient(o),
        )
