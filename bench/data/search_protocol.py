"""How a search divides the training images and serves them: one mechanism for every search, as papers differ in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from bench.config import ConfigError, nearest, restore
from bench.data.names import ALL_AUGMENTATIONS
from methods.base import SearchSplit
from methods.domain import check, shown, within


@dataclass(frozen=True)
class SearchProtocol:
    """What an experiment asks for instead of what the method would do; None leaves it to the method.

    Attributes:
        train, valid: shares of the training images of every class for search-train and search-valid. A class gives
            exactly its share, to the nearest image.
        division: "class" puts every class's images in a random order first; "file" takes search-train from the front
            of the data set's own order and search-valid from its end, whatever the classes.
        valid_batches: a search that draws a validation batch in every step gets them in passes over search-valid, or
            each drawn afresh from all of it ("fresh").
        augmentation: of the search's images, a name in `bench.data.augment`; for searches that train a supernet.
    """

    train: float | None = field(default=None, metadata=within("(0, 1]") | {"absent": None})
    valid: float | None = field(default=None, metadata=within("[0, 1)") | {"absent": None})
    division: Literal["class", "file"] | None = field(default=None, metadata={"absent": None})
    valid_batches: Literal["passes", "fresh"] | None = field(default=None, metadata={"absent": None})
    augmentation: str | None = field(default=None, metadata={"absent": None})

    def __post_init__(self) -> None:
        check(self, ConfigError)
        if (self.train or 0.0) + (self.valid or 0.0) > 1 + 1e-9:
            raise ConfigError(f"train={self.train} and valid={self.valid} are more than all images together")
        if self.augmentation is not None and self.augmentation not in ALL_AUGMENTATIONS:
            raise ConfigError(
                f"unknown augmentation {shown(self.augmentation)}" + nearest(self.augmentation, ALL_AUGMENTATIONS)
            )

    def split(self, method: SearchSplit) -> SearchSplit:
        """A method's split with this protocol's shares.

        Where only one share is given and the method's other one no longer fits beside it, the other is what is left.
        """
        train = method.train if self.train is None else self.train
        valid = method.valid if self.valid is None else self.valid
        if self.valid is None and self.train is not None:
            valid = min(valid, 1.0 - train)
        if self.train is None and self.valid is not None:
            train = min(train, 1.0 - valid)
        return replace(method, train=train, valid=valid)

    def on(self, division: Literal["file"] | None) -> SearchProtocol:
        """With a data set's own division, where none is asked for."""
        return self if division is None or self.division is not None else replace(self, division=division)

    @property
    def by_class(self) -> bool:
        """Whether every class gives exactly its share, instead of all images together."""
        asked = self.train is not None or self.valid is not None or self.division == "class"
        return asked and self.division != "file"

    @property
    def fresh(self) -> bool:
        return self.valid_batches == "fresh"


AS_THE_METHOD = SearchProtocol()
"""Nothing asked for: every method's own division, in the proportion of the classes up to rounding of the whole."""


def search_protocol(config: Mapping[str, Any]) -> SearchProtocol:
    """The protocol of a search's configuration."""
    return restore(SearchProtocol, config.get("search_data", {}), "search_data")
