"""CIFAR through torchvision: checked file by file before use, fetched in one step when it is not there."""

from __future__ import annotations

import fcntl
import hashlib
import os
import pickle
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.data.images import DataError, DatasetInfo, ImageData, LabelledImages

DOWNLOAD_TIMEOUT_S = 10.0


def load_cifar(name: str, source: Any, statistics: tuple[Any, Any], root: Path, download: bool) -> ImageData:
    """A CIFAR of torchvision's below `root`.

    Args:
        source: torchvision's class.
        statistics: mean and standard deviation of each channel, of pixels from 0 to 1.

    Raises:
        DataError: a file is missing or damaged, or the download failed.
    """
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
