"""What a row's search is to heed beside its metric: `cost: {on: latency_ms, at_most: 5, device: cpu}`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal

from bench.config import ConfigError
from methods.domain import check, within

MEASURED = ("backend", "batch", "threads", "measurements")
OF_LATENCY = ("device", "file", "predictor", "encoding", *MEASURED)
DEVICES = ("cpu", "cuda")
Rule = Literal["sum", "log_ratio", "multiplier", "log10", "none"]


@dataclass(frozen=True)
class RowCost:
    """What is counted or measured is the network as the profile retrains it: its size, classes and images.

    Attributes:
        on: parameters, MACs, arithmetic intensity or its inverse (`methods.parts.costs.counts`), or a latency that is
            predicted from measured networks.
        at_most: a bound that the search's answer keeps, or says it cannot.
        share: the bound as a share of the cost of the space's reference architecture, in place of `at_most`.
        objective: how the cost enters the loss of a gradient search (`methods.parts.costs.rules`) or the score of a
            sampling search (`methods.parts.costs.preference`); "none" for the bound alone. Not given: of a gradient
            search the multiplier with a bound, else the sum; of a sampling search the bound alone, else the sum.
        weight: of the sum, the log ratio and the decimal logarithm.
        reference: the cost that counts as one; not given, the bound, or in a gradient search without one the expected
            cost of equal gates.
        scale: of the log ratio.
        rate: of the multiplier.
        device: of a latency: the device that it was measured on, or is to be.
        file: of a latency: a fitted file that is there (`dasbench measure-latency`), relative to the experiment's.
            Without it the row measures, and fits, in runs that every row with the same conditions shares.
        predictor: of a latency; not given, the best one that beats a constant on networks it was not fitted to.
        encoding: of a latency, how soft gates are read (`methods.parts.costs.encodings`).
        backend, batch, threads, measurements: of a row that measures: with what, images and CPU threads of one forward
            pass, number of networks.
    """

    on: Literal["params", "macs", "intensity", "bytes_per_mac", "latency_ms"]
    at_most: float | None = field(default=None, metadata=within("(0, inf)"))
    share: float | None = field(default=None, metadata=within("(0, inf)"))
    objective: Rule | None = None
    weight: float = field(default=0.1, metadata=within("[0, inf)"))
    reference: float | None = field(default=None, metadata=within("(0, inf)"))
    scale: float = field(default=0.2, metadata=within("(0, inf)"))
    rate: float = field(default=5e-4, metadata=within("(0, inf)"))
    device: str | None = None
    file: str | None = None
    predictor: Literal["table", "operations", "mlp", "graph"] | None = None
    encoding: Literal["soft", "straight_through"] = "soft"
    backend: Literal["torch", "onnxruntime"] = "torch"
    batch: int = field(default=1, metadata=within("[1, 4096]"))
    threads: int = field(default=1, metadata=within("[1, 1024]"))
    measurements: int = field(default=500, metadata=within("[50, 100000]"))

    def __post_init__(self) -> None:
        check(self, ConfigError)
        if self.on == "latency_ms" and self.device is None:
            raise ConfigError(
                "a latency is one of a device; name it with 'device': cpu, cuda, or as `dasbench measure-latency` "
                "wrote it into its file"
            )
        usual = {each.name: each.default for each in fields(self)}
        given = [name for name in usual if getattr(self, name) != usual[name]]
        for name in given if self.on != "latency_ms" else ():
            if name in OF_LATENCY:
                raise ConfigError(f"{name} is of a latency; {self.on} is counted, leave it out")
        for name in given if self.file is not None else ():
            if name in MEASURED:
                raise ConfigError(f"{name} is of a row that measures; the file says how it was, leave it out")
        if self.on == "latency_ms" and self.file is None and self.device not in DEVICES:
            raise ConfigError(
                f"device '{self.device}': a row that measures does it on {' or '.join(DEVICES)}, of the machine that "
                "it runs on; for another device name the 'file' that was measured there"
            )
        if self.at_most is not None and self.share is not None:
            raise ConfigError("at_most and share both say the bound; leave one of them out")
        if self.objective == "multiplier" and not self.bounded:
            raise ConfigError("the multiplier keeps a cost below a bound; say it with at_most or share")
        if self.objective == "none" and not self.bounded:
            raise ConfigError("objective 'none' with no at_most leaves the cost without any part; give one of them")

    @property
    def bounded(self) -> bool:
        return self.at_most is not None or self.share is not None

    def rule(self, by_gradient: bool) -> Rule:
        """How it enters the search."""
        if self.objective is not None:
            return self.objective
        if not self.bounded:
            return "sum"
        return "multiplier" if by_gradient else "none"


def file_digest(path: str) -> str:
    """SHA-256 of a fitted file. Raises ConfigError if it cannot be read."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise ConfigError(
            f"cannot read the latencies {path} ({error.strerror}); `dasbench measure-latency` makes such a file "
            "(paths in an experiment are relative to its file)"
        ) from None
