"""Other people's cells as architectures: from the text in which they were published, without running it.

Each way of writing is a file with a `Format`; `FORMATS` lists them, and a new one adds a file and its line there.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from methods.architecture import ArchitectureError
from methods.importing import genotype, nasbench201, nni
from methods.importing.found import Choices, Format, Found, Imported, shorten

FORMATS: tuple[Format, ...] = (nni.FORMAT, genotype.FORMAT, nasbench201.FORMAT)
MOST_CHARACTERS = 8_000_000
MOST_LISTED = 40


@dataclass(frozen=True)
class Candidate:
    """An architecture in a text under a name that no other one there has."""

    name: str
    found: Found

    def read(self, source: str, choices: Choices) -> Imported:
        """The architecture; messages say where it stands: its name, the source, the line."""
        place = f"{source}, line {self.found.line}"
        return self.found.read(f"{self.name} ({place})" if self.found.name else place, choices)


def candidates(text: str, source: str) -> list[Candidate]:
    """Everything in a text that one of the formats recognises, in its order.

    Args:
        source: where the text is from, for messages.

    Raises:
        ArchitectureError: nothing there; or it is recognised and malformed.
    """
    if len(text) > MOST_CHARACTERS:
        raise ArchitectureError(f"{source}: {len(text):,} characters; no text of architectures is that long")
    for form in FORMATS:
        try:
            found = form.find(text)
        except ArchitectureError as error:
            raise ArchitectureError(f"{source}: {error}") from None
        if found:
            return _named(found)
    raise ArchitectureError(f"{source}: {_unknown(text)}")


def choose(among: Sequence[Candidate], name: str | None, source: str) -> Candidate:
    """One of several, by name; the only one whatever its name. Names that stand for one and the same thing count once.

    Raises:
        ArchitectureError: no name given and several there, or none of that name; the message lists them.
    """
    if len(among) == 1:
        return among[0]
    if name is None:
        if len({each.found.key for each in among}) == 1:
            return among[0]
        raise ArchitectureError(f"{source} has {len(among)} architectures; choose one with --name: {_list(among)}")
    for each in among:
        if each.name == name:
            return each
    near = difflib.get_close_matches(name, [each.name for each in among], n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ";"
    raise ArchitectureError(f"{source} has no architecture called '{shorten(name)}'{hint} there are {_list(among)}")


def _named(found: Sequence[Found]) -> list[Candidate]:
    """Each under its own name; the line goes with a name that stands there twice, or in place of none."""
    times = Counter(each.name for each in found)
    names: list[str] = []
    for each in found:
        label = each.name or "line"
        name = label if each.name and times[each.name] == 1 else f"{label}-{each.line}"
        while name in names[-50:]:
            name += "b"
        names.append(name)
    return [Candidate(name, each) for name, each in zip(names, found, strict=True)]


def _list(among: Sequence[Candidate]) -> str:
    shown = ", ".join(each.name for each in among[:MOST_LISTED])
    more = len(among) - MOST_LISTED
    return shown + (f" and {more} more, the last {among[-1].name}" if more > 0 else "")


def _unknown(text: str) -> str:
    """Why nothing was found, and what would be."""
    words = text.strip()
    if re.fullmatch(r"[\w.\-]+\.txt", words):
        return f"only names another file, {words}; import that one"
    if "Genotype" in words:
        return "no genotype is assigned at the top level of this Python text; paste the Genotype(...) itself"
    begins = f"it begins with `{shorten(words, 40)}`" if words else "it is empty"
    return f"no architecture in a known notation; {begins}. Known: " + "; ".join(form.name for form in FORMATS)


__all__ = ["FORMATS", "MOST_CHARACTERS", "Candidate", "Choices", "Imported", "candidates", "choose", "shorten"]
