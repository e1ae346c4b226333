"""Distillation: how far what a student says is from what its teacher says."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def distance(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """KL(teacher || student) of softmax(logits / temperature), in nats, the mean over the batch; 0-d.

    Hinton et al., arXiv 1503.02531, without the factor temperature^2. The teacher is told nothing: no gradient.

    Args:
        student, teacher: logits, (batch, classes).
    """
    told = (teacher.detach() / temperature).log_softmax(dim=1)
    said = (student / temperature).log_softmax(dim=1)
    return F.kl_div(said, told, reduction="batchmean", log_target=True)
