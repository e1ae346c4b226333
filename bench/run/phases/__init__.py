"""The three phases of a run: search finds an architecture, transform makes a trained one smaller, train trains it."""

from bench.run.phases.search import run_search
from bench.run.phases.task import RunError, Task
from bench.run.phases.train import run_train
from bench.run.phases.transform import run_transform

__all__ = ["RunError", "Task", "run_search", "run_train", "run_transform"]
