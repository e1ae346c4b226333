"""MLflow beside a running experiment."""

from __future__ import annotations

import argparse
import threading
from pathlib import Path
from typing import Any

from bench.commands.output import console, picture_of
from bench.commands.selection import owner

MIRROR_SECONDS = 45.0


class Tracking:
    """MLflow beside a running experiment: a view of the records, which stops nothing when it is down."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        from bench.tracking import mirror as tracking

        self.module, self.folder, self.good = tracking, folder, True
        self.store = tracking.open_store(options.runs_dir, options.tracking_uri)
        self.over = threading.Event()
        mirror = tracking.Mirror(folder, self.store, picture_of, warn=self._warn)
        self.thread = threading.Thread(
            target=tracking.follow, args=(mirror, self.over.is_set, MIRROR_SECONDS, self.over.wait), daemon=True
        )

    def __enter__(self) -> Tracking:
        try:
            self.module.prepare(self.store, owner(self.folder)[0])
            self.thread.start()
        except self.module.TrackingError as error:
            self._warn(f"{error}; the runs go on, and `dasbench sync` brings MLflow up to date later")
        return self

    def __exit__(self, *reason: Any) -> None:
        self.over.set()
        if self.thread.ident is not None:
            self.thread.join()
        if self.good:
            console.print(f"MLflow is up to date: {self.store.shown}")

    def attach(self, report: Path) -> None:
        """Put the report beside the parent run; a tracker that is down has been named already."""
        if self.good:
            try:
                self.module.attach(self.folder, self.store, [report])
            except self.module.TrackingError as error:
                self._warn(str(error))

    def _warn(self, text: str) -> None:
        self.good = False
        console.print(f"[yellow]tracking:[/] {text}")
