"""The three phases of a run: search finds an architecture, transform makes a trained one smaller, train trains it."""

from bench.phases.search import run_search
from bench.phases.task import RunError, Task
from bench.phases.train import run_train
from bench.phases.transform import run_transform

__all__ = ["RunError", "Task", "run_search", "run_train", "run_transform"]
