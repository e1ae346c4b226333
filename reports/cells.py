"""Texts of people in files of other programs: as written, and nothing that the program would run."""

from __future__ import annotations


def csv_cell(value: object) -> object:
    """A cell that a spreadsheet shows as it is: a text that it would run as a formula has a quote before it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


MARKDOWN = {character: f"\\{character}" for character in "\\`*[]|~!#"} | {"<": "&lt;", ">": "&gt;", "&": "&amp;"}


def markdown(text: str) -> str:
    """Escaped for Markdown: no HTML, no link, no emphasis comes of a name."""
    return "".join(MARKDOWN.get(character, character) for character in text)


LATEX_SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$",
}  # fmt: skip


def latex(text: str) -> str:
    """Escaped for LaTeX."""
    return "".join(LATEX_SPECIAL.get(character, character) for character in text)
