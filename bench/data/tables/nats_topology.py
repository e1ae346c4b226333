"""A user's own file of NATS-Bench's topology space, read through its authors' package `nats-bench`, once.

Dong, Liu, Musial and Gabrys, TPAMI 2021, arXiv 2009.00437: the cells of NAS-Bench-201, published again. The file has
gigabytes in thousands of pickles; what a table needs of it is kept beside it as one small csv.gz, in the form of ours,
and read from there the next time. A pickle can run any code when it is read: use the file of the benchmark's authors.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.data.tables.nasbench201 import DATASETS, Layout, make_table
from bench.data.tables.table import Table, TableError

VARIABLE = "NATS_BENCH"
NAMES = ("NATS-tss-v1_0-3ffb9-simple", "NATS-tss-v1_0-3ffb9.pickle.pbz2")
"""The folder for the fast mode and the one file, as their authors call them."""
SLIM = ".slim.csv.gz"
LAYOUT = Layout("nats_topology", "nats", {("val", 12): "", ("val", 200): "", ("test", 12): "", ("test", 200): ""})
_THEIRS = {"cifar10": "cifar10", "cifar100": "cifar100", "imagenet16": "ImageNet16-120"}
_EPOCHS = (12, 200)


def load() -> Table:
    """The table of the file that is found; some minutes the first time, then as fast as ours.

    Raises:
        TableError: no file, no package `nats-bench`, or a file that it cannot read or that is not complete.
    """
    path = find()
    slim = path.with_name(path.name + SLIM)
    if not slim.exists() or slim.stat().st_mtime < path.stat().st_mtime:
        _write(slim, "\n".join(lines(open_api(path), path)))
    return make_table(slim, LAYOUT, f"{path} (NATS-Bench, Dong et al., TPAMI 2021, arXiv 2009.00437)")


def find() -> Path:
    """The user's file or folder.

    Raises:
        TableError: there is none; the message says where it is looked for.
    """
    named = os.environ.get(VARIABLE)
    folders = [os.environ.get("DATA_ROOT"), os.environ.get("TORCH_HOME")]
    places = [Path(named)] if named else [Path(folder) / name for folder in folders if folder for name in NAMES]
    for place in places:
        if place.exists():
            return place
    looked = f" (looked for: {', '.join(map(str, places))})" if places else ""
    raise TableError(
        f"table 'nats_topology' is a file of your own, and there is none{looked}. Download {NAMES[0]} as "
        f"github.com/D-X-Y/NATS-Bench says, and name it in {VARIABLE} or put it into DATA_ROOT; the table "
        "'nasbench201' needs no download and has NATS-Bench's test accuracies after 200 epochs, too"
    )


def open_api(path: Path) -> Any:
    """The authors' interface to a file or, in its fast mode, to a folder.

    Raises:
        TableError: the package is not installed, or cannot read this.
    """
    try:
        import nats_bench
    except ImportError:
        raise TableError(f"{path} is read through the package nats-bench: pip install 'dasbench[nats]'") from None
    try:
        return nats_bench.create(str(path), "topology", fast_mode=path.is_dir(), verbose=False)
    except Exception as error:  # a pickle of another's making may fail in any way
        raise TableError(f"{path}: nats-bench cannot read it ({type(error).__name__}: {error})") from None


def lines(api: Any, path: Path) -> Iterator[str]:
    """The lines of the small file: a header, then one a cell.

    Raises:
        TableError: a cell lacks a value.
    """
    yield ",".join(["index", "arch", *LAYOUT.columns])
    for index in range(len(api)):
        try:
            results = {epochs: api.query_meta_info_by_index(index, hp=str(epochs)) for epochs in _EPOCHS}
            values = [value for dataset in DATASETS for value in _values(results, dataset)]
        except Exception as error:
            raise TableError(
                f"{path}: cell {index} cannot be read ({type(error).__name__}: {error}); a table needs all cells after "
                f"{' and '.join(map(str, _EPOCHS))} epochs"
            ) from None
        yield ",".join([str(index), api.arch(index), *(f"{value:.6f}" for value in values)])
        api.arch2infos_dict.pop(index, None)  # in its fast mode the interface keeps all that it has read


def _values(results: dict[int, Any], dataset: str) -> Iterator[float]:
    """In the order of the layout's columns: both validation values, both test values, parameters and FLOPs."""
    name = _THEIRS[dataset]
    searched = ("cifar10-valid", "x-valid") if dataset == "cifar10" else (name, "x-valid")
    final = (name, "ori-test") if dataset == "cifar10" else (name, "x-test")
    for where in (searched, final):
        for epochs in _EPOCHS:
            yield results[epochs].get_metrics(*where)["accuracy"]
    costs = results[_EPOCHS[-1]].get_compute_costs(name)
    yield from (costs["params"], costs["flops"])


def _write(slim: Path, text: str) -> None:
    """Whole or not at all: another process may read it."""
    temporary = slim.with_name(f".{slim.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(gzip.compress(text.encode(), mtime=0))
        temporary.replace(slim)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise TableError(f"{slim}: cannot be written ({error}); put the file where its folder can be written") from None
