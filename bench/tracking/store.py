"""Where MLflow keeps its runs: found by its URI, made whole or not at all, held by one writer at a time.

A SQLite database is laid out by MLflow in more than fifty steps; a process killed between two of them would leave a
database that no MLflow can open or repair. It is therefore made under another name and gets its own when it is
complete. One that an earlier version, or another program, left half made is recognised and named.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from bench.records.directory import RecordError

SOON_SECONDS = 5
"""After which a request is given up by whoever cannot wait: runs go on beside it."""
_CORE_TABLES = {"alembic_version", "experiments", "runs", "tags"}


class TrackingError(RuntimeError):
    """The tracker cannot be reached or written; the message gives the cause and the next step."""


class BusyError(TrackingError):
    """Another process is syncing."""


@dataclass(frozen=True)
class Store:
    """Where MLflow keeps its runs.

    Attributes:
        uri: tracking URI; a SQLite path in it is absolute.
        artifact_root: folder for artifacts; None leaves it to the tracking server.
        lock: file that only one writer at a time holds.
    """

    uri: str
    artifact_root: Path | None
    lock: Path

    @property
    def shown(self) -> str:
        """The URI without its password."""
        password = urlsplit(self.uri).password
        return self.uri if password is None else self.uri.replace(f":{password}@", ":***@", 1)

    @property
    def file(self) -> Path | None:
        """The SQLite database; None for any other store."""
        return Path(self.uri.removeprefix("sqlite:///")) if self.uri.startswith("sqlite:") else None


def open_store(runs_dir: Path, uri: str | None = None) -> Store:
    """The store for a RUNS_DIR: `uri`, else MLFLOW_TRACKING_URI, else `RUNS_DIR/mlflow.db` and `RUNS_DIR/mlartifacts`.

    A SQLite path becomes absolute: MLflow would look for it in the current directory. Nothing is opened yet.

    Raises:
        TrackingError: a URI that MLflow has no (longer a) store for.
    """
    runs_dir = runs_dir.expanduser().absolute()
    uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{runs_dir / 'mlflow.db'}"
    scheme = uri.split(":", 1)[0].split("+")[0] if ":" in uri else ""
    if scheme == "sqlite":
        path = Path(uri.removeprefix("sqlite:///")).absolute()
        return Store(f"sqlite:///{path}", path.parent / "mlartifacts", path.with_name(path.name + ".lock"))
    if scheme in ("http", "https", "databricks"):
        return Store(uri, None, runs_dir / ".mlflow.lock")
    if scheme in ("postgresql", "mysql", "mssql"):
        return Store(uri, runs_dir / "mlartifacts", runs_dir / ".mlflow.lock")
    raise TrackingError(
        f"'{uri}' is not a tracking URI that can be used; give sqlite:////absolute/path/mlflow.db, "
        "http(s)://host:port or a postgresql/mysql/mssql URI (MLflow retired plain folders)"
    )


def connect(store: Store) -> Any:
    """A client to write with, after the database has been made if need be; only for who holds the store's lock.

    Raises:
        TrackingError: the database is not one that MLflow can use.
    """
    if store.artifact_root is not None:
        store.artifact_root.mkdir(parents=True, exist_ok=True)
    if store.file is None or holds_something(store.file):
        return client_of(store)
    _create_database(store.file)
    client = client_of(store)
    _let_go_of_the_file_before(client)
    return client


def _let_go_of_the_file_before(client: Any) -> None:
    """MLflow keeps connections by name: to a file of that name that was removed in the meantime, too."""
    engine = getattr(getattr(getattr(client, "_tracking_client", None), "store", None), "engine", None)
    if engine is not None:
        engine.dispose()


def client_of(store: Store, seconds: int = SOON_SECONDS) -> Any:
    """An MLflow client; MLflow is imported here, as it takes a second and workers do not need it.

    Args:
        seconds: after which a request is given up, where the environment does not say so.

    Raises:
        TrackingError: the database is not one that MLflow can use.
    """
    if store.file is not None:
        fault = fault_of(store.file)
        if fault is not None:
            raise TrackingError(fault)
    return _client(store.uri, seconds)


def _client(uri: str, seconds: int = SOON_SECONDS) -> Any:
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(seconds))
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):  # importing sets them anew
        logging.getLogger(name).setLevel(logging.ERROR)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def holds_something(file: Path) -> bool:
    """Whether there is a database. An empty file is none: SQLite makes it before it writes the first table."""
    try:
        return file.stat().st_size > 0
    except FileNotFoundError:
        return False


def _create_database(file: Path) -> None:
    """Lay a database out beside its place, and give it its name when it is whole and on the disk.

    Another program that creates it at the same moment may be first: then its database is the one.
    """
    for left in file.parent.glob(f".{file.name}.*.new*"):  # of creators that were killed; the lock keeps others out
        left.unlink(missing_ok=True)
    stem = f".{file.name}.{uuid.uuid4().hex[:12]}"
    laid_out, whole = file.with_name(f"{stem}.new"), file.with_name(f"{stem}.whole.new")
    try:
        _client(f"sqlite:///{laid_out}").search_experiments(max_results=1)
        with closing(sqlite3.connect(laid_out)) as database:  # MLflow keeps its own open: a copy is nobody else's
            database.execute("vacuum into ?", (str(whole),))
        with open(whole, "rb") as finished:
            os.fsync(finished.fileno())
        if file.exists() and not holds_something(file):
            os.replace(whole, file)
        else:
            _name_if_free(whole, file)
    finally:
        for path in file.parent.glob(f"{stem}.*"):
            path.unlink(missing_ok=True)


def _name_if_free(path: Path, name: Path) -> None:
    try:
        os.link(path, name)
    except FileExistsError:
        return
    except OSError:  # a file system without hard links
        if not name.exists():
            os.rename(path, name)


@contextmanager
def read_only(file: Path) -> Iterator[sqlite3.Connection]:
    """The database, opened in a way that changes and creates nothing.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    with closing(sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True, timeout=5.0)) as database:
        yield database


def fault_of(file: Path) -> str | None:
    """Why a database is none that MLflow can use, and the next step; None when there is none, or nothing is wrong."""
    if not holds_something(file):
        return None
    try:
        with read_only(file) as database:
            tables = {name for (name,) in database.execute("select name from sqlite_master where type = 'table'")}
            version = tables >= {"alembic_version"} and database.execute("select * from alembic_version").fetchone()
            empty = "runs" not in tables or database.execute("select 1 from runs").fetchone() is None
    except sqlite3.OperationalError:  # locked, or may not be read: MLflow says what is the matter
        return None
    except sqlite3.DatabaseError as error:
        return (
            f"{file} is damaged or not a database ({error}). MLflow is a copy of the records: move the file away and "
            "run `dasbench sync`, or choose another store with --tracking-uri"
        )
    if tables >= _CORE_TABLES and version:
        return None
    if tables and not tables & _CORE_TABLES:
        return f"{file} is a database of another program; choose another store with --tracking-uri"
    if empty:
        return _half_made(file)
    return f"{file} lacks tables of MLflow ({', '.join(sorted(_CORE_TABLES - tables)) or 'a version'}). " + _REMAKE


_REMAKE = "MLflow is a copy of the records: remove the file and run `dasbench sync`"


def _half_made(file: Path) -> str:
    return f"{file} was never completed: a process ended while it was creating it, and no run is in it. " + _REMAKE


def _is_unfinished(file: Path) -> bool:
    """After MLflow has refused it: whether a database holds no run and not all steps of its creation were done."""
    try:
        from mlflow.store.db.utils import _get_latest_schema_revision

        with read_only(file) as database:
            (version,) = database.execute("select version_num from alembic_version").fetchone()
            return (
                database.execute("select 1 from runs").fetchone() is None and version != _get_latest_schema_revision()
            )
    except (sqlite3.Error, ImportError, TypeError):
        return False


@contextmanager
def tracker_errors(store: Store) -> Iterator[None]:
    """MLflow, SQLAlchemy, requests and the file system fail with dozens of types; a user needs one.

    What a record or this program does wrong is not the tracker's fault: give it to `RecordError` before it gets here.
    """
    try:
        yield
    except (TrackingError, RecordError):
        raise
    except Exception as error:
        cause = " ".join(str(error).split())[:300] or type(error).__name__
        if store.file is not None and _is_unfinished(store.file):
            raise TrackingError(_half_made(store.file)) from error
        raise TrackingError(
            f"the tracker {store.shown} failed: {cause}. The records are complete without it; "
            "run `dasbench sync` when it works again, or choose another with --tracking-uri"
        ) from error


@contextmanager
def only_writer(store: Store, wait_s: float) -> Iterator[None]:
    """Hold the store's lock; the kernel releases it when its holder ends, however it ends, so it cannot go stale.

    Raises:
        BusyError: another process holds it for longer than `wait_s`.
        TrackingError: the lock cannot be written.
    """
    try:
        store.lock.parent.mkdir(parents=True, exist_ok=True)
        file = open(store.lock, "a")  # noqa: SIM115 (closed below, also when waiting fails)
    except OSError as error:
        raise TrackingError(
            f"cannot write {store.lock}: {error.strerror}; choose a store that can be written with --tracking-uri"
        ) from error
    with file:
        deadline = time.monotonic() + wait_s
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            if time.monotonic() >= deadline:
                raise BusyError(
                    f"another sync is writing to {store.shown} and holds {store.lock}; try again when it has ended"
                )
            time.sleep(0.05)
        yield
