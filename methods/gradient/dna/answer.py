"""What DNA answers: the most likely network, at its budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from methods.architecture import Architecture
from methods.gradient.dna.adaptation import Adaptation, drawing
from methods.parts.budget_fit import fit
from methods.spaces import build
from methods.spaces.inherited_widths import inherited


@dataclass(frozen=True)
class Answer:
    """A network, the weights it inherits, and what to say of it."""

    architecture: Architecture
    weights: dict[str, Tensor]
    report: dict[str, Any]


def answer(adapted: Adaptation) -> Answer:
    """The most likely network, its least certain widths fitted to the target."""
    net, o, macs = adapted.network, adapted.options, adapted.macs
    with torch.no_grad():
        probabilities = net.probabilities()
    likely, windows = net.likely(), net.windows.by_name()
    fitted = fit(
        likely,
        {name: float(probabilities[name].max()) for name in likely},
        {name: (window.values[0], window.values[-1]) for name, window in windows.items()},
        lambda values: macs(net.windows.picked(values)),
        adapted.target,
        o.tolerance,
    )
    widths = net.windows.picked(fitted.values)
    architecture = adapted.space.architecture(widths)
    with drawing(adapted.context.seed):
        drawn = build(architecture, adapted.context.num_classes, adapted.settings).state_dict()
    state = {name: tensor.detach().cpu() for name, tensor in net.elastic.network.state_dict().items()}
    report = {
        "target_macs": adapted.target,
        "macs": macs(widths),
        "off": macs(widths) / adapted.target - 1,
        "within": abs(macs(widths) / adapted.target - 1) <= o.tolerance,
        "macs_at_start": macs(adapted.at_start),
        "macs_before_fitting": macs(net.windows.picked(likely)),
        "fitted": {name: [likely[name], new] for name, new in fitted.values.items() if new != likely[name]},
        "inside_windows": fitted.inside_windows,
    }
    return Answer(architecture, inherited(adapted.space, net.largest, widths, state, drawn), report)
