"""one class of an image, a node, a graph: cross entropy, accuracy in percent; tables state the error"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from methods.tasks.base import Metric, NoOptions, Task

if TYPE_CHECKING:
    from torch import Tensor

Options = NoOptions
ACCURACY = Metric("accuracy", "accuracy", "%", higher_is_better=True, low=0.0, high=100.0)
ERROR = Metric("error", "error", "%", higher_is_better=False, low=0.0, high=100.0, complement=100.0)


@dataclass(frozen=True)
class Classification(Task):
    """Outputs are logits, float, (batch, classes); targets are labels, int64, (batch,)."""

    name = "classification"
    metric = ACCURACY
    headline = ERROR
    loss_terms = ("label_smoothing",)
    recipe_fields = ("label_smoothing", "mixup", "auxiliary_weight")

    @property
    def title(self) -> str:
        return ""

    def loss(self, outputs: Tensor, targets: Tensor, label_smoothing: float = 0.0, **terms: float) -> Tensor:
        """Cross entropy. Targets may be distributions over the classes, (batch, classes): mixup's."""
        from torch.nn.functional import cross_entropy

        return cross_entropy(outputs, targets, label_smoothing=label_smoothing)

    def sums(self, outputs: Tensor, targets: Tensor, loss: Tensor) -> dict[str, Tensor]:
        correct = (outputs.argmax(1) == targets).sum()
        return {"loss_sum": loss * len(targets), "correct": correct, "count": correct.new_full((), len(targets))}

    def evaluated(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        from torch.nn.functional import cross_entropy

        correct = (outputs.argmax(1) == targets).sum()
        loss = cross_entropy(outputs.float(), targets, reduction="sum")
        return {"loss_sum": loss, "correct": correct, "count": correct.new_full((), len(targets))}

    def values(self, sums: Mapping[str, float]) -> dict[str, float]:
        return {"loss": sums["loss_sum"] / sums["count"], "accuracy": 100.0 * sums["correct"] / sums["count"]}

    def imagined_targets(self, inputs: Tensor, outputs: int) -> Tensor:
        import torch

        return torch.randint(outputs, (len(inputs),), device=inputs.device)


def make(options: NoOptions) -> Classification:
    return Classification()
