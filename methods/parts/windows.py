"""Windows over the widths of a network at hand: {c - d, c, c + d} of each, and how they move.

A window that has its edge chosen is centred on that edge; one that has its middle chosen gets narrower. So a search
space grows and shrinks with what is found in it (Guo et al., arXiv 2103.16350, DNA: "elastic search space").
Reconstructed: the paper's own rules could not be read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from methods.form import MOST_CHANNELS
from methods.spaces.widths import Grid, Stage, Widths, inside_name, width_name


@dataclass(frozen=True)
class Window:
    """Attributes:
    centre: channels; 0 for a block that is not there.
    step: channels to either side, at least 1.
    before: what the centre was before the last move; 0 before the first.
    """

    centre: int
    step: int = 1
    before: int = 0

    @property
    def values(self) -> tuple[int, ...]:
        """Its options, ascending; none below one channel, and none above the most that there may be."""
        if not self.centre:
            return (0,)
        low, high = max(1, self.centre - self.step), min(MOST_CHANNELS, self.centre + self.step)
        return tuple(sorted({low, self.centre, high}))

    def moved(self, probabilities: Sequence[float], edge: float) -> Window:
        """Centred on an edge that has more than `edge` of the probability; half as wide where the middle has most, and
        where that edge is what it came from."""
        likely = max(range(len(self.values)), key=lambda option: probabilities[option])
        wanted, narrower = self.values[likely], max(1, self.step // 2)
        if wanted == self.centre:
            return replace(self, step=narrower)
        if probabilities[likely] <= edge:
            return self
        return Window(wanted, narrower if wanted == self.before else self.step, self.centre)


def around(channels: int, share: float) -> Window:
    """Of a width as it is; to either side that share of it, at least one channel."""
    return Window(channels, max(1, round(share * channels)))


@dataclass(frozen=True)
class Windows:
    """Of all widths of a network of a space of widths.

    Attributes:
        streams: by stage.
        inside: by stage and block.
        resolution: which is not chosen.
    """

    streams: tuple[Window, ...]
    inside: tuple[tuple[Window, ...], ...]
    resolution: int

    @classmethod
    def of(cls, widths: Widths, share: float) -> Windows:
        """Around a network's widths."""
        inside = tuple(tuple(around(each, share) for each in stage.inside) for stage in widths.stages)
        return cls(tuple(around(stage.width, share) for stage in widths.stages), inside, widths.resolution)

    def by_name(self) -> dict[str, Window]:
        """Of every width that is there, by the name of its choice."""
        found = {}
        for stage, (stream, blocks) in enumerate(zip(self.streams, self.inside, strict=True)):
            found[width_name(stage)] = stream
            found |= {inside_name(stage, n): block for n, block in enumerate(blocks) if block.centre}
        return found

    def changed(self, change: Callable[[str, Window], Window]) -> Windows:
        """Each that is there changed by its name."""

        def inside(stage: int, block: int, window: Window) -> Window:
            return change(inside_name(stage, block), window) if window.centre else window

        return replace(
            self,
            streams=tuple(change(width_name(stage), window) for stage, window in enumerate(self.streams)),
            inside=tuple(
                tuple(inside(stage, n, window) for n, window in enumerate(blocks))
                for stage, blocks in enumerate(self.inside)
            ),
        )

    def deepened(self, stage: int, block: Window, most: int) -> tuple[Windows, int] | None:
        """With another block in a stage, at its first empty place or behind all others, and where; None when full."""
        places = list(self.inside[stage])
        empty = next((n for n, window in enumerate(places) if not window.centre), len(places))
        if empty == most:
            return None
        places[empty : empty + 1] = [block]
        inside = (*self.inside[:stage], tuple(places), *self.inside[stage + 1 :])
        return replace(self, inside=inside), empty

    def grid(self, removable: Callable[[int, int], bool]) -> Grid:
        """What is chosen among; a removable block may not be there."""
        inside = tuple(
            tuple(
                (0, *window.values) if window.centre and removable(stage, n) else window.values
                for n, window in enumerate(blocks)
            )
            for stage, blocks in enumerate(self.inside)
        )
        return Grid(tuple(window.values for window in self.streams), inside, (self.resolution,))

    def picked(self, values: Mapping[str, int]) -> Widths:
        """The widths with these channels, by the names of choices; those not named are as in the middle."""
        stages = []
        for stage, (stream, blocks) in enumerate(zip(self.streams, self.inside, strict=True)):
            inside = tuple(values.get(inside_name(stage, n), window.centre) for n, window in enumerate(blocks))
            stages.append(Stage(values.get(width_name(stage), stream.centre), inside))
        return Widths(tuple(stages), self.resolution)

    def to_state(self) -> dict[str, Any]:
        def pairs(windows: Sequence[Window]) -> list[list[int]]:
            return [[window.centre, window.step, window.before] for window in windows]

        return {"streams": pairs(self.streams), "inside": list(map(pairs, self.inside)), "resolution": self.resolution}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Windows:
        def windows(pairs: Sequence[Sequence[int]]) -> tuple[Window, ...]:
            return tuple(Window(*pair) for pair in pairs)

        return cls(windows(state["streams"]), tuple(map(windows, state["inside"])), state["resolution"])
