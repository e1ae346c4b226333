"""Domains of options: what is in, what is out, and what the message says."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from methods.base import MethodError
from methods.domain import KEY, check, matching, shown, within
from methods.registry import all_methods


@dataclass(frozen=True)
class Options:
    epochs: int = field(default=1, metadata=within("[1, 100]"))
    rate: float = field(default=0.5, metadata=within("[0, 1)"))
    betas: tuple[float, float] = field(default=(0.5, 0.9), metadata=within("(0, 1)"))
    sizes: tuple[int, ...] | None = field(default=None, metadata=within("[1, inf)"))
    shares: dict[str, float] = field(default_factory=dict, metadata=within("(0, 1]"))
    name: str = field(default="a", metadata=matching("[a-z]+", "small letters"))
    kind: Literal["soft", 3] = "soft"
    free: float = 0.0
    flag: bool = False

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class Child(Options):
    rate: float = 0.25


@pytest.mark.parametrize(
    ("cls", "given", "message"),
    [
        (Options, {"epochs": 0}, r"epochs is 0; it must be a whole number in \[1, 100\]"),
        (Options, {"epochs": True}, "epochs is True; it must be a whole number"),
        (Options, {"epochs": 1.0}, "epochs is 1.0"),
        (Options, {"rate": 1}, r"rate is 1; it must be a number in \[0, 1\)"),
        (Options, {"rate": math.nan}, "rate is nan"),
        (Options, {"rate": "fast"}, "rate is 'fast'"),
        (Options, {"betas": (0.5,)}, "a list of 2, each a number strictly between 0 and 1"),
        (Options, {"betas": (0.5, 1.0)}, "betas is"),
        (Options, {"sizes": (1, 0)}, "each a whole number, at least 1 or none"),
        (Options, {"shares": {"a": 2.0}}, "a mapping, each value a number"),
        (Options, {"name": "A"}, "name is 'A'; it must be small letters"),
        (Options, {"kind": 3.0}, "one of 'soft', 3"),
        (Options, {"free": math.inf}, "free is inf; it must be a number"),
        (Options, {"flag": 1}, "flag is 1; it must be true or false"),
        (Options, {"epochs": 10**5000}, "epochs is a whole number of 16610 bits"),
        (Child, {"rate": -0.1}, r"rate is -0.1; it must be a number in \[0, 1\)"),
    ],
)
def test_what_is_outside_is_named_with_its_domain(cls: Any, given: dict[str, Any], message: str) -> None:
    with pytest.raises(MethodError, match=message):
        cls(**given)


def test_what_is_inside_passes() -> None:
    Options(100, 0, (0.1, 0.9), (1, 10**30), {"a": 1}, "abc", 3, -1e300, True)
    Child(rate=0.0)


@given(st.floats(allow_nan=True), st.floats(-10, 10), st.floats(-10, 10), st.booleans(), st.booleans())
def test_an_interval_is_what_its_bounds_say(x: float, low: float, high: float, has_low: bool, has_high: bool) -> None:
    domain = within(f"{'[' if has_low else '('}{low!r}, {high!r}{']' if has_high else ')'}")[KEY]
    inside = math.isfinite(x) and (low <= x if has_low else low < x) and (x <= high if has_high else x < high)
    assert (x in domain) == inside


def test_an_interval_that_is_none() -> None:
    with pytest.raises(ValueError, match="is not an interval"):
        within("0 to 1")


def test_long_values_are_cut() -> None:
    assert len(shown("x" * 10_000)) < 100
    assert shown([[10**5000]]) == "list that cannot be shown"


@pytest.mark.parametrize("name", list(all_methods()))
def test_every_number_among_a_methods_options_has_a_domain(name: str) -> None:
    """A learning rate of -1 or NaN, or of a million epochs, is refused by every method."""
    options = all_methods()[name].Options
    for key, value in vars(options()).items():
        for wrong in (-1, math.nan) if isinstance(value, int | float) and not isinstance(value, bool) else ():
            with pytest.raises(MethodError, match=f"{key} is {wrong}; it must be "):
                options(**{key: wrong})
