"""Where in a folder the classes, the training images and the test images are; anything else is one clear error."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.data.decoding import Decoding
from bench.data.fingerprint import fingerprint
from bench.data.folder_settings import FolderSettings
from bench.data.image_files import ImageFiles
from bench.data.images import DataError, LabelledImages
from bench.data.listing import Listing, list_images, subfolders
from bench.data.search_protocol import SearchProtocol
from bench.data.splits import SUBSET_SEED, divide
from methods.base import SearchSplit

TRAIN = "train"
HELD_OUT = ("val", "valid", "validation", "test")
"""Folders that may hold the test images, beside `train`."""
EXPECTED = "FOLDER/train/<class>/ and FOLDER/val/<class>/, or FOLDER/<class>/ and a share of test images"
USUAL_SIZE = 224


@dataclass(frozen=True)
class Parts:
    """The images of a folder: those to train with and those to test with, listed and not yet decoded."""

    listings: tuple[Listing, ...]
    train: LabelledImages
    test: LabelledImages

    @property
    def classes(self) -> tuple[str, ...]:
        return self.listings[0].classes

    @property
    def content(self) -> dict[str, Any]:
        """Fingerprints of both: what the data set is, wherever it lies."""
        return {"train": fingerprint(self.train, self.classes), "test": fingerprint(self.test, self.classes)}


def list_parts(settings: FolderSettings, where: tuple[Path, ...] = ()) -> Parts:
    """The images of a folder, divided as its settings say; none is decoded.

    Raises:
        DataError: the layout is not that of a data set; the message says what was found and what is expected.
    """
    name, root = settings.name, Path(settings.folder)
    train_root, test_root = _layout(settings, root)
    train = list_classes(name, train_root, where)
    if test_root is not None:
        test = list_classes(name, test_root, where)
        same_classes(name, train, test)
        return Parts((train, test), files(train, settings.decoding), files(test, settings.decoding))
    whole, share = files(train, settings.decoding), settings.test
    assert isinstance(share, float)
    try:
        halves = SearchSplit(1 - share, share)
        kept_, out = divide(
            whole.labels, train.classes, halves, SUBSET_SEED, SearchProtocol(train=1 - share, valid=share)
        )
    except DataError as error:
        text = str(error).replace("search-train", "training").replace("search-valid", "the test part")
        raise DataError(f"data set '{name}', test: {share:g}: {text}") from None
    return Parts((train,), whole.select(kept_.sort().values), whole.select(out.sort().values))


def _layout(settings: FolderSettings, root: Path) -> tuple[Path, Path | None]:
    """Folders of the training and of the test classes; None where a share of the training images is for testing."""
    name, test = settings.name, settings.test
    if not root.is_dir():
        raise DataError(f"data set '{name}': there is no folder {root}; expected {EXPECTED}")
    folders = subfolders(root)
    there = [part for part in HELD_OUT if part in folders]
    if TRAIN not in folders or not (subfolders(root / TRAIN) or not set(folders) - {TRAIN, *HELD_OUT}):
        if there and len(there) == len(folders):
            raise DataError(f"data set '{name}': {root} has {there[0]}/ and no {TRAIN}/; expected {EXPECTED}")
        if isinstance(test, float):
            return root, None
        raise DataError(
            f"data set '{name}': {root} has no {TRAIN}/, so it says not which images are for testing. Give a share of "
            f"every class, as test: 0.2; or expected {EXPECTED}"
        )
    if isinstance(test, str):
        if test not in folders or test == TRAIN:
            raise DataError(f"data set '{name}': there is no folder {root / test}; there are: {', '.join(folders)}")
        return root / TRAIN, root / test
    if isinstance(test, float):
        if there:
            raise DataError(f"data set '{name}': it has {there[0]}/, and test: {test:g} asks for a share; choose one")
        return root / TRAIN, None
    if len(there) != 1:
        what = f"has {' and '.join(there)}; name the test images' one" if there else "has no folder of test images"
        raise DataError(f"data set '{name}': {root} {what}, as test: val; or give a share of every class, as test: 0.2")
    return root / TRAIN, root / there[0]


def list_classes(name: str, root: Path, where: tuple[Path, ...] = ()) -> Listing:
    """The images of the classes in a folder.

    Raises:
        DataError: there are no class folders, only one, or one without images.
    """
    listing = list_images(root, where, f"listing-{root.name}")
    loose = [file for file in listing.left_out if "/" not in file]
    if not listing.classes:
        found = f"{len(loose)} files and no class folders" if loose else "nothing"
        raise DataError(f"data set '{name}': {root} holds {found}; expected {root}/<class>/ with the images of a class")
    empty = [label for label, count in zip(listing.classes, listing.counts, strict=True) if not count]
    if empty:
        others = [file for file in listing.left_out if file.partition("/")[0] in empty]
        held = f" (there are files that are no images: {_some(others)})" if others else ""
        raise DataError(
            f"data set '{name}': no images in {_some([f'{root}/{label}' for label in empty])}{held}; add images of the "
            "class, or remove the folder"
        )
    if len(listing.classes) == 1:
        raise DataError(
            f"data set '{name}': {root} has one class, '{listing.classes[0]}'; there is nothing to tell apart. "
            f"Expected {root}/<class>/ for at least two classes"
        )
    return listing


def same_classes(name: str, train: Listing, test: Listing) -> None:
    """Raises DataError when training and test images are not of the same classes; with those that differ."""
    alone = [sorted(set(one.classes) - set(other.classes)) for one, other in ((train, test), (test, train))]
    parts = [
        f"only {Path(listing.root).name}/ has {_some(classes)}"
        for listing, classes in ((train, alone[0]), (test, alone[1]))
        if classes
    ]
    if parts:
        raise DataError(f"data set '{name}': train and {Path(test.root).name} differ in their classes: "
                        + "; ".join(parts))  # fmt: skip


def _some(names: list[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def files(listing: Listing, decoding: Decoding, size: int = USUAL_SIZE) -> LabelledImages:
    return LabelledImages(ImageFiles(listing.root, listing.names, size, decoding), listing.labels)
