"""One seal over everything that was measured on test images: the images themselves and the test values of a table.

While a search runs, the code that runs it holds the seal of this process. Whoever then asks for test images
(`bench.data.splits.FinalEvaluation`) or for a test value of a table of trained networks (`bench.data.tables`) gets a
`SealedTestSetError`, whichever way they came: through what a method was handed, or by importing the module themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_holders: list[str] = []


class SealedTestSetError(RuntimeError):
    """Something other than a final evaluation asked for what was measured on the test set."""


@contextmanager
def sealed(holder: str) -> Iterator[None]:
    """Seal the test images and test values of this process, all its threads included, until the block ends.

    Seals nest: the last to be opened again opens. A process forked inside of the block inherits the seal.

    Args:
        holder: who holds it, for the message, e.g. "the search of regularized_evolution".
    """
    _holders.append(holder)
    try:
        yield
    finally:
        _holders.remove(holder)


def refuse_while_sealed(wanted: str) -> None:
    """Does nothing where nobody searches.

    Args:
        wanted: what was asked for, for the message.

    Raises:
        SealedTestSetError: a search runs in this process.
    """
    if _holders:
        raise SealedTestSetError(
            f"{wanted} was asked for during {_holders[-1]}: test images and test values open for the final evaluation "
            "only; a search chooses by validation"
        )
