"""What every input owes: an answer or one error, within five seconds of the processor, and no traceback."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

SECONDS = 5.0
"""Of this process, so that other work on the machine does not count; one that sleeps gets twelve times as much."""
FEW = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
MANY = settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))

JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([-1, 10**9, 2**63 - 1, 2**63, 10**30, 10**400, -(10**30)]),
    st.floats(width=64),
    st.sampled_from(
        ["", "x", "x" * 300, "1", "nan", "../up", "/etc/passwd", "\x1b[31m", "a\nb", "'\"[/red]", "$(true)", "é"]
    ),
    st.sampled_from([[], {}, [[]], [1, 2], [0.5, 0.25], {"a": {"b": 1}}]),
)
"""Values for a place that may well want another."""


@contextmanager
def at_once(seconds: float = SECONDS) -> Iterator[None]:
    """Fails, also in the middle of a loop that does not end, when what is inside takes too long."""

    def stop(number: int, frame: FrameType | None) -> None:
        pytest.fail(f"not finished after {seconds:g} s")

    before = [signal.signal(number, stop) for number in (signal.SIGPROF, signal.SIGALRM)]
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, 12 * seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in zip((signal.SIGPROF, signal.SIGALRM), before, strict=True):
            signal.signal(number, handler)


def is_one_error(text: str) -> bool:
    """What a person is told: something, short, printable but for line breaks, and no traceback."""
    shown = text.replace("\n", "")
    return bool(text.strip()) and len(text) < 3000 and "Traceback" not in text and shown.isprintable()
