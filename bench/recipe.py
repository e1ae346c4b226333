"""Training recipes: everything that decides how a network is retrained, named, hashed, and the same for every row."""

from __future__ import annotations

import hashlib
import math
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from bench.config import ConfigError, identity, nearest, parse, read_yaml
from methods.architecture import canonical_json

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
        tail_epochs: T last epochs of a linear schedule that share the step before them. The others fall on a line
            that would reach `lr_min` after epochs - T; 0 for one line over all epochs.
    """

    name: str
    epochs: int
    batch_size: int
    lr: float
    source: str = ""
    optimizer: str = "sgd"
    momentum: float = 0.9
    weight_decay: float = 3e-4
    schedule: Schedule = "cosine"
    lr_min: float = 0.0
    gamma: float = 0.1
    milestones: tuple[float, ...] = ()
    warmup_epochs: int = 0
    augmentation: str = "crop-flip"
    label_smoothing: float = 0.0
    drop_path: float = 0.0
    auxiliary_weight: float = 0.0
    grad_clip: float = 0.0
    ema_decay: float = 0.0
    mixup: float = 0.0
    tail_epochs: int = field(default=0, metadata={"absent": 0})

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"recipe {self.name}: {name} must be at least 1, not {getattr(self, name)}")
        for name in ("drop_path", "label_smoothing", "ema_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"recipe {self.name}: {name} must be in [0, 1), not {getattr(self, name)}")
        if not 0 <= self.tail_epochs < self.epochs:
            raise ConfigError(
                f"recipe {self.name}: a tail of {self.tail_epochs} epochs does not fit into {self.epochs}; "
                f"set tail_epochs to 0 .. {self.epochs - 1}"
            )
        if self.tail_epochs and self.schedule != "linear":
            raise ConfigError(f"recipe {self.name}: only a linear schedule has a tail; set tail_epochs to 0")
        if self.lr <= 0:
            raise ConfigError(f"recipe {self.name}: lr must be positive, not {self.lr}")

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
    path = FOLDER / f"{name}.yaml"
    if not path.exists():
        raise ConfigError(f"unknown recipe '{name}'" + nearest(name, recipe_names()))
    recipe = parse(Recipe, {"name": name, **read_yaml(path)}, f"recipe {name}")
    if not changes:
        return recipe
    changed = parse(Recipe, {**asdict(recipe), **changes}, f"recipe {name}")
    return changed if changed == recipe else replace(changed, name=f"{name}*")
