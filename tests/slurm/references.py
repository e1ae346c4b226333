"""The uninterrupted local runs that everything is compared with.

    python -m tests.slurm.references FOLDER PROFILE ROW ...

does those of some rows; what is done already, or being done by another process, is left to it.
"""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.records.directory import RunDirectory, RunInfo
from bench.run.one_run import DONE, execute
from tests.bench.test_resume import outcome
from tests.slurm.scenario import runs_of


class References:
    """Uninterrupted runs. Each is done once, by the first process that asks for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._beside: list[subprocess.Popen[bytes]] = []

    def __call__(self, info: RunInfo) -> dict[str, Any]:
        """What the run decides; for a training whose search has been asked for before."""
        directory = RunDirectory(self.folder / f"faults-{info.profile}" / info.name)
        directory.path.parent.mkdir(parents=True, exist_ok=True)
        with open(directory.path.with_suffix(".lock"), "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if not directory.exists():
                directory.create(info)
                assert execute(directory.path, "cpu") == DONE
        return outcome(directory)

    def begin(self, profile: str, *rows: str) -> None:
        """Do the runs of some rows in a process beside this one, while the cluster is waited for."""
        words = [sys.executable, "-W", "ignore", "-m", "tests.slurm.references", str(self.folder), profile, *rows]
        self._beside.append(subprocess.Popen(words, cwd=Path(__file__).parent.parent.parent))

    def stop(self) -> None:
        for process in self._beside:
            process.terminate()
            process.wait()


if __name__ == "__main__":
    for planned in runs_of(sys.argv[2], *sys.argv[3:]):
        References(Path(sys.argv[1]))(planned)
