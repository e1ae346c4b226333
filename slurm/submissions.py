"""What was submitted: one file for each launch, written before SLURM is asked, so that a killed launch forgets nothing.

FOLDER/slurm/launch-<token>.json names the arrays, their runs in order, and, as soon as it is known, the job id. A job's
name carries the token, so that the id of a job whose launch was killed before it could note it is found again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.records.directory import RecordError, write_atomically
from slurm.arrays import Place
from slurm.queue import Job

FOLDER_NAME = "slurm"


@dataclass
class SubmittedArray:
    """An array as it was or will be submitted.

    Attributes:
        name: of the job; unique.
        runs: signatures, in the order of the tasks.
        job: SLURM's id, once known.
    """

    name: str
    phase: str
    runs: list[str]
    per_task: int = 1
    job: str | None = None

    def place(self, position: int) -> Place:
        assert self.job is not None
        alone = len(self.runs) <= self.per_task
        return Place(self.job, None if alone else position // self.per_task, position)


@dataclass
class Submission:
    """One launch."""

    token: str
    cluster: str
    commit: str
    time: float
    arrays: list[SubmittedArray] = field(default_factory=list)

    def write(self, folder: Path) -> None:
        path = folder / FOLDER_NAME / f"launch-{self.token}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(asdict(self), indent=1) + "\n")


@dataclass(frozen=True)
class Submitted:
    """The latest submission of one run."""

    place: Place
    time: float
    per_task: int

    @property
    def job(self) -> str:
        """The id that squeue shows."""
        return str(self.place.job) if self.place.task is None else f"{self.place.job}_{self.place.task}"


def read_submissions(folder: Path) -> list[Submission]:
    """All launches of an experiment's folder, oldest first.

    Raises:
        RecordError: a file is damaged.
    """
    found = []
    for path in (folder / FOLDER_NAME).glob("launch-*.json"):
        try:
            document = json.loads(path.read_text())
            arrays = [SubmittedArray(**array) for array in document.pop("arrays")]
            found.append(Submission(**document, arrays=arrays))
        except (json.JSONDecodeError, TypeError, KeyError) as error:
            raise RecordError(f"{path} is damaged ({error}); remove it: the runs' records are elsewhere") from None
    return sorted(found, key=lambda submission: submission.time)


def submitted_runs(submissions: Iterable[Submission], jobs: Mapping[str, Job]) -> dict[str, Submitted]:
    """The latest submission of every run, by signature.

    Args:
        jobs: what SLURM knows, to find arrays whose id was not noted.
    """
    by_name = {job.name: job.id.partition("_")[0] for job in jobs.values()}
    found = {}
    for submission in submissions:
        for array in submission.arrays:
            array.job = array.job or by_name.get(array.name)
            if array.job is not None:
                for position, signature in enumerate(array.runs):
                    found[signature] = Submitted(array.place(position), submission.time, array.per_task)
    return found
