"""The runs of a row that asks a question."""

from __future__ import annotations

from bench.data.graphs.settings import GraphTasks
from bench.plan.comparison import Comparison
from bench.plan.graph_comparison import compare_graphs
from bench.plan.image_comparison import compare_images
from bench.plan.planned import Plan


def compare(whole: Plan, label: str, asked: Comparison) -> None:
    """Add them: on graphs one for each setting, on images one for each training."""
    tasks = whole.experiment.dataset
    if isinstance(tasks, GraphTasks):
        compare_graphs(whole, label, asked, tasks)
    else:
        compare_images(whole, label, asked)
