"""The inherit phase: networks on a search's weights as they are, statistics taken anew, the test set opened once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bench.config import restore
from bench.data.images import LabelledImages
from bench.data.search_protocol import search_protocol
from bench.data.splits import FinalEvaluation, search_data
from bench.records.directory import Record, save_architecture
from bench.records.inputs import found_family, verified_file
from bench.records.weights import WEIGHTS_NAME, load_weights, save_weights
from bench.run.cost import network_costs
from bench.run.phases.context import RunContext, RunError
from bench.run.phases.train import chosen_member, cost_of_needs
from bench.run.shared_weights import inherited_network
from bench.run.train import evaluate
from methods.architecture import Architecture
from methods.base import SharedWeights
from methods.registry import get_method
from methods.tasks import Task


def run_inherit(run: RunContext) -> dict[str, Any]:
    """Evaluate one selected network of a search's set, or all of its family; nothing is trained.

    The first of them, the most expensive one, is the run's own: its weights, architecture and metrics.
    """
    began = time.monotonic()
    source = run.needed(run.config["architecture"]["run"])
    method = trained(run, source)
    members = wanted(run, source)
    train = search_train(run, source, method)
    test = FinalEvaluation(run.data, run.info.phase, run.config["data"]["test_images"]).open_test()
    run.note_data("test", test)
    lines, images = [], 0
    for number, member in enumerate(members):
        network, seen = inherited_network(run, method, member, train)
        found = evaluate(network, run.evaluation(test), run.engine, "", run.task)
        images += seen + len(test)
        counts = network_costs(network, member.masks, run.image_shape, run.engine)
        lines.append({"architecture": member.digest, **_metrics(run.task, found), **counts})
        if number == 0:
            save_architecture(member, run.directory.path)
            save_weights(network.state_dict(), run.directory.path / WEIGHTS_NAME)
    seconds = time.monotonic() - began
    metrics, costs = _parted(lines[0])
    spent = {"peak_memory": run.engine.peak_memory(), "wall_s": seconds, "device_s": seconds, "images": images}
    return {
        "metrics": metrics,
        "network": {"image_shape": list(run.image_shape), "classes": run.data.info.outputs},
        "members": lines,
        "costs": costs | spent | cost_of_needs(run),
        "architecture": members[0].digest,
        "epochs": 0,
        "report": {},
    }


def trained(run: RunContext, source: Record) -> SharedWeights:
    """The method as its search left it: the weights, not what a further step would need.

    Raises:
        RunError: the search has no weights that networks share.
    """
    cls = get_method(source.info.method)
    context = replace(run.search_context(), stem=source.info.config.get("stem", "cifar"))
    method = cls(restore(cls.Options, source.info.config["options"], "options"), context)  # type: ignore[call-arg]
    if not isinstance(method, SharedWeights):
        raise RunError(f"{source.info.name} has no set of networks on one set of weights to evaluate")
    load_weights(method.supernet, verified_file(source, WEIGHTS_NAME))
    return method


def wanted(run: RunContext, source: Record) -> Sequence[Architecture]:
    """The member that is selected, or the whole family."""
    select = run.config["architecture"]["select"]
    return found_family(source) if select is None else [chosen_member(run, source, select, {})[0]]


def search_train(run: RunContext, source: Record, method: SharedWeights) -> LabelledImages:
    """The images that the search trained on, which its scores are of, too."""
    config, seed = source.info.config, run.seed("search", source.info.search_seed)
    parts = search_data(run.data, method.split, seed, config["data"]["train_images"], search_protocol(config))
    return parts.train


def _metrics(task: Task, found: dict[str, float]) -> dict[str, float]:
    value = found[task.metric.key]
    headline = {f"test_{task.metric.key}": value, f"test_{task.headline.key}": task.headline_of(value)}
    return {**headline, "test_loss": found["loss"]}


def _parted(line: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The metrics and the costs of a member."""
    metrics = {name: value for name, value in line.items() if name.startswith("test_")}
    return metrics, {name: value for name, value in line.items() if name not in metrics and name != "architecture"}
