"""ENAS: an LSTM controller samples networks of one set of shared weights (Pham et al., ICML 2018, arXiv 1802.03268).

A step trains the shared weights on a training batch by a network that the controller draws; then the controller draws
some, each rewarded by its accuracy on the validation batch (with the batch's statistics) plus a little of the draw's
entropy, and learns by REINFORCE against a moving average. The answer is the best of the last that it drew, by these
accuracies.

Released, the controller is trained between the epochs and draws `final_samples` at the end, each scored on a batch of
its own. Here it learns beside the weights, as many draws an epoch, and those of a step share a batch. The baseline
begins with the first reward; in the code released for NAS-Bench-201 it moves once an epoch, and the entropy in the
reward has a gradient, too. Decisions are the space's own, in its order; what the controller is: `samplers.controller`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from methods.architecture import Architecture
from methods.base import Batch, GradientSearch, MethodError, SearchContext, SearchSplit, gradients_of, of_this_search
from methods.gradient.enas_options import ENASOptions
from methods.parts.bilevel import frozen_statistics, loss_and_sums, set_gradients, start_momenta
from methods.parts.controller_learning import ControllerLearning
from methods.parts.monitor import chosen_values
from methods.parts.path_counts import PathCounts
from methods.parts.samplers.controller import Controller
from methods.registry import register
from methods.spaces import get_space
from methods.spaces.decisions import Code
from methods.spaces.supernet_settings import SupernetSettings
from methods.spaces.supernets import path_supernet, relaxation


@register(
    "enas",
    special="an LSTM controller that learns by REINFORCE which networks of one set of shared weights to draw",
    paper="Pham et al., ICML 2018, arXiv 1802.03268",
    space="darts_cell, nasbench201, chain_s, chain_xs, chain_imagenet",
    watched="methods.gradient.watched:ENAS",
)
class ENAS(GradientSearch):
    """Shared weights by single paths and their controller; see `ENASOptions`."""

    Options = ENASOptions
    split = SearchSplit(train=0.5, valid=0.5, paired=True)
    augmentation = "crop-flip"

    def __init__(self, options: ENASOptions, context: SearchContext) -> None:
        self.options, self.context = o, _ = options, context
        self.epochs, self.batch_size, self.epoch = o.epochs, o.batch_size, 0
        self.space: Any = get_space(o.space)
        decisions = self.space.decisions()
        settings = SupernetSettings(o.channels, o.cells, context.stem, context.in_channels, o.cells_per_stage)
        shared = path_supernet(o.space, context.num_classes, settings)
        self.generator = torch.Generator().manual_seed(context.seed)
        controller = Controller(
            [len(each.options) for each in decisions], [tuple(each.options) for each in decisions], self.generator
        )
        self.supernet = nn.ModuleDict({"shared": shared, "controller": controller})
        self.shared, self.controller, self.weights = shared, controller, list(shared.parameters())
        self.weight_optimiser = torch.optim.SGD(
            self.weights, o.lr, momentum=o.momentum, weight_decay=o.weight_decay, nesterov=True, fused=True
        )
        self.learning = ControllerLearning(controller, o.controller_lr, o.aggregate, o.entropy_weight, o.baseline_decay)
        self.counts = PathCounts({"": [each.options for each in decisions]})
        with torch.no_grad():
            self.last: deque[tuple[float, Code]] = deque([(-1.0, controller().code)], o.final_samples)

    def to(self, device: torch.device) -> None:
        super().to(device)
        start_momenta(self.weight_optimiser)

    def on_epoch_start(self, epoch: int) -> bool:
        self.epoch = epoch
        self.weight_optimiser.param_groups[0]["lr"] = self.options.lr_at(epoch)
        return False

    def step(self, train_batch: Batch, valid_batch: Batch | None) -> dict[str, Tensor]:
        """A weight step on the training batch, then some draws rewarded on the validation batch."""
        if valid_batch is None:
            raise MethodError(f"{self.name} needs a validation batch in every step (a paired split)")
        sums = self._weight_step(train_batch)
        rewarded = [self._reward(valid_batch) for _ in range(self.options.controller_samples)]
        return sums | {key: torch.stack([each[key].float() for each in rewarded]).mean(0) for key in rewarded[0]}

    def _weight_step(self, batch: Batch) -> dict[str, Tensor]:
        with torch.no_grad():
            code = self.controller().code
        loss, sums = loss_and_sums(partial(self.shared, code=code), batch)
        set_gradients(self.weights, torch.autograd.grad(loss, self.weights, allow_unused=True))
        self.average(gradients_of(self.weights))
        torch.nn.utils.clip_grad_norm_(self.weights, self.options.clip)
        self.weight_optimiser.step()
        self.counts.add({"": code})
        return sums

    def _reward(self, batch: Batch) -> dict[str, Tensor]:
        draw = self.controller()
        with torch.no_grad(), frozen_statistics(self.shared):
            _, sums = loss_and_sums(partial(self.shared, code=draw.code), batch, "valid_")
        accuracy = sums["valid_correct"] / sums["valid_count"]
        self.average([accuracy])
        self.learning.learn(draw, accuracy)
        self.last.append((accuracy.item(), draw.code))
        return sums

    def on_epoch_end(self, epoch: int, evaluate: Callable[[], dict[str, float]] | None = None) -> dict[str, Any]:
        """Operations of what would be derived now, what was run, rewards and entropies of the draws."""
        relaxed = relaxation(self.options.space)
        derived = chosen_values(relaxed.operations_of(self.architecture()), relaxed.candidates)
        run, learned = self.counts.end_epoch(), self.learning.end_epoch()
        return {**derived, **run, **learned, "controller/best": max(self.last)[0]}

    def architecture(self) -> Architecture:
        accuracy, code = max(self.last, key=lambda pair: pair[0])
        return replace(self.space.decode(code), provenance=self.provenance() | {"batch_accuracy": accuracy})

    def provenance(self) -> dict[str, Any]:
        told = {"options": asdict(self.options), "seed": self.context.seed, "epoch": self.epoch}
        return {"method": self.name, **told}

    def state_dict(self) -> dict[str, Any]:
        return {
            "supernet": self.supernet.state_dict(),
            "weight_optimiser": self.weight_optimiser.state_dict(),
            "learning": self.learning.state_dict(),
            "generator": self.generator.get_state(),
            "counts": self.counts.state_dict(),
            "last": [(accuracy, list(code)) for accuracy, code in self.last],
            "epoch": self.epoch,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Raises MethodError when the state is of another search."""
        with of_this_search(self.name):
            self.supernet.load_state_dict(state["supernet"])
            self.weight_optimiser.load_state_dict(state["weight_optimiser"])
            self.learning.load_state_dict(state["learning"])
            self.generator.set_state(state["generator"].cpu())
            self.counts.load_state_dict(state["counts"])
            self.last = deque(((accuracy, tuple(code)) for accuracy, code in state["last"]), self.last.maxlen)
            self.epoch = state["epoch"]
