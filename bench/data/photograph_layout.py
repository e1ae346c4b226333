"""Where in a folder the photographs to train on and to test on are, and their low resolution where there are files.

FOLDER/train/*.png             FOLDER/valid/*.png             (or val, validation, test)
FOLDER/DIV2K_train_HR/*.png    FOLDER/DIV2K_valid_HR/*.png    low: FOLDER/DIV2K_train_LR_bicubic/X2/0001x2.png
FOLDER/DF2K_HR/*.png           with a share to test on        low: FOLDER/DF2K_LR_bicubic/X2/0001x2.png
FOLDER/train/HR/*.png          FOLDER/valid/HR/*.png          low: FOLDER/train/LR_bicubic/X2/0001x2.png
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.data.folder_settings import FolderSettings
from bench.data.images import DataError
from bench.data.layout import HELD_OUT
from bench.data.listing import scan, subfolders

EXPECTED = (
    "FOLDER/train/ and FOLDER/valid/ with photographs, or FOLDER/NAME_train_HR/ and FOLDER/NAME_valid_HR/; or "
    "FOLDER/train/ alone and a share of its photographs to test on, as test: 0.1"
)
HIGH, LOW = "HR", "LR_bicubic"
SCALES = (2, 4)


@dataclass(frozen=True)
class Found:
    """The files of one part.

    Attributes:
        root: the folder that holds them.
        names: sorted, of the images of high resolution.
        low: by factor, the folder of low resolution, where there is one.
    """

    root: Path
    names: tuple[str, ...]
    low: tuple[tuple[int, Path], ...]

    def part(self, names: slice) -> Found:
        return Found(self.root, self.names[names], self.low)

    def low_files(self, name: str) -> tuple[tuple[int, str], ...]:
        """By factor, the file of low resolution of a photograph, whether it is there or not."""
        return tuple((scale, str(_low_file(folder, name, scale))) for scale, folder in self.low)


def _low_file(folder: Path, name: str, scale: int) -> Path:
    """As the field calls it, 0001x2.png; or by the name of the photograph."""
    usual = folder / f"{Path(name).stem}x{scale}{Path(name).suffix}"
    return folder / name if not usual.exists() and (folder / name).exists() else usual


def find_photographs(settings: FolderSettings) -> tuple[Found, Found]:
    """Those to train on and those to test on.

    Raises:
        DataError: the folder is not laid out so; the message says what was found and what is expected. Or files of low
            resolution are missing, with all their names.
    """
    name, root, test = settings.name, Path(settings.folder), settings.test
    if not root.is_dir():
        raise DataError(f"data set '{name}': there is no folder {root}; expected {EXPECTED}")
    folders = subfolders(root)
    training = _only(name, root, "photographs to train on", [each for each in folders if _is_training(each)])
    if isinstance(test, float):
        whole = _files(name, root / training)
        count = round(test * len(whole.names))
        if not 0 < count < len(whole.names):
            raise DataError(
                f"data set '{name}': a share of {test:g} of {len(whole.names)} photographs leaves none to train on, or "
                "none to test on; use more photographs or another share"
            )
        return whole.part(slice(0, -count)), whole.part(slice(-count, None))
    held_out = [test] if isinstance(test, str) else [each for each in folders if _is_held_out(each)]
    if isinstance(test, str) and (test not in folders or test == training):
        raise DataError(f"data set '{name}': there is no folder {root / test}; there are: {', '.join(folders)}")
    return _files(name, root / training), _files(name, root / _only(name, root, "validation images", held_out))


def _last_word(folder: str) -> str:
    return folder.removesuffix(f"_{HIGH}").rpartition("_")[2].lower()


def _is_held_out(folder: str) -> bool:
    return _last_word(folder) in HELD_OUT


def _is_training(folder: str) -> bool:
    return _last_word(folder) == "train" or (folder.endswith(f"_{HIGH}") and not _is_held_out(folder))


def _only(name: str, root: Path, what: str, found: list[str]) -> str:
    if len(found) != 1:
        there = f"several folders of {what}: {', '.join(found)}" if found else f"no folder of {what}"
        raise DataError(f"data set '{name}': {root} has {there}; expected {EXPECTED}")
    return found[0]


def _files(name: str, folder: Path) -> Found:
    """Raises DataError where there are none, or not all of their low resolution."""
    if (folder / HIGH).is_dir():
        folder, low = folder / HIGH, folder / LOW
    else:
        low = folder.with_name(f"{folder.name.removesuffix(f'_{HIGH}')}_{LOW}")
    try:
        images = tuple(scan(folder).images)
    except OSError as error:
        raise DataError(f"data set '{name}': cannot list {folder}: {error.strerror}") from None
    if not images:
        raise DataError(f"data set '{name}': there are no images in {folder}; expected {EXPECTED}")
    found = Found(folder, images, tuple((s, low / f"X{s}") for s in SCALES if (low / f"X{s}").is_dir()))
    missing = [path for image in images for _, path in found.low_files(image) if not Path(path).exists()]
    if missing:
        raise DataError(
            f"data set '{name}': {len(missing)} files of low resolution are missing: {', '.join(missing)}; bring them, "
            "or remove their folder: they are then made"
        )
    return found
