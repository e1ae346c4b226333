"""Records of look-ups in NAS-Bench-201 as batches of seeds: the question is invented, the answers are the table's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from bench.records.directory import RunDirectory
from bench.records.run_info import RunInfo
from bench.records.soundness import signature
from bench.run.table_search import Answers
from tests.reports.synthetic import ENVIRONMENT


def write_batch(
    folder: Path,
    answers: Answers,
    label: str,
    method: str,
    seeds: int,
    budgets: tuple[int, ...] = (5, 10, 20),
    budget: int = 10,
    options: dict[str, Any] | None = None,
) -> Path:
    """One row's batch: uniform random proposals, the best by validation accuracy answers; gives its run directory."""
    evaluator = {"name": "table", "table": answers.table.name, "epochs": 12}
    config = {
        "phase": "lookup", "method": method, "options": {"space": "nasbench201", "name": label, **(options or {})},
        "evaluator": evaluator, "lookup": {"table": answers.table.name, "epochs": 200}, "seeds": f"0-{seeds - 1}",
        "budgets": list(budgets), "budget": budget, "dataset": answers.dataset,
    }  # fmt: skip
    info = RunInfo("nas", "quick", label, method, "lookup", answers.dataset, None, None, signature(config), config)
    info.status, info.environment = "done", dict(ENVIRONMENT)
    run = RunDirectory(folder / info.name)
    scores = answers.table.validation(answers.dataset, 12)
    lines = [answers.complete(_search(seed, label, scores, budgets)) for seed in range(seeds)]
    found = {
        str(b): answers.metrics([line["answers"][place]["index"] for line in lines]) for place, b in enumerate(budgets)
    }
    costs = {"evaluations": seeds * budgets[-1], "wall_s": 1.0, "device_s": 1.0, "images": 0, "peak_memory": None}
    table = {"name": answers.table.name, "sha256": "0" * 64, "networks": len(answers.table), "epochs": 200}
    result = {"phase": "lookup", "signature": info.signature, "metrics": found[str(budget)], "budgets": found}
    with mock.patch("os.fsync"):
        run.create(info)
        (run.path / "seeds.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        run.write_result({**result, "seeds": seeds, "table": table, "costs": costs, "epochs": 0, "report": {}})
    return run.path


def write_lookup(
    folder: Path, label: str, seed: int, agreement: dict[str, Any] | None, metrics: list[dict[str, Any]] | None = None
) -> Path:
    """A search of its own (values of metrics.jsonl by epoch) and the look-up of its answer; gives the latter's path."""
    config: dict[str, Any] = {"phase": "search", "method": "darts", "options": {"name": label}, "search_seed": seed}
    search = RunInfo("nas", "quick", label, "darts", "search", "cifar10", seed, None, signature(config), config)
    wanted = {"table": "nasbench201", "epochs": 200}
    config = {"phase": "lookup", "architecture": {"run": search.signature, "select": None}, "lookup": wanted}
    info = RunInfo("nas", "quick", label, "darts", "lookup", "cifar10", seed, None, signature(config), config)
    info.needs = [search.signature]
    error = 7.0 + seed
    answer = {"test": {"cifar10": 100.0 - error}, "rank": {"cifar10": 100 + seed}, "regret": {"cifar10": error - 5.6}}
    result = {"phase": "lookup", "signature": info.signature, "answer": answer, "agreement": agreement, "costs": {}}
    values = {"test_error": error, "test_accuracy": 100.0 - error}
    table = {"name": "nasbench201", "sha256": "0" * 64, "networks": 15625, "epochs": 200}
    with mock.patch("os.fsync"):
        for made in (search, info):
            made.status, made.environment = "done", dict(ENVIRONMENT)
        found = RunDirectory(folder / search.name)
        found.create(search)
        found.write_result({"phase": "search", "metrics": {}, "costs": {}, "architecture": "0" * 16})
        for epoch, line in enumerate(metrics or []):
            with (found.path / "metrics.jsonl").open("a") as file:
                file.write(json.dumps({"epoch": epoch, "values": line}) + "\n")
        run = RunDirectory(folder / info.name)
        run.create(info)
        run.write_result({**result, "metrics": values, "table": table, "epochs": 0, "report": {}})
    return run.path


def _search(seed: int, label: str, scores: Any, budgets: tuple[int, ...]) -> dict[str, Any]:
    generator = np.random.default_rng([seed, *label.encode()])
    way: list[list[Any]] = []
    answers = []
    for number, index in enumerate(generator.integers(len(scores), size=budgets[-1]).tolist(), start=1):
        if not way or scores[index] > way[-1][2]:
            way.append([number, index, float(scores[index])])
        if number in budgets:
            answers.append({"budget": number, "index": way[-1][1], "score": way[-1][2]})
    return {"seed": seed, "evaluations": budgets[-1], "distinct": budgets[-1], "answers": answers, "trajectory": way}
