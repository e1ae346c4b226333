"""What a run is: the content of run.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.config import ConfigError, parse
from bench.names import LABEL, folder_form
from methods.domain import KEY, shown

SCHEMA_VERSION = 1
FITTED_NAME = "latency.fitted.safetensors"
"""In the directory of a run that fits predictors of latency, or was given them."""
PHASES = ("collect", "fit", "score", "search", "transform", "train", "inherit", "lookup", "count", "compare")
STATUSES = ("pending", "running", "done", "failed", "interrupted")


class RecordError(RuntimeError):
    """A record that cannot be read or written; the message names the file and the next step."""


@dataclass
class RunInfo:
    """The content of run.json.

    Attributes:
        label: the row of the table this run belongs to; unique in its experiment.
        method: registered method name, or "published" for a published genotype.
        phase: "collect" (measures latencies), "fit" (fits predictors to them), "score" (trains one proposal of a search
            whose proposals are runs of their own), "search" (finds an architecture), "transform" (makes a trained
            network smaller or larger), "train", "inherit" (networks on a search's weights are evaluated as they are),
            "lookup" (a table of trained networks answers), "count" (the network is built and counted), or "compare" (a
            setting of a controlled comparison: every option with every seed).
        inheritance: how a train run starts: "scratch", or "finetune" from a transform's inherited weights.
        search_seed: None for a published or given architecture, which nobody searched here, and for a batch of seeds.
        retrain_seed: None for all but a retraining and a transform.
        signature: hash of `config`; two runs with one signature are the same run.
        config: everything that decides the result, as JSON values.
        recipe: name and hash of the training recipe ({"name": ..., "hash": ...}); empty for a search.
        needs: signatures of the runs whose result this one reads.
        also: further rows that came out with this configuration; they share the run.
        given: the file that the architecture was read from; for people, nothing depends on where it lay.
        measured: the fitted file that the predictor of a search's latency was read from; as `given`.
        folder: where the images lie when the data set is a folder; no part of what the run is.
        intermediate: a training for a transform to start from, with the transform's penalty in its loss; no row of its
            own in a table.
        preset: of a search, the named set that filled in options (they stand in `config`); for people.
        note: what the experiment says to readers of the row.
        origin: of a search that another experiment did, where it is from: its "experiment", "profile", "row", "run" and
            "directory". What is copied from there is this record; nothing depends on the directory any more.
        environment: commit, dirty, versions, device, host, command, ...
        error: for a failed run, the last line of its error.
    """

    experiment: str
    profile: str
    label: str
    method: str
    phase: str
    dataset: str
    search_seed: int | None
    retrain_seed: int | None
    signature: str
    config: dict[str, Any]
    inheritance: str = "scratch"
    recipe: dict[str, str] = field(default_factory=dict)
    needs: list[str] = field(default_factory=list)
    intermediate: bool = False
    also: list[str] = field(default_factory=list)
    given: str | None = None
    measured: str | None = None
    folder: str | None = None
    preset: str | None = None
    note: str = ""
    origin: dict[str, str] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    status: str = "pending"
    error: str | None = None
    created: float = 0.0
    started: float | None = None
    finished: float | None = None
    schema: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        if isinstance(self.config, Mapping) and self.config.get("penalty"):
            self.intermediate = True  # a record from before this was written down

    @property
    def commits(self) -> list[str]:
        """Every commit that had a part in the run, as `name_commit` names them; the first began it."""
        named = self.environment.get("commits")
        if isinstance(named, list) and named:
            return [str(name) for name in named]
        return [name_commit(self.environment)]

    @property
    def proposal(self) -> int | None:
        """Of a run that scores one, its number in its search, from 0."""
        number = self.config.get("proposal")
        return number if isinstance(number, int) else None

    @property
    def rows(self) -> list[str]:
        """The labels of all rows that this run belongs to."""
        return [self.label, *self.also]

    @property
    def name(self) -> str:
        """The run directory's name."""
        parts = [self.phase, folder_form(self.label)]
        parts += ["finetune"] if self.inheritance == "finetune" else []
        parts += [] if self.search_seed is None else [f"s{self.search_seed}"]
        parts += [] if self.retrain_seed is None else [f"r{self.retrain_seed}"]
        parts += [f"p{self.proposal}"] if self.proposal is not None else []
        return "-".join([*parts, self.signature[:10]])


def built_on(info: RunInfo) -> list[str]:
    """The needs of a run without that whose size alone it takes: it costs the run nothing."""
    match = info.config.get("match") if info.phase in ("score", "search", "transform") else None
    taken = match.get("run") if isinstance(match, Mapping) else None
    return [name for name in info.needs if name != taken]


def needs_images(info: RunInfo) -> bool:
    """Whether a run reads the images of its data set; a look-up reads a table, and another experiment's run is done."""
    return info.phase not in ("lookup", "compare") and not info.origin


def computes(info: RunInfo) -> bool:
    """Whether a run works on the device; a look-up reads a table, and another experiment's run is done."""
    return info.phase != "lookup" and not info.origin


def name_commit(environment: Mapping[str, Any]) -> str:
    """The commit that an environment names, with "+dirty" where the tree differed from it."""
    return f"{environment.get('commit')}{'+dirty' if environment.get('dirty') else ''}"


def parse_info(document: dict[str, Any], where: str) -> RunInfo:
    """The RunInfo of a JSON document; `where` names it in messages.

    Raises:
        RecordError: another schema, or a value that no run has.
    """
    if document.get("schema") != SCHEMA_VERSION:
        raise RecordError(f"{where}: schema {document.get('schema')}, this version reads {SCHEMA_VERSION}")
    try:
        info = parse(RunInfo, document, where)
    except ConfigError as error:
        raise RecordError(f"{error}; remove the run directory to run it again") from None
    for name, value, valid in (("phase", info.phase, PHASES), ("status", info.status, STATUSES)):
        if value not in valid:
            raise RecordError(f"{where}: {name} {value!r} is none of {', '.join(valid)}")
    for name, value in (("experiment", info.experiment), ("profile", info.profile)):
        if value not in LABEL[KEY]:  # not NAME: earlier versions let more be a name
            raise RecordError(f"{where}: {name} is {shown(value)}; it must be {LABEL[KEY].describe('text')}")
    return info
