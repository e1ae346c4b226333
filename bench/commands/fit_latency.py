"""`dasbench fit-latency`: predictors of latency from a measured data set, with what they are worth."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from bench.commands.arguments import local_path, whole
from bench.commands.output import console

if TYPE_CHECKING:
    from bench.latency.fit import Errors, Fit

HELP = "fit predictors to a latency data set, and say what they are worth"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", type=local_path, metavar="FILE", help="what `dasbench measure-latency` has written")
    parser.add_argument("--seed", type=whole(0, 10**9), default=0, help="of the division and of what is learned (0)")
    parser.add_argument("--plot", type=local_path, metavar="FILE", help="predicted against measured, e.g. fit.png")


def run(options: argparse.Namespace) -> int:
    """Fit, tell, and write the fitted file beside the data."""
    return fit_and_tell(options.data, options.seed, options.plot)


def fit_and_tell(data: Path, seed: int, plot: Path | None = None) -> int:
    """Raises LatencyError where too little was measured."""
    from bench.latency.dataset import read_data
    from bench.latency.fit import fit
    from bench.latency.fitted_file import fitted_path, save_fit

    found = fit(read_data(data), seed=seed)
    for line in lines(found):
        console.print(line, markup=False)
    path = fitted_path(data)
    save_fit(found, path)
    console.print(f"Fitted: {path.resolve()}", markup=False)
    if plot is not None:
        from reports.latency import draw_predictions

        predictions = {kind: each.predictions for kind, each in found.fitted.items()}
        measured = [ms for _, ms in found.held_out]
        draw_predictions(measured, predictions, found.data.conditions.unit, plot)
        console.print(f"Plot: {plot.resolve()}", markup=False)
    return 0


def lines(fit: Fit) -> list[str]:
    """The table: every predictor beside the constant and the repeat error, and the gap of relaxed architectures."""
    rows: dict[str, tuple[Errors, str]] = {"constant (the mean)": (fit.constant, "")}
    for kind, each in fit.fitted.items():
        told = {"table": "table (fitted)", "operations": "table (single operations)"}.get(kind, kind)
        rows[told] = each.errors, verdict(fit, kind)
    if fit.repeat is not None:
        rows["measured again"] = fit.repeat, ""
    head = f"{'predictor':26}{'mean error':>11}{'median':>9}{'tau':>7}{'n':>6}"
    found = [
        f"{fit.data.conditions.space}, {fit.data.conditions.unit}: fitted on {fit.fitted_on} networks, judged by "
        f"{len(fit.held_out)}; standard deviation of latency {100 * fit.spread:.1f} % of the mean",
        head,
    ]
    for name, (errors, said) in rows.items():
        tau = "" if errors.tau is None else f"{errors.tau:.3f}"
        numbers = f"{100 * errors.mean:10.2f} %{100 * errors.median:7.2f} %{tau:>7}{errors.n:6d}"
        found.append(f"{name:26}{numbers}  {said}".rstrip())
    found += [f"{kind}: {reason}" for kind, reason in fit.remarks.items()]
    gaps = [(kind, each.gaps) for kind, each in fit.fitted.items() if each.gaps]
    if gaps:
        found.append("relaxed against derived architecture, mean absolute (and signed) difference of predictions:")
        for kind, of_kind in gaps:
            parts = [f"{100 * gap.mean:.1f} % ({100 * gap.signed:+.1f})" for gap in of_kind]
            sharp = ", ".join(
                f"alpha ~ {gap.sharpness:g} N(0, 1): {part}" for gap, part in zip(of_kind, parts, strict=True)
            )
            found.append(f"  {kind}: {sharp}")
    best = fit.best
    found.append(f"best: {best}" if best else "no predictor beats the constant: searches take none of them unnamed")
    return found


def verdict(fit: Fit, kind: str) -> str:
    """What a predictor beats, in words."""
    beaten = fit.beaten(kind)
    if not beaten:
        return "beats neither the constant nor the table: not used unless named"
    if kind in ("table", "operations"):
        return ""
    return "beats both" if len(beaten) == 2 else f"beats the {beaten[0]} only"
