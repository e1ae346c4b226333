"""The runs of a controlled comparison on images: GraphGym's protocol for rows, recipes and sizes of networks.

A setting draws a row and the options of what is varied; within it the dimension takes all its options. Each training is
an ordinary one, with the seeds of the profile; its configuration names the question and the setting.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
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
    for setting in draw_settings(dimensions, seed):
        if setting.number == wanted:
            return
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
    """Initial channels that give the networks of a setting equally many parameters: the profile's for the first
    option, and for the others those that come nearest.

    Raises:
        ConfigError: the largest network is more than the tolerance larger than the smallest.
    """
    budget, found, widths = None, list[int](), list[int]()
    for chosen in each:
        experiment = _changed(whole, chosen, None)
        network = experiment.profile(whole.profile_name).network
        architecture = _given(experiment.rows[str(chosen[ROW])])
        sizes = {width: _params(architecture, network, width) for width in range(1, WIDEST)} if budget else {}
        if budget is None:
            budget = _params(architecture, network, network.channels)
            sizes = {network.channels: budget}
        goal = budget
        width = min(sizes, key=lambda width: abs(sizes[width] - goal))
        widths.append(width)
        found.append(sizes[width])
    tolerance = whole.profile.comparison.tolerance
    if max(found) > (1 + tolerance) * min(found):
        raise ConfigError(
            f"{whole.experiment.name}: with {asked.dimension} = {shown(list(asked.values))} the nearest sizes are "
            f"{found} parameters (channels {widths}), more than {tolerance:.0%} apart: a channel more is too much; "
            "raise network.channels of the profile"
        )
    return widths


def _params(architecture: Architecture, network: NetworkSize, channels: int) -> int:
    settings = NetworkSettings(**{**identity(network), "channels": channels})
    return get_space(architecture.space).counts(architecture, CLASSES, settings).params


def _given(row: Row) -> Architecture:
    if row.published is not None:
        return published(row.published)
    assert row.architecture is not None
    return Architecture.load(Path(row.architecture))
