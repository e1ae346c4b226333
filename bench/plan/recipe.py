"""Training recipes: everything that decides how a network is retrained, named, hashed, and the same for every row."""

from __future__ import annotations

import hashlib
import math
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

from bench.config import ConfigError, identity, nearest, parse
from bench.strict_yaml import read_mapping
from methods.architecture import canonical_json
from methods.domain import check, shown, within

FOLDER = Path(__file__).parent / "recipes"
Schedule = Literal["cosine", "exponential", "linear", "constant", "step"]


@dataclass(frozen=True)
class Recipe:
    """How to train a network.

    Attributes:
        name: the recipe's name; a variation has a name of its own.
        source: where it is published.
        epochs, batch_size: length, and images in one update (over all devices).
        optimizer: "sgd" (torch's, Nesterov off) or any name of timm's `create_optimizer_v2`.
        schedule: learning rate by epoch: "cosine" to `lr_min`; "exponential" by `gamma` an epoch; "step" by `gamma`
            at `milestones` (fractions of the epochs); "linear" to `lr_min`, see `tail_epochs`; "constant".
        warmup_epochs: linear warm-up, in epochs, before the schedule's own value is reached.
        augmentation: name in `bench.data.augment`.
        drop_path: final probability; grows linearly with the epoch (DARTS code: rate * epoch / epochs).
        auxiliary_weight: weight of the auxiliary head's loss; 0 builds no head.
        grad_clip: largest norm of the gradient; 0 for none.
        ema_decay: exponential moving average of the weights (timm's ModelEmaV3), evaluated instead; 0 for none.
        mixup: alpha of timm's Mixup; 0 for none.
        hfen_weight: of super-resolution, the weight of the high-frequency error in the loss.
        tail_epochs: T last epochs of a linear schedule that share the step before them. The others fall on a line
            that would reach `lr_min` after epochs - T; 0 for one line over all epochs.
    """

    name: str
    epochs: int = field(metadata=within("[1, 100000]"))
    batch_size: int = field(metadata=within("[1, 1000000]"))
    lr: float = field(metadata=within("(0, inf)"))
    source: str = ""
    optimizer: str = "sgd"
    momentum: float = field(default=0.9, metadata=within("[0, 1)"))
    weight_decay: float = field(default=3e-4, metadata=within("[0, inf)"))
    schedule: Schedule = "cosine"
    lr_min: float = field(default=0.0, metadata=within("[0, inf)"))
    gamma: float = field(default=0.1, metadata=within("(0, 1]"))
    milestones: tuple[float, ...] = field(default=(), metadata=within("(0, 1)"))
    warmup_epochs: int = field(default=0, metadata=within("[0, 100000]"))
    augmentation: str = "crop-flip"
    label_smoothing: float = field(default=0.0, metadata=within("[0, 1)"))
    drop_path: float = field(default=0.0, metadata=within("[0, 1)"))
    auxiliary_weight: float = field(default=0.0, metadata=within("[0, inf)"))
    grad_clip: float = field(default=0.0, metadata=within("[0, inf)"))
    ema_decay: float = field(default=0.0, metadata=within("[0, 1)"))
    mixup: float = field(default=0.0, metadata=within("[0, inf)"))
    tail_epochs: int = field(default=0, metadata=within("[0, 100000]") | {"absent": 0})
    hfen_weight: float = field(default=0.0, metadata=within("[0, inf)") | {"absent": 0.0})

    def __post_init__(self) -> None:
        check(self, ConfigError)
        if (self.schedule == "step") != bool(self.milestones):
            raise ConfigError(
                f"milestones is {shown(self.milestones)} with the schedule '{self.schedule}'; a schedule 'step' needs "
                "fractions of the epochs, e.g. [0.5, 0.75], and no other schedule has any"
            )
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ConfigError(f"milestones is {shown(self.milestones)}; it must be ascending")
        if not self.tail_epochs < self.epochs:
            raise ConfigError(
                f"a tail of {self.tail_epochs} epochs does not fit into {self.epochs}; "
                f"set tail_epochs to 0 .. {self.epochs - 1}"
            )
        if self.tail_epochs and self.schedule != "linear":
            raise ConfigError("only a linear schedule has a tail; set tail_epochs to 0")

    @property
    def hash(self) -> str:
        """First 8 hex digits of the SHA-256 of every field but name and source."""
        fields = {key: value for key, value in identity(self).items() if key not in ("name", "source")}
        return hashlib.sha256(canonical_json(fields).encode()).hexdigest()[:8]

    def lr_at(self, epoch: int) -> float:
        """Learning rate of an epoch (0-based); constant within it, as in the DARTS code."""
        if epoch < self.warmup_epochs:
            return self.lr * (epoch + 1) / self.warmup_epochs
        part = epoch / self.epochs
        if self.schedule == "cosine":
            return self.lr_min + (self.lr - self.lr_min) * (1 + math.cos(math.pi * part)) / 2
        if self.schedule == "linear" and self.tail_epochs:
            return self.lr_min + (self.lr - self.lr_min) * self._tailed(epoch)
        if self.schedule == "linear":
            return self.lr + (self.lr_min - self.lr) * part
        if self.schedule == "exponential":
            return self.lr * self.gamma**epoch
        if self.schedule == "step":
            return self.lr * self.gamma ** sum(part >= milestone for milestone in self.milestones)
        return self.lr

    def _tailed(self, epoch: int) -> float:
        """Share of the way down that is left, with a tail (Xu et al., ICLR 2020, released ImageNet code)."""
        line = self.epochs - self.tail_epochs
        if epoch < line:
            return (line - epoch) / line
        return (self.epochs - epoch) / (line * self.tail_epochs)

    def drop_path_at(self, epoch: int) -> float:
        return self.drop_path * epoch / self.epochs


def recipe_names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_recipe(name: str, changes: dict[str, Any] | None = None) -> Recipe:
    """A named recipe, with a profile's changes.

    A changed recipe keeps its name with "*" behind it, so that no table shows it as the published one.

    Raises:
        ConfigError: unknown recipe or field.
    """
    recipe = _published(name)
    if not changes:
        return recipe
    changed = parse(Recipe, {**asdict(recipe), **changes}, f"recipe {name}")
    return changed if changed == recipe else replace(changed, name=f"{name}*")


@cache
def _published(name: str) -> Recipe:
    if name not in recipe_names():
        raise ConfigError(f"unknown recipe {shown(name)}" + nearest(name, recipe_names()))
    return parse(Recipe, {"name": name, **read_mapping(FOLDER / f"{name}.yaml")}, f"recipe {name}")
