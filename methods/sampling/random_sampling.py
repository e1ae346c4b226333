"""Random sampling: architectures drawn uniformly from a space, the row every comparison needs.

One sample is no search; with more, each is scored and the best is kept: random search. Li and Talwalkar, UAI 2019
(arXiv 1902.07638) and Yu et al., ICLR 2020 (arXiv 1902.08142) show why.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from methods.architecture import Architecture, ArchitectureError
from methods.base import MethodError, SamplingSearch, SearchContext
from methods.domain import check, within
from methods.registry import register
from methods.sampling.history import History
from methods.spaces import NetworkSettings, Space, get_space
from methods.spaces.base import DrawsAtSize, resting
from methods.spaces.listed import ListedSpace


@dataclass(frozen=True)
class RandomSamplingOptions:
    """With more than one sample, the harness scores each and the best is kept.

    Attributes:
        samples: draws; one that is drawn twice counts twice.
        space: any space; its `sample` says what is uniform there.
    """

    samples: int = field(default=1, metadata=within("[1, 100000]"))
    space: str = field(default="darts_cell", metadata={"absent": "darts_cell"})

    def __post_init__(self) -> None:
        check(self)
        sampled_space(self.space)


def sampled_space(name: str) -> Space:
    """Raises MethodError if there is no such space."""
    try:
        return get_space(name)
    except ArchitectureError as error:
        raise MethodError(f"space is '{name}': {error}") from None


def refuse_no_size(name: str) -> None:
    """Raises MethodError where architectures of a space cannot be drawn at a size."""
    space = sampled_space(name)
    if not isinstance(space, DrawsAtSize) or not space.draws_at_size:
        raise MethodError(
            f"architectures of {name} cannot be drawn at a size; those of darts_cell, staged_cell, dense_cell and of "
            "chains can"
        )


@register(
    "random_sampling",
    special="architectures drawn uniformly, the best kept: the line every other method has to beat",
    paper="Li and Talwalkar, UAI 2019, arXiv 1902.07638",
    space="any",
)
class RandomSampling(SamplingSearch):
    """Uniform over a space's architectures; the search seed decides the whole sequence."""

    Options = RandomSamplingOptions
    anytime = True
    draws_at_size = True
    may_start_from = True

    def __init__(self, options: RandomSamplingOptions, context: SearchContext) -> None:
        self.samples = options.samples
        own = resting(sampled_space(options.space), context.start.found if context.start else ())
        self.space: Space | ListedSpace = context.within or own
        self.generator = torch.Generator().manual_seed(context.seed)
        self.history = History(self.name, context.seed)
        self.context = context
        if context.match is not None:
            refuse_no_size(options.space)

    def ask(self) -> Architecture:
        return self.history.add(self._draw())

    def _draw(self) -> Architecture:
        match, context = self.context.match, self.context
        if match is None:
            return self.space.sample(self.generator)
        assert isinstance(self.space, DrawsAtSize)
        settings = NetworkSettings(stem=context.stem, in_channels=context.in_channels)
        return self.space.sample_at_size(self.generator, match, context.num_classes, settings, context.image_size)

    def tell(self, architecture: Architecture, score: float) -> None:
        self.history.tell(architecture, score)

    def architecture(self) -> Architecture:
        """The sample with the best score; a single sample needs none.

        Raises:
            MethodError: nothing was asked for, or one of several samples has no score.
        """
        return self.history.best()
