"""Random sampling: architectures drawn uniformly from the cell space, the row every comparison needs.

Li and Talwalkar, UAI 2019 (arXiv 1902.07638) and Yu et al., ICLR 2020 (arXiv 1902.08142) show why.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from methods.architecture import Architecture
from methods.base import MethodError, SamplingSearch, SearchContext
from methods.domain import check, within
from methods.registry import register
from methods.spaces.cell.space import CellSpace


@dataclass(frozen=True)
class RandomSamplingOptions:
    """With more than one sample, the harness scores each and the best is kept."""

    samples: int = field(default=1, metadata=within("[1, 100000]"))

    def __post_init__(self) -> None:
        check(self)


@register(
    "random_sampling",
    special="cells drawn uniformly, no search: the line every other method has to beat",
    paper="Li and Talwalkar, UAI 2019, arXiv 1902.07638",
    space="darts_cell",
)
class RandomSampling(SamplingSearch):
    """Uniform over valid genotypes; the search seed decides the whole sequence."""

    Options = RandomSamplingOptions

    def __init__(self, options: RandomSamplingOptions, context: SearchContext) -> None:
        self.samples, self.seed = options.samples, context.seed
        self.generator = torch.Generator().manual_seed(context.seed)
        self.asked: list[Architecture] = []
        self.scores: dict[str, float] = {}

    def ask(self) -> Architecture:
        drawn = CellSpace().sample(self.generator)
        provenance = {"method": self.name, "seed": self.seed, "sample": len(self.asked)}
        self.asked.append(Architecture(drawn.space, drawn.genotype, provenance=provenance))
        return self.asked[-1]

    def tell(self, architecture: Architecture, score: float) -> None:
        self.scores[architecture.digest] = score

    def architecture(self) -> Architecture:
        """The sample with the best score; a single sample needs none.

        Raises:
            MethodError: nothing was asked for, or one of several samples has no score.
        """
        if not self.asked:
            raise MethodError("random_sampling has drawn no architecture yet; call ask() first")
        if len(self.asked) == 1:
            return self.asked[0]
        missing = sum(sample.digest not in self.scores for sample in self.asked)
        if missing:
            raise MethodError(f"{missing} of {len(self.asked)} samples have no score; tell() each before choosing")
        return max(self.asked, key=lambda sample: self.scores[sample.digest])
