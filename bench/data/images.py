"""What a data set is, once it is loaded; a missing or damaged one ends in a `DataError` that says what to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from bench.data.image_files import ImageFiles
from bench.data.photographs import Photographs

Images = Tensor | ImageFiles | Photographs


class DataError(RuntimeError):
    """A data set that is missing, damaged or unknown; the message names the file and the next step."""


@dataclass(frozen=True)
class DatasetInfo:
    """What a network, an augmentation and a table need to know of a data set.

    Attributes:
        mean, std: of each channel, for pixels in [0, 1].
        classes: class names in label order.
        image_size: height and width in pixels.
        padding: zero padding of the random crop, in pixels.
        cutout: side of the cutout square, in pixels: half the image, as 16 is of 32.
        flip: False where a mirrored image is no longer of its class (digits).
        stem: which stem of a search space fits the image size, "cifar" or "imagenet".
        head: outputs of a network where there are no classes.
        counted_at: height and width at which a network's costs are counted, where not `image_size`.
        examples: that an image gives in an epoch, as patches are cut out of a photograph.
        division: "file" where searches divide the training images in the order of the files unless asked otherwise.
    """

    name: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    classes: tuple[str, ...]
    image_size: int
    padding: int
    cutout: int
    flip: bool = True
    stem: str = "cifar"
    head: int | None = None
    counted_at: tuple[int, int] | None = None
    examples: int = 1
    division: Literal["file"] | None = None

    @property
    def channels(self) -> int:
        return len(self.mean)

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    @property
    def outputs(self) -> int:
        """Of a network's head: the classes, or what the task has instead."""
        return self.num_classes if self.head is None else self.head

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height, width of the input at which a network is counted."""
        height, width = self.counted_at or (self.image_size, self.image_size)
        return self.channels, height, width


@dataclass(frozen=True)
class LabelledImages:
    """Images, uint8, (N, C, H, W) in memory or as files read on demand, or photographs; labels, int64, (N,)."""

    images: Images
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, indices: Tensor) -> LabelledImages:
        """The images at `indices`, in that order."""
        return LabelledImages(self.images[indices], self.labels[indices])


@dataclass(frozen=True)
class ImageData:
    """A data set: what is known about it, and its training images. The test images stay closed (see `splits`)."""

    info: DatasetInfo
    train: LabelledImages
    _read_test: Callable[[], LabelledImages]
