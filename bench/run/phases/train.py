"""The train phase: an architecture through the common trainer, the test set opened, the network counted."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from bench.config import restore
from bench.data.images import LabelledImages
from bench.data.splits import FinalEvaluation, train_data
from bench.plan.recipe import Recipe
from bench.records.directory import Record, save_architecture
from bench.records.inputs import found_architecture, found_family, verified_file
from bench.records.run_info import built_on
from bench.records.weights import WEIGHTS_NAME, load_weights, save_weights
from bench.run import cost
from bench.run.phases.context import RunContext, RunError, settings_for
from bench.run.train import evaluate, train
from bench.seeds import derive, seed_everything
from methods.architecture import Architecture
from methods.base import Transform
from methods.genotypes import published
from methods.registry import get_method
from methods.spaces import NetworkSettings, build
from methods.tasks import Task


def run_train(run: RunContext) -> dict[str, Any]:
    """Train the architecture with the recipe, evaluate on the test set, count, write weights and result."""
    config = run.config
    recipe = restore(Recipe, config["recipe"], "recipe")
    architecture, report = chosen_architecture(run, config["architecture"])
    if run.engine.group.rank == 0:
        save_architecture(architecture, run.directory.path)
    seed = run.seed("retrain", run.info.retrain_seed)
    seed_everything(derive(seed=seed, use="weights"))
    network = build(architecture, run.data.info.outputs, settings_for(run, recipe))
    if config["inheritance"] == "finetune":
        load_weights(network, verified_file(run.needed(config["architecture"]["run"]), WEIGHTS_NAME))
    images = train_data(run.data, config["data"]["train_images"])
    batches = run.batches(images, recipe.batch_size, recipe.augmentation, seed)
    test = FinalEvaluation(run.data, run.info.phase, config["data"]["test_images"]).open_test()
    run.note_data("test", test)
    values, loop = train(
        network,
        recipe,
        batches,
        run.evaluation(test),
        run.engine,
        partial(run.make_loop, seed),
        num_classes=run.data.info.outputs,
        masks=architecture.masks,
        penalty=make_penalty(run),
        evaluate_every=config["evaluate_every"],
        task=run.task,
    )
    if run.engine.group.rank:
        return {}  # the first process writes
    save_weights(network.state_dict(), run.directory.path / WEIGHTS_NAME)
    costs = cost.network_costs(network, architecture.masks, run.image_shape, run.engine)
    costs |= {
        "peak_memory": loop.peak_memory,
        "wall_s": loop.wall_seconds,
        "device_s": loop.device_seconds,
        "images": loop.images,
        **cost_of_needs(run),
    }
    return {
        "metrics": final_metrics(run.task, values, loop.epoch_values) | baseline_metrics(run, test),
        "network": {"image_shape": list(run.image_shape), "classes": run.data.info.outputs},
        "costs": costs,
        "architecture": architecture.digest,
        "epochs": loop.epoch,
        "report": report,
    }


def chosen_architecture(run: RunContext, wanted: dict[str, Any]) -> tuple[Architecture, dict[str, Any]]:
    """The architecture that a configuration names, and what the run that made it reported.

    Raises:
        RunError: a published or given architecture is no longer the one that was planned.
    """
    if "run" not in wanted:
        return _given_architecture(run, wanted), {}
    source = run.needed(wanted["run"])
    assert source.result is not None
    report = dict(source.result.get("report", {}))
    select = wanted["select"]
    there = source.result.get("family") if select else source.result["architecture"]
    if wanted.get("found", there) != there:
        raise RunError(f"{source.info.name} holds another architecture than was planned with; run the experiment again")
    if select is None:
        return found_architecture(source), report
    return chosen_member(run, source, select, report)


def _given_architecture(run: RunContext, wanted: dict[str, Any]) -> Architecture:
    """A published architecture, or the run's own copy of a file (runs planned by earlier versions name the file)."""
    if "published" in wanted:
        architecture, where = published(wanted["published"]), wanted["published"]
    else:
        where = Path(wanted["file"]) if "file" in wanted else run.directory.given
        architecture = Architecture.load(where)
    if architecture.digest != wanted["digest"]:
        raise RunError(
            f"architecture {where} has changed since this run was planned: it has digest {architecture.digest}, the "
            f"plan {wanted['digest']}. Run the experiment again; what changed is a new run"
        )
    return architecture


def chosen_member(
    run: RunContext, source: Record, select: dict[str, Any], report: dict[str, Any]
) -> tuple[Architecture, dict[str, Any]]:
    """The member of a search's family that a row asks for; see `bench.plan.experiment.Selection`.

    Raises:
        RunError: the search gave no family, or none of it is small enough.
    """
    on, at_most, share = select["on"], select["at_most"], select.get("share")
    settings = NetworkSettings(**run.config["network"], in_channels=run.image_shape[0])
    counted = []
    for member in found_family(source):
        network = build(member, run.data.info.outputs, settings)
        counts = {
            "params": cost.count_params(network),
            "params_nonzero": cost.count_nonzero(network, member.masks),
            "macs": cost.count_macs(network, run.image_shape),
        }
        counted.append((counts[on], member))
    if not counted:
        raise RunError(f"{source.info.name} gives one architecture and no family to select from; remove 'select'")
    if share is not None:
        of_all = (source.result or {}).get("largest", {}).get(on.removesuffix("_nonzero"))
        at_most = share * (of_all or max(size for size, _ in counted))
    fitting = [pair for pair in counted if at_most is None or pair[0] <= at_most]
    if not fitting:
        sizes = sorted(size for size, _ in counted)
        raise RunError(f"no architecture of {source.info.name} has {on} <= {at_most}; it has {sizes}")
    size, member = (min if select["smallest"] else max)(fitting, key=lambda pair: pair[0])
    return member, {**report, "selected": {**select, "value": size, "of": len(counted)}}


def make_penalty(run: RunContext) -> Any:
    """The extra loss of a dense training that a later transform asks for (network slimming), or None."""
    wanted = run.config["penalty"]
    if wanted is None:
        return None
    cls = get_method(wanted["method"])
    method = cls(restore(cls.Options, wanted["options"], "options"), run.search_context())  # type: ignore[call-arg]
    assert isinstance(method, Transform)
    return method.training_penalty


def final_metrics(task: Task, values: dict[str, float], epochs: list[dict[str, Any]]) -> dict[str, Any]:
    """The headline is the last epoch; the best epoch stands beside it and chooses nothing.

    Args:
        values: of the last epoch.
        epochs: the values of every epoch.
    """
    metric, last = task.metric, values[f"test/{task.metric.key}"]
    measured = {epoch: values.get(f"test/{metric.key}") for epoch, values in enumerate(epochs)}
    evaluated = {epoch: value for epoch, value in measured.items() if value is not None}
    best = max(evaluated, key=lambda epoch: metric.score(evaluated[epoch]))
    return {
        f"test_{metric.key}": last,
        f"test_{task.headline.key}": task.headline_of(last),
        **{f"test_{other.key}": values[f"test/{other.key}"] for other in task.others},
        "test_loss": values["test/loss"],
        f"best_test_{metric.key}": evaluated[best],
        "best_epoch": best,
        "train_loss": values["train/loss"],
        f"train_{metric.key}": values["train/" + metric.key],
    }


def baseline_metrics(run: RunContext, test: LabelledImages) -> dict[str, float]:
    """What the untrained line to beat does on the same test images; nothing where the task has none."""
    found = run.task.baseline()
    if found is None:
        return {}
    values = evaluate(found, run.evaluation(test), run.engine, "", run.task)
    return {f"baseline_{metric.key}": values[metric.key] for metric in (run.task.metric, *run.task.others)}


def cost_of_needs(run: RunContext) -> dict[str, Any]:
    """Device seconds and peak memory of all runs this one stands on, each counted once."""
    found: dict[str, Record] = {}

    def collect(needs: list[str]) -> None:
        for signature in needs:
            if signature not in found:
                found[signature] = run.needed(signature)
                collect(built_on(found[signature].info))

    collect(run.info.needs)
    costs = [record.result["costs"] for record in found.values() if record.result is not None]
    peaks = [entry["peak_memory"] for entry in costs if entry.get("peak_memory")]
    return {
        "search_device_s": sum(entry.get("device_s") or 0.0 for entry in costs),
        "search_peak_memory": max(peaks, default=None),
    }
