"""Data sets and augmentations by name, for what only lists or checks them; `datasets` and `augment` do the work."""

import ast
from pathlib import Path

_FILES = sorted((Path(__file__).parent / "sets").glob("[a-z]*.py"))
DATASETS = {path.stem: (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")[0] for path in _FILES}
"""What a list says of every data set: the first line of its file."""

AUGMENTATIONS = (
    "none",
    "crop",
    "crop-flip",
    "crop-flip-cutout",
    "crop-flip-autoaugment",
    "crop-flip-autoaugment-cutout",
    "crop-flip-autoaugment-pil",
    "crop-flip-autoaugment-pil-cutout",
    "resized-crop-flip",
    "resized-crop-flip-jitter",
)
