"""Whether a row reproduces a published value: only where both were made alike, and from the numbers alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bench.plan.recipe import Recipe
from reports.distributions import t_above
from reports.references import Reference, search_options
from reports.rows import Row, mean_of_means
from reports.statistics import interval

PAPER = "paper"
REPRODUCED = "reproduced"
NOT_REPRODUCED = "not reproduced"
TOO_FEW = "undecided: too few seeds"
EPOCH_UNKNOWN = "undecided: last or best epoch not known"
INCOMPARABLE = "not comparable"

Nested = Mapping[int, Mapping[int, float]]


@dataclass(frozen=True)
class Verdict:
    """Whether a row reproduces a published value, and the numbers it follows from.

    Attributes:
        of: what of the row was compared where it is not the value of the table: "best search", "best epoch".
    """

    text: str
    reason: str = ""
    of: str = ""

    @property
    def comparable(self) -> bool:
        return not self.text.startswith(INCOMPARABLE)

    @property
    def shown(self) -> str:
        return f"{self.text} ({self.of})" if self.of else self.text


def judge(row: Row, reference: Reference | None) -> Verdict | None:
    """The verdict on a row. None without a published value to compare with or a result of our own.

    Reproduced: our value and the published one differ by no more than the margin, the two half-widths of their
    95 % intervals added in quadrature; or ours is better. Like is compared with like: a value published as the
    best of several searches with our best search, the best epoch with the best epoch. Where the kind of epoch is not
    known, only what holds for both kinds is said. The published half-width is Student's; without an n it is 1.96 std.
    """
    if reference is None or reference.value is None or not row.values:
        return None
    hindrance = _hindrance(row, reference)
    if hindrance is not None:
        return hindrance
    last, best = row.values, _best_epochs(row)
    if reference.epoch == "last":
        return _compare(row, reference, reference.value, last, "")
    if reference.epoch == "best":
        if best is None:
            return _not("best epoch", "ours was not evaluated after every epoch")
        return _compare(row, reference, reference.value, best, "best epoch")
    first = _compare(row, reference, reference.value, last, "")
    if first.text == REPRODUCED:
        return first  # the best epoch is no worse than the last
    second = _compare(row, reference, reference.value, best, "best epoch") if best is not None else None
    if second is not None and second.text == first.text:
        return first
    reason = f"by the last epoch {first.text}: {first.reason}"
    return Verdict(EPOCH_UNKNOWN, reason + (f"; by the best {second.text}: {second.reason}" if second else ""))


def _not(why: str, reason: str = "") -> Verdict:
    return Verdict(f"{INCOMPARABLE}: {why}", reason)


def _hindrance(row: Row, reference: Reference) -> Verdict | None:
    """Why a row was not made as the published value was, if it was not; the gravest first."""
    if row.setting.profile != PAPER:
        return _not("reduced schedule")
    if row.setting.recipe.endswith("*"):
        return _not("changed recipe", f"the recipe is {row.setting.recipe}")
    if row.inheritance != "scratch":
        return _not("not trained from scratch")
    recipe = reference.published_recipe
    if recipe is None:
        return _not("recipe not known", "the source read does not say how the value was trained")
    if recipe.hash != row.setting.recipe_hash:
        return _not("other recipe", _difference(row, recipe))
    for record in [*row.trains, *row.searches]:
        reduced = {key: value for key, value in (record.info.config.get("data") or {}).items() if value is not None}
        if reduced:
            return _not("reduced data", ", ".join(f"{key} {value}" for key, value in reduced.items()))
    for record in row.trains:
        size = record.info.config.get("network")
        if size and reference.network and f"{size.get('channels')}x{size.get('cells')}" != reference.network:
            return _not(
                "other network size", f"{size.get('channels')}x{size.get('cells')}, published {reference.network}"
            )
    options = search_options(row)
    other = [
        f"{key} {options[key]}, published {value}"
        for key, value in reference.search.items()
        if options.get(key, value) != value
    ]
    return _not("other search options", "; ".join(other)) if other else None


def _difference(row: Row, recipe: Recipe) -> str:
    """What tells our recipe from the published one, field by field where the records hold both."""
    ours = row.trains[0].info.config.get("recipe") or {}
    fields = [
        f"{key} {ours[key]}, published {getattr(recipe, key)}"
        for key in ours
        if key not in ("name", "source") and ours[key] != getattr(recipe, key, ours[key])
    ]
    names = f"{row.setting.recipe} ({row.setting.recipe_hash}), published {recipe.name} ({recipe.hash})"
    return "; ".join([names, *fields])


def _best_epochs(row: Row) -> Nested | None:
    """Of the best epoch of each training, if every training was evaluated after every epoch."""
    if any(record.info.config.get("evaluate_every", 1) != 1 for record in row.trains):
        return None
    found = row.best_epochs
    alike = {seed: set(values) for seed, values in found.items()} == {s: set(v) for s, v in row.values.items()}
    return found if alike else None


def _compare(row: Row, reference: Reference, published: float, found: Nested, epoch: str) -> Verdict:
    """Our value against the published one, both measured in the same way."""
    best, metric = reference.selection != "mean" and row.searched, row.setting.metric
    if best:
        found = {0: max(found.values(), key=lambda values: metric.score(float(np.mean(list(values.values())))))}
    units = [[value] for values in found.values() for value in values.values()]
    if row.searched and not best:
        units = [list(values.values()) for values in found.values()]
    ours, own = mean_of_means(found), interval(units)
    assert ours is not None
    of = ", ".join(part for part in ("best search" if best else "", epoch) if part)
    kind = "best search" if best else "mean over searches" if row.searched else "mean over retrainings"
    what, form = f"{kind}, {epoch or 'last epoch'},", f".{metric.digits}f"
    if own is None:
        return Verdict(TOO_FEW, f"{what} {ours:{form}}, published {published:{form}}, no interval", of)
    theirs = _published_half_width(reference)
    margin, gap = math.hypot(own.half_width, theirs), ours - published
    told = f"{published:{form}} ± {theirs:{form}}" if reference.std is not None else f"{published:{form}} (no spread)"
    reason = (
        f"{what} {ours:{form}} ± {own.half_width:{form}}, published {told}: gap {gap:+{form}}, margin {margin:{form}}"
    )
    worse, resolvable = metric.gain(published, ours), max(metric.differences)
    if worse > margin:
        return Verdict(NOT_REPRODUCED, reason, of)
    if worse > -margin and margin > resolvable:
        return Verdict(TOO_FEW, f"{reason}, wider than {resolvable}", of)
    return Verdict(REPRODUCED, reason, of)


def _published_half_width(reference: Reference) -> float:
    if reference.std is None:
        return 0.0
    n = reference.count
    if n is None or n < 2:
        return 1.96 * reference.std
    return float(t_above(0.025, n - 1)) * reference.std / math.sqrt(n)
