"""Data sets and augmentations by name, for what only lists or checks them; `datasets` and `augment` do the work."""

import ast
from pathlib import Path

_FILES = sorted((Path(__file__).parent / "sets").glob("[a-z]*.py"))
_TREES = {path.stem: ast.parse(path.read_text()) for path in _FILES}
DATASETS = {name: (ast.get_docstring(tree) or "").partition("\n")[0] for name, tree in _TREES.items()}
"""What a list says of every data set: the first line of its file."""


def _task(tree: ast.Module) -> str:
    said = (node for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "TASK")
    return next((str(ast.literal_eval(node.value)) for node in said), "classification")


DATASET_TASKS = {name: _task(tree) for name, tree in _TREES.items()}
"""What every data set is for (`methods.tasks`): its file says `TASK = "..."` where that is not classification."""

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
PATCHES = tuple(f"patch-{side}-flip-rotate" for side in (32, 48, 64, 96, 128, 192, 256))
"""Of photographs: squares of so many pixels of high resolution."""
ALL_AUGMENTATIONS = (*AUGMENTATIONS, *PATCHES)
