"""Fitting predictors to a latency data set; what they are worth beside a constant, a table, and measuring again."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from bench.latency.conditions import LatencyError
from bench.latency.dataset import LatencyData
from methods.domain import MethodError
from methods.parts.costs.encodings import Encoding, encoding_of
from methods.parts.costs.fitted import FittedCost
from methods.parts.costs.predictors import KINDS, Logarithmic, Predictor
from methods.parts.costs.regression import fit_table, learn
from methods.parts.gates import Gates
from methods.parts.topology import Topology
from methods.spaces.supernets import RELAXATIONS

FEWEST = 50
"""Random networks from which anything is fitted."""
HELD_OUT = 0.2
LEARNED = ("mlp", "graph")
SHARPNESS = (0.001, 1.0, 4.0)
"""Standard deviations of the architecture parameters at which the gap is measured: as a search begins, on its way, and
close to its end."""
RELAXED = 100
"""Relaxed architectures at each of them."""


@dataclass(frozen=True)
class Errors:
    """Of predictions beside measurements.

    Attributes:
        mean, median: of the relative error.
        tau: Kendall's rank correlation (tau b); None where all predictions are equal.
        n: networks.
    """

    mean: float
    median: float
    tau: float | None
    n: int


@dataclass(frozen=True)
class Gap:
    """Prediction at relaxed architectures against the prediction at what is derived from them.

    Attributes:
        sharpness: standard deviation of the architecture parameters.
        mean: of the absolute difference, as a share of the derived architecture's.
        signed: of the difference; above zero where relaxed ones seem slower than they are.
    """

    sharpness: float
    mean: float
    signed: float


@dataclass(frozen=True)
class Fitted:
    """One predictor.

    Attributes:
        predictions: of the held-out networks, in the order of `Fit.held_out`.
    """

    kind: str
    predictor: Predictor
    errors: Errors
    gaps: tuple[Gap, ...]
    predictions: tuple[float, ...]


@dataclass(frozen=True)
class Fit:
    """What was fitted to a data set.

    Attributes:
        fitted_on: random networks that predictors were fitted to; `operations` to those of single operations.
        held_out: (digest, ms) of the others.
        constant: the error of predicting the mean.
        repeat: that of measuring again; None where nothing was.
        spread: standard deviation of the measured latencies over their mean.
    """

    data: LatencyData
    fitted_on: int
    held_out: tuple[tuple[str, float], ...]
    constant: Errors
    repeat: Errors | None
    spread: float
    fitted: dict[str, Fitted]
    remarks: dict[str, str] = field(default_factory=dict)

    def beaten(self, kind: str) -> tuple[str, ...]:
        """Which of the two baselines a predictor beats: "constant", "table" (for a table only the first can be)."""
        mean = self.fitted[kind].errors.mean
        tables = [self.fitted[each].errors.mean for each in ("table",) if kind in LEARNED and each in self.fitted]
        by_table = bool(tables) and mean < min(tables)
        return (("constant",) if mean < self.constant.mean else ()) + (("table",) if by_table else ())

    @property
    def best(self) -> str | None:
        """The predictor with the smallest held-out error among those that beat something; the simpler one of equals."""
        usable = [kind for kind in KINDS if kind in self.fitted and self.beaten(kind)]
        return min(usable, key=lambda kind: self.fitted[kind].errors.mean, default=None)

    def document(self) -> dict[str, Any]:
        """As JSON values, without the predictors."""
        return {
            "fitted_on": self.fitted_on, "held_out": len(self.held_out), "spread": self.spread,
            "reference_ms": self.data.reference_ms, "drift": self.data.drift(), "constant": asdict(self.constant),
            "repeat": asdict(self.repeat) if self.repeat else None, "best": self.best, "remarks": self.remarks,
            "kinds": {
                kind: {"errors": asdict(each.errors), "gaps": [asdict(gap) for gap in each.gaps],
                       "beats": list(self.beaten(kind))}
                for kind, each in self.fitted.items()
            },
        }  # fmt: skip


def fit(data: LatencyData, kinds: Sequence[str] = tuple(KINDS), seed: int = 0) -> Fit:
    """Fit every kind to the same four fifths of the random networks, and judge it by the others.

    Args:
        seed: of the division and of what is learned.

    Raises:
        LatencyError: too few networks were measured.
        MethodError: the space has no encoding.
    """
    drawn = data.of("random")
    if len(drawn) < FEWEST:
        raise LatencyError(
            f"{len(drawn)} random networks were measured, and fitting takes at least {FEWEST}; go on with the same "
            "`dasbench measure-latency` and a larger --count"
        )
    encoding = encoding_of(data.conditions.space)
    measured = [drawn[index] for index in sorted(drawn)]
    x = torch.stack([encoding.discrete(each.job.architecture) for each in measured])
    y = torch.tensor([data.ms(each) for each in measured], dtype=torch.float64)
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(seed))
    held, used = order.split([round(HELD_OUT * len(y)), len(y) - round(HELD_OUT * len(y))])
    found, remarks = {}, {}
    for kind in kinds:
        try:
            predictor = _fitted(kind, encoding, data, x[used], y[used], seed)
        except MethodError as error:
            remarks[kind] = str(error)
            continue
        with torch.no_grad():
            predictions = predictor(x[held]).double()
        cost = FittedCost(encoding, predictor, data.conditions.unit)
        found[kind] = Fitted(kind, predictor, errors(predictions, y[held]), gaps(cost), tuple(predictions.tolist()))
    constant = errors(torch.full_like(y[held], y[used].mean().item()), y[held])
    beside = tuple((measured[i].job.architecture.digest, y[i].item()) for i in held.tolist())
    spread = (y.std() / y.mean()).item()
    return Fit(data, len(used), beside, constant, repeat_error(data), spread, found, remarks)


def _fitted(kind: str, encoding: Encoding, data: LatencyData, x: Tensor, y: Tensor, seed: int) -> Predictor:
    if kind == "table":
        return fit_table(x, y)
    if kind == "operations":
        single = list(data.of("operation").values())
        if len(single) < 2:
            raise MethodError("no networks of single operations were measured")
        rows = torch.stack([encoding.discrete(each.job.architecture) for each in single])
        return fit_table(rows, torch.tensor([data.ms(each) for each in single], dtype=torch.float64))
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        predictor = KINDS[kind](encoding)
    assert isinstance(predictor, Logarithmic)
    learn(predictor, x, y, seed)
    return predictor.eval()


def errors(predicted: Tensor, measured: Tensor) -> Errors:
    """Args:
    predicted, measured: (n,), milliseconds.
    """
    from scipy.stats import kendalltau

    relative = (predicted - measured).abs() / measured
    tau = float(kendalltau(predicted.numpy(), measured.numpy()).statistic)
    found = relative.mean().item(), relative.quantile(0.5).item()
    return Errors(*found, None if math.isnan(tau) else tau, len(measured))


def repeat_error(data: LatencyData) -> Errors | None:
    """Of the second measurements as predictions of the first; None without two of both."""
    first, second = data.of("random"), data.of("repeat")
    both = sorted(set(first) & set(second))
    if len(both) < 2:
        return None
    once, again = ([data.ms(of[index]) for index in both] for of in (first, second))
    return errors(torch.tensor(again, dtype=torch.float64), torch.tensor(once, dtype=torch.float64))


def gaps(cost: FittedCost, seed: int = 0, relaxed_at_each: int = RELAXED) -> tuple[Gap, ...]:
    """At softmax of normal parameters, by `SHARPNESS`; () in a space without a relaxation."""
    topology = cost.encoding.topology
    if topology is None:
        return ()
    relaxed = RELAXATIONS[cost.encoding.space]
    generator = torch.Generator().manual_seed(seed)
    found = []
    for sharpness in SHARPNESS:
        differences = []
        for _ in range(relaxed_at_each):
            gates = drawn_gates(topology, sharpness, generator)
            derived = cost.discrete(relaxed.derive(gates))
            with torch.no_grad():
                differences.append((cost.expected(gates).item() - derived) / derived)
        mean = sum(map(abs, differences)) / relaxed_at_each
        found.append(Gap(sharpness, mean, sum(differences) / relaxed_at_each))
    return tuple(found)


def drawn_gates(topology: Topology, sharpness: float, generator: torch.Generator) -> Mapping[str, Gates]:
    """The gates of normal architecture parameters with this standard deviation."""
    _, decisions, options = topology.shape
    absent = torch.zeros(decisions, options, dtype=torch.bool)
    for place in topology.absent:
        absent[place] = True

    def one() -> Gates:
        alpha = sharpness * torch.randn(decisions, options, generator=generator)
        return Gates(alpha.masked_fill(absent, -torch.inf).softmax(dim=-1), torch.ones(decisions))

    return {kind: one() for kind in topology.kinds}
