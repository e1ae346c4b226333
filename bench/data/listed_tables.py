"""The tables of trained networks that there are, for lists; `bench.data.tables` reads them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Listed:
    """What is known of a table before it is read.

    Attributes:
        module: that loads it.
        space: whose architectures it holds.
        about: one line for lists.
        ships: with this package; the others are files of the user's own, which may not be there.
    """

    module: str
    space: str
    about: str
    ships: bool = True


TABLES = {
    "nasbench201": Listed(
        "bench.data.tables.nasbench201",
        "nasbench201",
        "15,625 cells on CIFAR-10, CIFAR-100 and ImageNet16-120; validation and test after 12 and 200 epochs",
    ),
    "nasbench_macro": Listed(
        "bench.data.tables.nasbench_macro",
        "nasbench_macro",
        "6,561 chains of 8 blocks on CIFAR-10, 50 epochs; test accuracies of three runs only",
    ),
    "nats_topology": Listed(
        "bench.data.tables.nats_topology",
        "nasbench201",
        "the cells of nasbench201 as NATS-Bench publishes them, from a file of the user's own",
        ships=False,
    ),
}
