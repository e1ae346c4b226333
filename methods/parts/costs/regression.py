"""Fitting predictors of latency to measured networks."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from methods.parts.costs.predictors import Logarithmic, Table

RIDGES = tuple(10.0**k for k in range(-5, 3))
EPOCHS, BATCH, RATE, DECAY = 300, 64, 3e-3, 1e-2
CHOOSING = 0.15
"""Of what a predictor is fitted on, the share that its epoch is chosen by."""


def fit_table(encoded: Tensor, ms: Tensor) -> Table:
    """Ridge regression of the relative error, with the penalty that does best when one network is left out.

    Args:
        encoded: (n, size).
        ms: (n,), above zero.
    """
    y = ms.double()
    scale = y.mean()
    weights = scale / y  # so that squares of relative errors are added up
    rows = torch.cat([torch.ones(len(y), 1, dtype=torch.float64), encoded.double()], dim=1) * weights[:, None]
    target, penalised = (y / scale) * weights, torch.ones(rows.shape[1], dtype=torch.float64)
    penalised[0] = 0.0
    best, chosen = torch.inf, torch.zeros(rows.shape[1], dtype=torch.float64)
    for ridge in RIDGES:
        inverse = torch.linalg.inv(rows.T @ rows + torch.diag(ridge * penalised))
        solution = inverse @ (rows.T @ target)
        leverage = ((rows @ inverse) * rows).sum(dim=1)
        left_out = ((target - rows @ solution) / (1 - leverage).clamp_min(1e-6)).square().mean().item()
        if left_out < best:
            best, chosen = left_out, solution
    table = Table(encoded.shape[1])
    table.constant.copy_(chosen[0] * scale)
    table.options.copy_(chosen[1:] * scale)
    return table


def learn(predictor: Logarithmic, encoded: Tensor, ms: Tensor, seed: int, epochs: int = EPOCHS) -> None:
    """Fit by AdamW to squares of the standardised logarithm's error; the epoch that does best on a part is kept.

    Args:
        encoded: (n, size).
        ms: (n,), above zero.
        seed: of the order of batches, and of the part.
    """
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(ms), generator=generator)
    chosen_by, fitted = order.split([max(1, round(CHOOSING * len(ms))), len(ms) - max(1, round(CHOOSING * len(ms)))])
    logarithms = ms.float().log()
    predictor.mean.copy_(logarithms[fitted].mean())
    predictor.deviation.copy_(logarithms[fitted].std().clamp_min(1e-6))
    target, x = (logarithms - predictor.mean) / predictor.deviation, encoded.float()
    optimiser = torch.optim.AdamW(predictor.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    best, kept = float("inf"), copy.deepcopy(predictor.state_dict())
    for _ in range(epochs):
        for batch in fitted[torch.randperm(len(fitted), generator=generator)].split(BATCH):
            optimiser.zero_grad()
            (predictor.standardised(x[batch]) - target[batch]).square().mean().backward()
            optimiser.step()
        schedule.step()
        with torch.no_grad():
            loss = (predictor.standardised(x[chosen_by]) - target[chosen_by]).square().mean().item()
        if loss < best:
            best, kept = loss, copy.deepcopy(predictor.state_dict())
    predictor.load_state_dict(kept)
    predictor.requires_grad_(False)
