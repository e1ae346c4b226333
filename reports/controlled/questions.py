"""From records to questions: of each its settings with the scores of all options; and anchors on all tasks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench.names import one_line
from bench.records.directory import Record
from methods.architecture import canonical_json
from methods.tasks import CLASSIFICATION, Metric, Task, task_of
from reports.collect import without_copies
from reports.rows import file_form, number, possible


@dataclass(frozen=True, order=True)
class ComparisonSetting:
    """What questions must have in common to stand in one table."""

    experiment: str
    profile: str
    dataset: str
    task: Task = field(default=CLASSIFICATION, compare=False)

    @property
    def metric(self) -> Metric:
        return self.task.metric

    @property
    def title(self) -> str:
        return f"Controlled comparisons: {self.experiment} on {self.dataset}, profile {self.profile}"

    @property
    def slug(self) -> str:
        return file_form(f"comparisons-{self.experiment}-{self.dataset}-{self.profile}")


@dataclass
class Question:
    """One dimension and its options in paired settings.

    Attributes:
        settings: complete ones: by option the mean score over seeds, the task's metric such that higher is better.
        apart: of each, by what share its largest network is larger than its smallest.
        tasks: how many settings are of each data set.
        seeds: trainings behind each score, the fewest.
        redrawn: draws that were not used, because their networks have no common size.
        unfinished: settings that lack an option.
    """

    setting: ComparisonSetting
    label: str
    dimension: str
    options: list[str] = field(default_factory=list)
    settings: list[dict[str, float]] = field(default_factory=list)
    apart: list[float] = field(default_factory=list)
    tasks: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    seeds: int = 0
    redrawn: int = 0
    unfinished: int = 0
    runs: list[Record] = field(default_factory=list)


@dataclass
class Anchors:
    """The same networks on every task: mean accuracy in percent of each, by task."""

    setting: ComparisonSetting
    label: str
    scores: dict[str, list[float]] = field(default_factory=dict)
    runs: list[Record] = field(default_factory=list)


def questions_of(records: Iterable[Record]) -> tuple[list[Question], list[Anchors], list[str]]:
    """Every question and every set of anchors, and what was wrong with the records."""
    records, _ = without_copies(records)  # what contradicts itself is told beside the other tables
    questions: dict[tuple[Any, ...], Question] = {}
    anchors: dict[tuple[Any, ...], Anchors] = {}
    problems: list[str] = []
    on_images: dict[tuple[Any, ...], list[Record]] = defaultdict(list)
    for record in sorted(records, key=lambda record: record.info.name):
        try:
            if record.info.phase == "compare":
                _on_graphs(questions, anchors, record)
            elif record.info.phase == "train" and is_compared(record):
                said = record.info.config["question"]
                on_images[_key(record), said["dimension"], canonical_json(said["setting"])].append(record)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            problems.append(f"{record.path}: its comparison is not as expected ({error!r}); left out")
    options: dict[tuple[Any, ...], dict[str, None]] = defaultdict(dict)
    for (key, dimension, _), runs in on_images.items():
        options[key, dimension] |= dict.fromkeys(str(run.info.config["question"]["value"]) for run in runs)
    for (key, dimension, _), runs in on_images.items():
        setting, label = key
        question = questions.setdefault((key, dimension), Question(setting, label, dimension))
        _on_images(question, sorted(options[key, dimension]), runs)
    return list(questions.values()), list(anchors.values()), problems


def is_compared(record: Record) -> bool:
    """Whether a run is of a controlled comparison, and so no row of another table."""
    return bool(record.info.config.get("question"))


def _key(record: Record) -> tuple[ComparisonSetting, str]:
    info = record.info
    dataset = "graphs" if info.phase == "compare" else info.dataset
    task = CLASSIFICATION if info.phase == "compare" else task_of(info.config)
    return ComparisonSetting(info.experiment, info.profile, dataset, task), one_line(info.label)


def _on_graphs(
    questions: dict[tuple[Any, ...], Question], anchors: dict[tuple[Any, ...], Anchors], record: Record
) -> None:
    """One run is one setting, with all its options."""
    config, key = record.info.config, _key(record)
    said, networks = config["question"], config["networks"]
    if not said:
        found = anchors.setdefault(key, Anchors(*key))
        found.runs.append(record)
        if record.result is not None:
            names = [f"anchor {place}" for place in range(len(networks))]
            found.scores[record.info.dataset] = _accuracies(record.result, names)
        return
    question = questions.setdefault((key, said["dimension"]), Question(*key, said["dimension"]))
    question.runs.append(record)
    question.options = [str(value) for value in said["values"]]
    question.redrawn = max(question.redrawn, int(said["redrawn"]))
    if record.result is None:
        question.unfinished += 1
        return
    scores = _accuracies(record.result, question.options)
    sizes = [int(network["params"]) for network in networks]
    question.settings.append(dict(zip(question.options, scores, strict=True)))
    question.apart.append(max(sizes) / min(sizes) - 1)
    question.tasks[record.info.dataset] += 1
    question.seeds = len(config["seeds"])


def _accuracies(result: Mapping[str, Any], names: list[str]) -> list[float]:
    return [possible(result["metrics"][f"{name}/accuracy"], CLASSIFICATION.metric) for name in names]


def _on_images(question: Question, options: list[str], runs: list[Record]) -> None:
    """The runs of one setting; each search weighs the same."""
    question.options = options
    question.runs += runs
    by_option: dict[str, dict[Any, list[float]]] = defaultdict(lambda: defaultdict(list))
    sizes: list[float] = []
    metric = question.setting.metric
    for run in runs:
        if run.result is not None:
            value = str(run.info.config["question"]["value"])
            seed = run.info.search_seed if run.info.search_seed is not None else f"given {run.info.retrain_seed}"
            measured = possible(run.result["metrics"][f"test_{metric.key}"], metric)
            by_option[value][seed].append(metric.score(measured))
            sizes += [size] if (size := number(run.result["costs"].get("params"))) else []
    finished = sum(run.result is not None for run in runs)
    if set(by_option) != set(options) or finished < len(runs):
        question.unfinished += 1
        return
    means = {option: float(np.mean([np.mean(of) for of in by_option[option].values()])) for option in options}
    question.settings.append(means)
    question.apart += [max(sizes) / min(sizes) - 1] if sizes else []
    question.tasks[str(runs[0].info.config["question"]["setting"].get("row", runs[0].info.dataset))] += 1
    question.seeds = min(sum(map(len, of.values())) for of in by_option.values())
