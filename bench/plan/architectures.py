"""Architectures from what a person gives: a published name, a file, a run's directory, or text of other people."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from methods.architecture import JSON_NAME, Architecture, ArchitectureError
from methods.genotypes import published, published_names
from methods.importing import MOST_CHARACTERS, Candidate, Choices, Imported, candidates, choose, shorten
from methods.spaces import get_space

STANDARD_INPUT = "-"
FOLDER_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
NOTATION = re.compile(r"[({|\n]")
"""A character that other people's text has and that no name or path of an architecture needs."""

OWN_KEY = re.compile(r'"(?:space|genotype)"\s*:')
"""What no JSON of other people's cells has."""
MOST_NAMED = 24
"""Published architectures that a message lists."""


@dataclass(frozen=True)
class Source:
    """Text of other people, what it is called in messages, and a name for what has none in it."""

    text: str
    where: str
    stem: str | None = None


def read_source(given: str) -> Source:
    """The text of a file, of standard input (`-`), or what was given itself, if it is no file but looks like text.

    Raises:
        ArchitectureError: nothing to read there, no text, or an architecture of this project already.
    """
    if given == STANDARD_INPUT:
        return Source(_decode(sys.stdin.buffer.read(MOST_CHARACTERS + 1), "standard input"), "standard input")
    if not given.strip():
        raise ArchitectureError("no text given; give a file, - for standard input, or the text itself")
    path = _existing(given)
    if path is None:
        if NOTATION.search(given):
            return Source(given, "the text given")
        raise ArchitectureError(f"no file {shorten(given)}; give a file, - for standard input, or the text itself")
    if path.is_dir():
        own = path / JSON_NAME
        raise ArchitectureError(_already(own) if own.is_file() else f"{path} is a folder; give the file with the text")
    try:
        with open(path, "rb") as file:
            text = _decode(file.read(MOST_CHARACTERS + 1), str(path))
    except OSError as error:
        raise ArchitectureError(f"cannot read {path}: {error.strerror}") from None
    if is_own(text):
        raise ArchitectureError(_already(path))
    return Source(text, path.name, path.stem)


def load_valid(path: Path) -> Architecture:
    """An architecture from its folder or file that its space can make sense of.

    Raises:
        ArchitectureError: as `Architecture.load`, or it is no network of its space; with the file.
    """
    architecture = Architecture.load(path)
    try:
        get_space(architecture.space).validate(architecture)
    except ArchitectureError as error:
        raise ArchitectureError(f"{path}: {error}") from None
    return architecture


def find_architecture(given: str) -> tuple[str, Architecture, tuple[str, ...]]:
    """What `dasbench show` was asked for: its name, the architecture, and notes on how it was read.

    Args:
        given: a published name, an architecture's file or folder, a run's directory, or other people's text (itself or
            its file).

    Raises:
        ArchitectureError: there is nothing of that name (the message names the nearest), or it cannot be read.
    """
    if given in published_names():
        return given, published(given), ()
    path = _existing(given)
    if path is None and not NOTATION.search(given):
        names = published_names()
        near = difflib.get_close_matches(given, names, n=len(names), cutoff=0.3)
        listed = [*near, *(name for name in names if name not in near)]
        more = (
            f", and {len(listed) - MOST_NAMED} more (dasbench list architectures)" if len(listed) > MOST_NAMED else ""
        )
        raise ArchitectureError(
            f"nothing called '{shorten(given)}'"
            + (f"; did you mean '{near[0]}'?" if near else ";")
            + f" Published: {', '.join(listed[:MOST_NAMED])}{more}; or give a file, a run's directory, or the text of "
            "a genotype"
        )
    if path is not None and (path.is_dir() or (path.is_file() and is_own_file(path))):
        return given, load_valid(path), ()
    source = read_source(given)
    chosen = choose(candidates(source.text, source.where), None, source.where)
    imported = chosen.read(source.where, Choices())
    return _label(chosen, source) or "cell", imported.architecture, imported.notes


def import_text(source: Source, name: str | None, choices: Choices) -> tuple[str, Imported]:
    """One architecture of a text, and the name it is to have.

    Args:
        name: which of several; or what to call the only one.

    Raises:
        ArchitectureError: it is malformed, or `name` does not choose one.
    """
    chosen = choose(candidates(source.text, source.where), name, source.where)
    label, imported = name or _label(chosen, source), chosen.read(source.where, choices)
    if chosen.found.name is not None and label not in (chosen.found.name, chosen.name):
        imported = replace(imported, notes=(f"called {shorten(chosen.found.name)} in the text", *imported.notes))
    return _checked(label or f"cell-{imported.architecture.digest[:8]}"), imported


def import_all(source: Source, choices: Choices) -> Iterator[tuple[str, Imported | ArchitectureError]]:
    """Every architecture of a text by its name, or what is wrong with it."""
    for each in candidates(source.text, source.where):
        try:
            yield _checked(each.name), each.read(source.where, choices)
        except ArchitectureError as error:
            yield each.name, error


def keep(architecture: Architecture, folder: Path) -> tuple[Path, bool]:
    """Save an architecture in a folder of its own; gives the file, and whether it is new.

    Raises:
        ArchitectureError: another one is there already, or the folder cannot be written.
    """
    path = folder / JSON_NAME
    try:
        if path.exists():
            if Architecture.load(folder) == architecture:
                return path, False
            raise ArchitectureError(f"{path} holds another architecture; choose another --out, or remove it")
        return architecture.save(folder), True
    except OSError as error:
        raise ArchitectureError(f"cannot write {path}: {error.strerror}; choose another --out") from None


def is_own_file(path: Path) -> bool:
    """Whether a file holds an architecture as this project writes it, be it damaged.

    Raises:
        ArchitectureError: it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return is_own(file.read(MOST_CHARACTERS).decode(errors="replace"))
    except OSError as error:
        raise ArchitectureError(f"cannot read {path}: {error.strerror}") from None


def is_own(text: str) -> bool:
    """Whether a text is an architecture as this project writes it, be it damaged."""
    return text.lstrip().startswith("{") and OWN_KEY.search(text) is not None


def _label(chosen: Candidate, source: Source) -> str | None:
    return chosen.name if chosen.found.name is not None else source.stem


def _checked(name: str) -> str:
    if not FOLDER_NAME.fullmatch(name):
        raise ArchitectureError(
            f"'{shorten(name)}' cannot name a folder; --name takes letters, digits, '.', '_' and '-', at most 100"
        )
    return name


def _already(path: Path) -> str:
    return f"{path} is an architecture already; look at it with: dasbench show {path}"


def _existing(given: str) -> Path | None:
    """The path given, if there is something; text that cannot be a path is none."""
    try:
        path = Path(given).expanduser()
        return path if given and path.exists() else None
    except (OSError, ValueError, RuntimeError):
        return None


def _decode(content: bytes, where: str) -> str:
    if b"\0" not in content:
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError:
            pass
    raise ArchitectureError(f"{where} is not text; weight masks are given with --masks, beside their genotype")
