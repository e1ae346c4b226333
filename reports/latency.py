"""Predicted against measured latency: of the networks that predictors were not fitted to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from reports.colours import COLOURS, MUTED
from reports.style import figure_style


def draw_predictions(
    measured: Sequence[float], predictions: Mapping[str, Sequence[float]], unit: str, path: Path
) -> None:
    """A picture with a panel for every predictor.

    Args:
        measured: of the held-out networks.
        predictions: of the same, by predictor.
    """
    with figure_style():
        figure = predicted_against_measured(measured, predictions, unit)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)
        plt.close(figure)


def predicted_against_measured(
    measured: Sequence[float], predictions: Mapping[str, Sequence[float]], unit: str
) -> Figure:
    """Points beside the line on which both are equal."""
    width = 0.6 + 2.5 * len(predictions)
    figure, grid = plt.subplots(
        1, len(predictions), figsize=(width, 3.0), sharex=True, sharey=True, squeeze=False, layout="constrained"
    )
    ends = min(measured), max(measured)
    for axes, colour, (name, found) in zip(grid[0], COLOURS, predictions.items(), strict=False):
        axes.plot(ends, ends, color=MUTED, lw=1, ls="--", zorder=1)
        axes.plot(measured, found, "o", color=colour, ms=3, zorder=2)
        error = 100 * np.mean(np.abs(np.array(found) / np.array(measured) - 1))
        axes.set_title(f"{name}: {error:.2f} %")
    figure.supxlabel(f"measured, {unit}", fontsize=9)
    figure.supylabel("predicted", fontsize=9)
    return figure
