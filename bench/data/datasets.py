"""Data sets as uint8 tensors, checked before use; a missing or damaged one ends in a `DataError` that says what to do.

The training images are an attribute; the test images are not: only `bench.data.splits.FinalEvaluation` reads them.
"""

from __future__ import annotations

import difflib
import fcntl
import hashlib
import os
import pickle
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.data.folders import load_imagenet
from bench.data.images import DataError, DatasetInfo, ImageData, LabelledImages
from bench.data.names import DATASETS

DOWNLOAD_TIMEOUT_S = 10.0


def load(
    name: str,
    root: Path | str | None = None,
    *,
    download: bool | None = None,
    image_size: int | None = None,
    runs_dir: Path | None = None,
) -> ImageData:
    """Load a data set by name; `bench.data.folders` loads any other image folder.

    Args:
        name: "cifar10", "cifar100", "digits" or "imagenet".
        root: folder of the data sets; None means the environment variable DATA_ROOT, else `./data`.
        download: whether to fetch a CIFAR that is not there; None means yes unless DASBENCH_DOWNLOAD=0.
        image_size: height and width in pixels, for "imagenet" (default 224); the others have one size.
        runs_dir: where the list of many files is kept when it cannot be kept beside them.

    Raises:
        DataError: unknown name or size, missing or damaged files, a download that failed.
    """
    if name not in DATASETS:
        near = difflib.get_close_matches(name, DATASETS, n=1)
        hint = f"; did you mean '{near[0]}'? Known" if near else "; known"
        raise DataError(f"unknown data set '{name}'{hint}: {', '.join(DATASETS)}")
    folder = Path(root if root is not None else os.environ.get("DATA_ROOT", "data")).expanduser().absolute()
    if download is None:
        download = os.environ.get("DASBENCH_DOWNLOAD", "1") != "0"
    data = (
        load_imagenet(folder, image_size or 224, runs_dir) if name == "imagenet" else _LOADERS[name](folder, download)
    )
    if image_size not in (None, data.info.image_size):
        raise DataError(f"data set '{name}' has images of {data.info.image_size} pixels, not {image_size}")
    return data


# --- CIFAR ------------------------------------------------------------------------------------------------------------

# Channel statistics: CIFAR-10 as in DARTS (quark0/darts, cnn/utils.py); CIFAR-100 as commonly rounded to four digits.
_CIFAR10_STATISTICS = ((0.49139968, 0.48215827, 0.44653124), (0.24703233, 0.24348505, 0.26158768))
_CIFAR100_STATISTICS = ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761))


def _cifar10(root: Path, download: bool) -> ImageData:
    from torchvision.datasets import CIFAR10  # here, because a second of start-up is a fifth of a short run

    return _cifar("cifar10", CIFAR10, _CIFAR10_STATISTICS, root, download)


def _cifar100(root: Path, download: bool) -> ImageData:
    from torchvision.datasets import CIFAR100

    return _cifar("cifar100", CIFAR100, _CIFAR100_STATISTICS, root, download)


def _cifar(name: str, source: Any, statistics: tuple[Any, Any], root: Path, download: bool) -> ImageData:
    if not (root / source.base_folder).exists() and download:
        _download_cifar(name, source, root)
    _check_cifar(name, source, root)

    def read(train: bool) -> Any:
        try:
            return source(root, train=train, download=False)
        except (RuntimeError, OSError, pickle.UnpicklingError, KeyError) as error:
            raise DataError(f"cannot read data set '{name}' in {root}: {error}") from error

    training = read(train=True)
    info = DatasetInfo(name, *statistics, tuple(training.classes), image_size=32, padding=4, cutout=16)
    return ImageData(info, _to_tensors(training), lambda: _to_tensors(read(train=False)))


def _to_tensors(content: Any) -> LabelledImages:
    images = torch.from_numpy(np.ascontiguousarray(content.data.transpose(0, 3, 1, 2)))
    return LabelledImages(images, torch.tensor(content.targets))


def _check_cifar(name: str, source: Any, root: Path) -> None:
    """Raises DataError for the first file that is missing or whose md5 is not the published one."""
    meta = [source.meta["filename"], source.meta["md5"]]
    for file_name, expected in [*source.train_list, *source.test_list, meta]:
        path = root / source.base_folder / file_name
        if not path.is_file():
            raise DataError(_cifar_message(name, source, root, path, f"is missing (expected md5 {expected})"))
        try:
            with open(path, "rb") as file:
                found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        except OSError as error:
            raise DataError(
                _cifar_message(name, source, root, path, f"cannot be read: {error.strerror} (expected md5 {expected})")
            ) from error
        if found != expected:
            raise DataError(
                _cifar_message(name, source, root, path, f"is damaged: md5 {found}, expected {expected}; remove it")
            )


def _cifar_message(name: str, source: Any, root: Path, path: Path, problem: str) -> str:
    return (
        f"data set '{name}': {path} {problem}.\n"
        f"  Get {source.url} (md5 {source.tgz_md5}) and unpack it in {root} (set DATA_ROOT to use another folder),"
        f" so that {root / source.base_folder} holds the files.\n"
        "  Without the data set, `make demo` runs the same pipeline on images that need no files."
    )


def _download_cifar(name: str, source: Any, root: Path) -> None:
    """Fetch into a temporary folder beside the goal, check the md5, and move it into place in one step."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _lock(root / f".{name}.lock"), tempfile.TemporaryDirectory(dir=root) as temporary, _socket_timeout():
            if (root / source.base_folder).exists():  # another process was first
                return
            source(temporary, download=True)
            os.replace(Path(temporary) / source.base_folder, root / source.base_folder)
    except (OSError, RuntimeError, EOFError) as error:
        first = source.train_list[0]
        path = root / source.base_folder / first[0]
        problem = f"is missing (expected md5 {first[1]}) and the download failed: {error}"
        raise DataError(_cifar_message(name, source, root, path, problem)) from error


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _socket_timeout() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT_S)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


# --- digits -----------------------------------------------------------------------------------------------------------


def _digits(root: Path, download: bool) -> ImageData:
    """1,797 handwritten digits, 8x8, that ship inside scikit-learn; in every class each fifth image is a test image."""
    # The file, not `sklearn.datasets.load_digits`: importing scikit-learn takes longer than a short run's epoch.
    path = Path(str(distribution("scikit-learn").locate_file("sklearn/datasets/data/digits.csv.gz")))
    try:
        table = np.loadtxt(path, delimiter=",")
    except OSError as error:
        raise DataError(f"data set 'digits': {path} cannot be read: {error}; install scikit-learn again") from error
    images = torch.from_numpy(np.rint(table[:, :-1] * (255 / 16)).astype(np.uint8)).view(-1, 1, 8, 8)
    labels = torch.from_numpy(table[:, -1]).long()
    is_test = torch.zeros(len(labels), dtype=torch.bool)
    for label in range(10):
        is_test[(labels == label).nonzero().flatten()[4::5]] = True
    train = LabelledImages(images[~is_test].contiguous(), labels[~is_test])
    test = LabelledImages(images[is_test].contiguous(), labels[is_test])
    pixels = train.images[:].double() / 255  # type: ignore[union-attr]
    info = DatasetInfo(
        "digits",
        mean=(float(pixels.mean()),),
        std=(float(pixels.std(correction=0)),),
        classes=tuple(str(digit) for digit in range(10)),
        image_size=8,
        padding=1,
        cutout=4,
        flip=False,
    )
    return ImageData(info, train, lambda: test)


_LOADERS: dict[str, Callable[[Path, bool], ImageData]] = {"cifar10": _cifar10, "cifar100": _cifar100, "digits": _digits}
