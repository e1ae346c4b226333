"""The runs of a controlled comparison on images: GraphGym's protocol for rows, recipes and sizes of networks.

A setting draws a row and the options of what is varied; within it the dimension takes all its options. Each training is
an ordinary one, with the seeds of the profile; its configuration names the question and the setting.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from bench.config import ConfigError, identity
from bench.plan.comparison import ROW, Comparison, draw_settings
from bench.plan.planned import Plan
from bench.plan.schema import Experiment, NetworkSize, Row
from bench.records.soundness import signature
from methods.architecture import Architecture, canonical_json
from methods.domain import shown
from methods.genotypes import published
from methods.spaces import NetworkSettings, get_space

WIDEST = 512
CLASSES = 10
"""Of the networks whose sizes are compared; the classifier is the same in all."""


def compare_images(whole: Plan, label: str, asked: Comparison) -> None:
    """Add a row's runs: of each setting, a training for each option and pair of seeds, and the searches they need.

    Raises:
        ConfigError: no widths give the networks of a setting one size, or there are too few settings.
    """
    wanted = asked.settings or whole.profile.comparison.settings
    dimensions = dict(asked.vary) if asked.dimension == ROW else {ROW: asked.rows, **asked.vary}
    source = canonical_json({"row": label, "of": asked.dimension})
    seed = int.from_bytes(hashlib.sha256(source.encode()).digest()[:8], "big")
    for setting in islice(draw_settings(dimensions, seed), wanted):
        each = [{**setting.chosen, asked.dimension: value} for value in asked.values]
        channels = _channels(whole, asked, each) if asked.match_params else [None] * len(each)
        for value, chosen, width in zip(asked.values, each, channels, strict=True):
            question = {"dimension": asked.dimension, "value": value, "setting": dict(setting.chosen)}
            _add(whole, label, chosen, width, question)


def _add(whole: Plan, label: str, chosen: Mapping[str, Any], channels: int | None, question: dict[str, Any]) -> None:
    """The trainings of one option; what they need of searches is shared with all that need the same."""
    row = str(chosen[ROW])
    at = Plan(_changed(whole, chosen, channels), whole.profile_name, whole.memory, whole.transferred)
    profile = at.profile
    searched = at.experiment.rows[row].method is not None
    for retrain_seed in profile.retrain_seeds if searched else profile.given_seeds or profile.retrain_seeds:
        for search_seed in profile.search_seeds if searched else (None,):
            training = at.dense(row, (search_seed, retrain_seed))
            for name in training.needs:
                whole.runs.setdefault(name, at.runs[name])
            config = {**training.config, "question": question}
            own = replace(training, label=label, config=config, signature=signature(config), note="")
            whole.runs.setdefault(own.signature, own)


def _changed(whole: Plan, chosen: Mapping[str, Any], channels: int | None) -> Experiment:
    """The experiment with the profile, and the row's options, that a setting and an option say."""
    profile, row = whole.profile, str(chosen[ROW])
    by_room: dict[str, dict[str, Any]] = {"recipe": {}, "network": {}, "options": {}}
    for name, value in chosen.items():
        room, _, name_there = name.partition(".")
        if name != ROW:
            by_room[room][name_there] = value
    if channels is not None:
        by_room["network"]["channels"] = channels
    rows = whole.experiment.rows
    if by_room["options"]:
        rows = {**rows, row: replace(rows[row], options={**rows[row].options, **by_room["options"]})}
    changed = replace(
        profile,
        recipe_changes={**profile.recipe_changes, **by_room["recipe"]},
        network=replace(profile.network, **by_room["network"]),
    )
    return replace(whole.experiment, rows=rows, profiles={**whole.experiment.profiles, whole.profile_name: changed})


def _channels(whole: Plan, asked: Comparison, each: list[dict[str, Any]]) -> list[int]:
    """Initial channels that give the networks of a setting equally many parameters.

    The budget is the size of the first option at the profile's channels; of the sizes that the options can have within
    half of it, the nearest one is taken at which all others match, as on graphs.

    Raises:
        ConfigError: there is none.
    """
    sizes: list[dict[int, int]] = []
    budget = 0
    for chosen in each:
        experiment = _changed(whole, chosen, None)
        network = experiment.profile(whole.profile_name).network
        architecture = _given(experiment.rows[str(chosen[ROW])])
        budget = budget or _params(architecture, network, network.channels)
        sizes.append(_near(architecture, network, budget))
    tolerance = whole.profile.comparison.tolerance
    for goal in sorted({budget, *(size for of in sizes for size in of.values())}, key=lambda size: abs(size - budget)):
        widths = [min(of, key=lambda width, of=of: abs(of[width] - goal), default=0) for of in sizes]  # type: ignore[misc]
        found = [of.get(width, 0) for of, width in zip(sizes, widths, strict=True)]
        if max(found) <= (1 + tolerance) * min(found):
            return widths
    raise ConfigError(
        f"{whole.experiment.name}: with {asked.dimension} = {shown(list(asked.values))} no channels give networks of "
        f"equal sizes to {tolerance:.0%} near {budget:,} parameters: a channel more is too much; raise "
        "network.channels of the profile"
    )


def _near(architecture: Architecture, network: NetworkSize, budget: int) -> dict[int, int]:
    """By the channels, the sizes within half of a budget."""
    found: dict[int, int] = {}
    for width in range(1, WIDEST):
        size = _params(architecture, network, width)
        if size > 1.5 * budget:
            break
        found |= {width: size} if size >= budget / 2 else {}
    return found


def _params(architecture: Architecture, network: NetworkSize, channels: int) -> int:
    settings = NetworkSettings(**{**identity(network), "channels": channels})
    return get_space(architecture.space).counts(architecture, CLASSES, settings).params


def _given(row: Row) -> Architecture:
    if row.published is not None:
        return published(row.published)
    assert row.architecture is not None
    return Architecture.load(Path(row.architecture))
