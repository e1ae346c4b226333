"""Searches that a table scores, seed by seed: what each answers after stated numbers of evaluations, and its way there.

No test value is in here: the searches hold the seal, and `Answers` looks up what they found when they have ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.data.seal import sealed
from bench.data.tables import Table, TableError
from bench.run.evaluators.table import TableEvaluator
from bench.run.search import SamplingState, sampling_search
from bench.run.shrinkage import OWN, lists_of, measured
from bench.seeds import seed_everything
from methods.architecture import Architecture
from methods.base import SamplingSearch, SearchContext


@dataclass(frozen=True)
class TableSearch:
    """A sampling search on a table.

    Attributes:
        budgets: numbers of evaluations after which it answers, rising.
    """

    method: type[SamplingSearch]
    options: Any
    evaluator: TableEvaluator
    budgets: tuple[int, ...]

    def run(self, seed: int, context: SearchContext) -> dict[str, Any]:
        """Answers and trajectory, as a line of `seeds.jsonl` has them, but for what only the final look-up can tell.

        A method whose proposals do not depend on its budget is run once, to the largest; any other once for each.

        Args:
            seed: of torch's global generators; `context` has that of the method.
        """
        with sealed(f"the search of {self.method.name}"):
            if self.method.anytime:
                return self._search(seed, context, self.budgets)
            each = [self._search(seed, context, (budget,)) for budget in self.budgets]
        return each[-1] | {"answers": [answer for line in each for answer in line["answers"]]}

    def _search(self, seed: int, context: SearchContext, budgets: tuple[int, ...]) -> dict[str, Any]:
        seed_everything(seed)
        method = self.method(replace(self.options, samples=budgets[-1]), context)
        state, asked, scores = SamplingState(), list[int](), dict[int, float]()
        answers: list[dict[str, Any]] = []
        trajectory: list[list[Any]] = []

        def told(number: int, proposal: Architecture) -> None:
            index = self.evaluator.table.index(proposal)
            asked.append(index)
            if method.needs_scores:
                scores[index] = score = state.scored[number].score
                if not trajectory or score > trajectory[-1][2]:
                    trajectory.append([number + 1, index, score])
            if number + 1 in budgets:
                answer = self.evaluator.table.index(method.architecture())
                spent = {"evaluations": len(state.scored), "distinct": len(set(asked))}
                answers.append({"budget": number + 1, "index": answer, "score": scores.get(answer), **spent})

        sampling_search(method, self.evaluator, state, told=told)
        line: dict[str, Any] = {
            "evaluations": len(state.scored),
            "distinct": len(set(asked)),
            "answers": answers,
            "trajectory": trajectory,
        }
        line |= {"findings": found} if (found := method.findings()) else {}
        return line | ({"lists": lists} if (lists := lists_of(self, method, asked, context)) else {})


class Answers:
    """What a table says of networks when the search has ended: of all its data sets, at the budget that answers.

    Raises:
        SealedTestSetError: a search goes on in this process.
    """

    def __init__(self, table: Table, dataset: str, epochs: int, version: str = "") -> None:
        """
        Args:
            dataset: the one searched on.
        """
        self.table, self.dataset = table, dataset
        everything = np.arange(len(table))
        self.values: dict[str, dict[str, npt.NDArray[Any]]] = {"valid": {}, "test": {}, "rank": {}, "regret": {}}
        for name in table.datasets:
            self.values["test"][name] = table.final(name, epochs, version)
            self.values["rank"][name] = np.asarray(table.rank(everything, name, epochs, version))
            self.values["regret"][name] = np.asarray(table.regret(everything, name, epochs, version))
            try:
                self.values["valid"][name] = table.validation(name, epochs)
            except TableError:  # not every table has both of one budget
                continue

    def of(self, index: int) -> dict[str, dict[str, float]]:
        """Validation and test accuracy, rank and regret of a network, by data set."""
        return {what: {name: each[index].item() for name, each in by.items()} for what, by in self.values.items()}

    def complete(self, line: Mapping[str, Any]) -> dict[str, Any]:
        """A line of `TableSearch.run` with the values of its answers and the test accuracies of its trajectory."""
        test = self.values["test"][self.dataset]
        done = {
            **line,
            "answers": [{**answer, **self.of(answer["index"])} for answer in line["answers"]],
            "trajectory": [[*entry, test[entry[1]].item()] for entry in line["trajectory"]],
        }
        if "lists" in line:
            done["shrinkage"] = {name: measured(each, test) for name, each in done.pop("lists").items()}
            done["listed"] = line["lists"][OWN]["listed"]
        return done

    def metrics(self, indices: Sequence[int]) -> dict[str, float | None]:
        """Means over networks on the data set searched on, and sample standard deviations where there are several."""
        columns = {
            "test_accuracy": self.values["test"],
            "valid_accuracy": self.values["valid"],
            "rank": self.values["rank"],
            "regret": self.values["regret"],
        }
        found: dict[str, float | None] = {}
        for name, by in columns.items():
            values = by[self.dataset][list(indices)].astype(np.float64) if self.dataset in by else None
            found[name] = None if values is None else float(values.mean())
            if len(indices) > 1:
                found[f"{name}_std"] = None if values is None else float(values.std(ddof=1))
        accuracy = found["test_accuracy"]
        assert accuracy is not None
        if len(indices) > 1:
            found["median_rank"] = float(np.median(self.values["rank"][self.dataset][list(indices)]))
        return {"test_error": 100.0 - accuracy, **found}
