"""The supernets of chains: the networks of `methods.spaces.chain.network` with all candidates at every place.

Every place has architecture parameters of its own, a row of seven; where it must not be empty, the seventh, `zero`, is
no option. An architecture is derived by the largest of each row, `zero` among them where it is one (ProxylessNAS, Cai
et al., ICLR 2019, section 3.2). Stem, fixed block and head have scale and shift; candidates have none, as in the other
supernets here, where the released code of ProxylessNAS has both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from torch import Tensor, nn

from methods.architecture import Architecture
from methods.parts.choices import Choices, chosen, hard_one_each, one_each
from methods.parts.convolution import in_memory_format
from methods.parts.executors.mixed_blocks import MixedBlocks
from methods.parts.executors.slots import (
    MakeSlot,
    Nothing,
    beside_identity,
    keeps_shape,
    partial_channels,
    recomputed,
    single_path,
    slots_of,
)
from methods.parts.gates import Gates
from methods.parts.parameterisation import Parameterisation
from methods.parts.topology import SlotTopology
from methods.spaces.chain.blocks import MBConv
from methods.spaces.chain.macro import MACROS
from methods.spaces.chain.network import ACTIVATION, Frame
from methods.spaces.chain.notation import CANDIDATES, EXPANSIONS, KERNELS, NAMES, names_of, read_chain
from methods.spaces.chain.space import ChainSpace, refuse_other_images
from methods.spaces.relaxation import Relaxation, Supernet
from methods.spaces.supernet_settings import SupernetSettings

KIND = "slot"


class Block(MBConv):
    """A candidate as a module of its own: what it adds to its input, without scale and shift."""

    forward = MBConv.transform


def options(c_in: int, c_out: int, stride: int) -> Iterator[nn.Module]:
    """The candidates of a place in the order of the gates' columns."""
    for block in CANDIDATES:
        yield Block(c_in, c_out, stride, block.expansion, block.kernel, activation=ACTIVATION, affine=False)
    if keeps_shape(c_in, c_out, stride):
        yield Nothing()


class ChainSupernet(Supernet):
    """A chain with an executor at each place; see above.

    Raises:
        ArchitectureError: a stem for other images than the chain's.
    """

    kinds = (KIND,)

    def __init__(
        self,
        num_classes: int,
        settings: SupernetSettings,
        parameterisation: Parameterisation,
        executor: MakeSlot,
        space: str,
    ) -> None:
        super().__init__(parameterisation)
        macro = MACROS[space]
        refuse_other_images(space, macro, settings.stem)
        slots = [executor(place.c_in, place.c_out, place.stride) for place in macro.places()]
        self.frame = Frame(macro, num_classes, settings.in_channels, slots)

    def forward(self, images: Tensor, gates: Mapping[str, Gates] | None = None) -> Tensor:
        rows = (self.gates() if gates is None else gates)[KIND]
        return self.frame.run(in_memory_format(images), [(rows, row) for row in range(len(self.frame.slots))])


def topology(space: str) -> SlotTopology:
    """A slot for each place."""
    places = MACROS[space].places()
    return SlotTopology(KIND, tuple(NAMES if place.keeps_shape else NAMES[:-1] for place in places), NAMES)


def derive(gates: Mapping[str, Gates], space: str) -> Architecture:
    """The strongest candidate of each place; ties go to the earlier one."""
    return ChainSpace(space).decode(tuple(gates[KIND].strength().argmax(dim=-1).tolist()))


def operations_of(architecture: Architecture, space: str) -> dict[str, Sequence[str]]:
    """The block of each place."""
    stages = read_chain(architecture.genotype["chain"], len(MACROS[space].stages))
    return {KIND: names_of([chosen for stage in stages for chosen in stage])}


def choices_of(architecture: Architecture, space: str) -> Choices:
    """Of a chain with as many places as the space has, one block at each or none."""
    return chosen(topology(space), {KIND: list(enumerate(operations_of(architecture, space)[KIND]))})


def _relaxation(space: str) -> Relaxation:
    return Relaxation(
        space=space,
        topology=topology(space),
        candidates=NAMES,
        size=(),
        stems=(MACROS[space].kind,),
        mixture=slots_of(partial(MixedBlocks, kernels=KERNELS, expansions=EXPANSIONS)),
        single_path=partial(single_path, options),
        partial_channels=partial_channels,
        recomputed=recomputed,
        beside_identity=beside_identity,
        supernet=partial(ChainSupernet, space=space),
        derive=partial(derive, space=space),
        operations_of=partial(operations_of, space=space),
        choices=one_each,
        chosen=partial(choices_of, space=space),
        hard=hard_one_each,
    )


RELAXATIONS = tuple(_relaxation(space) for space in MACROS)
