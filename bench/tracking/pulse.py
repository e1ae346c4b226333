"""Whether anybody is where a store is said to be: a question that costs a server nothing, however busy it is."""

from __future__ import annotations

import socket
from urllib.error import HTTPError
from urllib.parse import SplitResult, urlsplit
from urllib.request import urlopen

from bench.tracking.store import Store

PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306, "mssql": 1433}
"""Where a server listens whose URI names no port."""


def is_there(store: Store, seconds: float) -> bool:
    """Whether a store's server says anything within so many seconds; a file is there, and a service whose address only
    MLflow knows (databricks) is not."""
    if store.file is not None:
        return True
    parts = urlsplit(store.uri)
    scheme = parts.scheme.split("+")[0]
    try:
        if scheme in ("http", "https"):
            return _speaks(parts, seconds)
        with socket.create_connection((parts.hostname or "localhost", parts.port or PORTS[scheme]), seconds):
            return True
    except (OSError, ValueError, KeyError):
        return False


def _speaks(parts: SplitResult, seconds: float) -> bool:
    """Any answer will do, a refusal too; MLflow's own servers have a page for this."""
    host = parts.netloc.rpartition("@")[2]
    try:
        with urlopen(f"{parts.scheme}://{host}{parts.path.rstrip('/')}/health", timeout=seconds):
            return True
    except HTTPError:
        return True
