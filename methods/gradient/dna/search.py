"""DNA: a trained network adapted to a budget by a search space that moves (Guo, Wang, Yuan and Li, arXiv 2103.16350).
Reconstructed.

From the abstract: width and depth of a given network are adjusted by gradient; the search space is elastic: it
condenses and expands while it is searched, so that a network can shrink and grow. How is ours:

- A window {c - d, c, c + d} over every width, those tied by residual additions together, and a gate on every block that
  can go (`methods.spaces.window_network`). At first d is `step` of c, and channels are in the order of their
  normalisations' scales, so that prefixes are what is worth most.
- In turn: the architecture learns on the validation batch by cross entropy and `pressure * |log(E[MACs] / target)|`,
  the weights on the training batch; each pass runs one network, drawn by hard Gumbel-softmax, as masks on one map.
- Every `move_every` epochs the space moves. A window whose edge has more than `edge` of the probability is centred
  there; one whose middle has most, or that turns back, halves d. A block with a gate below `remove` goes. A stage whose
  last block's gate is above `add` gets another one, while the network is below its target. What grows computes the same
  at first (`methods.spaces.inherited_widths`); what condenses keeps its prefix. Momenta of what stays are kept.
- It ends when E[MACs] is within `tolerance` of the target and a move changes nothing, or after `epochs`. The
  answer has the most likely widths, the least certain ones fitted to the target to the channel
  (`methods.parts.budget_fit`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor

from methods.architecture import Architecture
from methods.base import Batch, GradientSearch, SearchContext, SearchSplit, of_this_search
from methods.gradient.dna.adaptation import Adaptation, Move
from methods.gradient.dna.answer import answer
from methods.gradient.dna.options import DNAOptions
from methods.parts.bilevel import frozen_statistics, loss_and_sums, without_gradients
from methods.parts.samplers.hard_gumbel import HardGumbel
from methods.parts.schedule import cosine
from methods.registry import register


@register(
    "dna",
    special="a trained network grown or shrunk to some MACs by windows over its widths that move (reconstructed)",
    paper="Guo et al., arXiv 2103.16350",
    space="chain_s_widths, chain_xs_widths, resnet_widths",
    watched="methods.gradient.dna.watched:DNA",
)
class DNA(GradientSearch):
    """Widths and depth of a trained network, to a budget; see `DNAOptions`."""

    Options = DNAOptions
    split = SearchSplit(train=0.5, valid=0.5, paired=True)
    starts_from = "network"
    gives_weights = True

    def __init__(self, options: DNAOptions, context: SearchContext) -> None:
        self.options, self.context = options, context
        self.epochs, self.batch_size = options.epochs, options.batch_size
        self.adapted = Adaptation(options, context)
        self.supernet = self.adapted.network
        self.generator = torch.Generator().manual_seed(context.seed)
        self.sampler = HardGumbel(self.generator, options.temperature)
        self.epoch, self.changed, self.moves = 0, False, list[Move]()

    def to(self, device: torch.device) -> None:
        super().to(device)
        self.adapted.renew()

    def on_epoch_start(self, epoch: int) -> bool:
        """Sets the learning rate; True after a move."""
        o = self.options
        self.epoch, changed, self.changed = epoch, self.changed, False
        self.adapted.optimisers.set_lr(cosine(epoch, o.epochs, o.lr, o.lr_end))
        return changed or epoch == o.arch_start_epoch > 0

    def enter_longest_step(self) -> None:
        """With an architecture step."""
        self.on_epoch_start(self.options.arch_start_epoch)

    def step(self, train_batch: Batch, valid_batch: Batch | None) -> dict[str, Tensor]:
        """One step of the architecture, once it is due, and one of the weights, each by a network drawn for it."""
        sums: dict[str, Tensor] = {}
        if valid_batch is not None and self.epoch >= self.options.arch_start_epoch:
            sums = self._learn(valid_batch)
        weights, gates = list(self.adapted.network.weights().values()), self._drawn()
        loss, own = loss_and_sums(lambda images: self.supernet(images, gates), train_batch)
        self.adapted.optimisers.update_weights(torch.autograd.grad(loss, weights, allow_unused=True), self.average)
        return sums | own

    def _learn(self, batch: Batch) -> dict[str, Tensor]:
        net = self.adapted.network
        with frozen_statistics(net), without_gradients(list(net.weights().values())):
            gates = net.draw(self.sampler)
            loss, sums = loss_and_sums(lambda images: net(images, gates), batch, "valid_")
            loss = loss + self.options.pressure * (self.adapted.expected() / self.adapted.target).log().abs()
            gradients = torch.autograd.grad(loss, [net.alphas, net.betas], allow_unused=True)
        self.adapted.optimisers.update_logits(gradients, self.average)
        return sums

    @torch.no_grad()
    def _drawn(self) -> dict[str, Tensor]:
        return self.adapted.network.draw(self.sampler)

    def on_epoch_end(self, epoch: int, evaluate: Callable[[], dict[str, float]] | None = None) -> dict[str, Any]:
        """Moves the windows when that is due; says where the network stood before."""
        o, values = self.options, self.adapted.watched()
        if (epoch + 1) % o.move_every == 0 and o.arch_start_epoch <= epoch < o.epochs - 1:
            self.moves.append(self.adapted.move(int(torch.randint(2**62, (), generator=self.generator))))
            self.changed = True
        last = self.moves[-1] if self.changed else Move()
        return values | {"dna/moved": len(last.moved), "dna/blocks_added": len(last.added) - len(last.removed)}

    @property
    def finished(self) -> bool:
        return bool(self.moves) and self.moves[-1].last

    def architecture(self) -> Architecture:
        return replace(answer(self.adapted).architecture, provenance=self.provenance())

    def inherited(self) -> Mapping[str, Tensor]:
        return answer(self.adapted).weights

    def ending(self) -> dict[str, Any]:
        return answer(self.adapted).report | {"moves": [asdict(move) for move in self.moves]}

    def provenance(self) -> dict[str, Any]:
        start = self.context.start.architecture.digest if self.context.start else None
        told = {"method": self.name, "options": asdict(self.options), "seed": self.context.seed, "of": start}
        return told | {"target_macs": self.adapted.target, "epoch": self.epoch}

    def state_dict(self) -> dict[str, Any]:
        own = {"epoch": self.epoch, "moves": [asdict(move) for move in self.moves]}
        return {**self.adapted.state_dict(), **own, "generator": self.generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Raises MethodError when the state is of another network."""
        with of_this_search(self.name):
            self.adapted.load_state_dict(state)
            self.epoch, self.changed = state["epoch"], True
            self.moves = [Move(**move) for move in state["moves"]]
            self.generator.set_state(state["generator"])
