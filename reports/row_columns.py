"""The columns of every table of retrained rows, by what its task measures."""

from __future__ import annotations

from functools import cache

from methods.tasks import CLASSIFICATION, Metric, Task
from reports.analysis import Entry
from reports.column import Column, counted, fixed, gib, hours
from reports.rows import is_random
from reports.summary import Summary


def _rank(entry: Entry) -> str:
    return f"{entry.rank} {entry.letters}".strip() if entry.rank else ""


def _searched(entry: Entry) -> bool:
    return entry.row.searched


def _retrains(entry: Entry) -> str:
    low, high = entry.summary.retrains
    return str(low) if low == high else f"{low}-{high}"


def _interval(entry: Entry) -> str:
    written = entry.row.setting.metric.written
    return "" if entry.interval is None else f"{written(entry.interval.low)}-{written(entry.interval.high)}"


def _seeds_wanted(entry: Entry) -> str:
    return "/".join(map(str, (entry.seeds_wanted or {}).values()))


def _published(entry: Entry) -> str:
    reference = entry.reference
    if reference is None or reference.value is None:
        return ""
    written = entry.row.setting.metric.written
    text = written(reference.value) + ("" if reference.std is None else f"±{written(reference.std)}")
    return f"({text})" if entry.verdict and not entry.verdict.comparable else text


def _spent(summary: Summary) -> str:
    if summary.evaluations is None:
        return ""
    several = summary.different is not None and summary.different < summary.evaluations
    return f"{summary.evaluations:.4g}" + (f" ({summary.different:.4g})" if several else "")


def _verdict(entry: Entry) -> str:
    return "" if entry.verdict is None else entry.verdict.shown


def small_differences(metric: Metric) -> str:
    """ ".2/.3"."""
    return "/".join(f"{each:g}".removeprefix("0") for each in metric.differences)


@cache
def columns_of(task: Task) -> tuple[Column, ...]:
    """In their order."""
    metric = task.headline
    return (*_naming(metric), *_measured(metric), *map(_other, task.others), _gain(metric), *_COSTS, *_judged(metric))


def _naming(metric: Metric) -> tuple[Column, ...]:
    return (
        Column(
            "rank",
            ("", "#"),
            _rank,
            lambda e: e.rank,
            f"rank by mean test {metric.name}; rows that share a letter cannot be separated (Holm-corrected tests)",
            left=True,
        ),
        Column(
            "method", ("", "method"), lambda e: e.row.name, lambda e: e.row.name, "label in the experiment", left=True
        ),
        Column(
            "search_seeds",
            ("search", "seeds"),
            lambda e: str(e.summary.searches),
            lambda e: e.summary.searches,
            "independent searches; 0 for a published cell",
        ),
        Column(
            "retrain_seeds", ("retrain", "seeds"), _retrains, _retrains, "retrainings of each search's architecture"
        ),
    )


def _measured(metric: Metric) -> tuple[Column, ...]:
    return (
        Column(
            f"test_{metric.key}",
            ("test", metric.named),
            lambda e: metric.written(e.summary.value),
            lambda e: e.summary.value,
            "mean over searches of the mean over their retrainings; last epoch",
        ),
        Column(
            "std_searches",
            ("± betw.", "searches"),
            lambda e: metric.written(e.summary.std_searches),
            lambda e: e.summary.std_searches,
            "standard deviation between the searches' means",
            applies=_searched,
        ),
        Column(
            "std_retrains",
            ("± betw.", "retrain."),
            lambda e: metric.written(e.summary.std_retrains),
            lambda e: e.summary.std_retrains,
            "standard deviation between retrainings of one architecture, pooled",
            detail=True,
        ),
        Column(
            "interval",
            ("95 %", "interval"),
            _interval,
            lambda e: None if e.interval is None else f"{e.interval.low} {e.interval.high}",
            f"Student's 95 % interval of the mean test {metric.name}; empty for one search, or where all gave the same",
        ),
    )


def _other(metric: Metric) -> Column:
    """A further metric of the task."""
    return Column(
        f"test_{metric.key}",
        ("test", metric.named),
        lambda e: metric.written(e.summary.others.get(metric.key)),
        lambda e: e.summary.others.get(metric.key),
        "likewise",
    )


def _gain(metric: Metric) -> Column:
    """Relative where what is missing of the metric is an accuracy; in its unit of any other."""
    if metric.complement is not None:
        return Column(
            "ri",
            ("RI", "%"),
            lambda e: fixed(e.improvement.value if e.improvement else None, 2, sign=True),
            lambda e: e.improvement.value if e.improvement else None,
            "relative improvement of accuracy over random sampling (Yang et al., ICLR 2020)",
            applies=lambda e: not is_random(e.row),
        )
    return Column(
        "gain",
        ("gain", metric.unit),
        lambda e: fixed(e.improvement.value if e.improvement else None, metric.digits, sign=True),
        lambda e: e.improvement.value if e.improvement else None,
        f"how much better the mean {metric.name} is than that of random sampling",
        applies=lambda e: not is_random(e.row),
    )


_COSTS: tuple[Column, ...] = (
    Column(
        "params",
        ("params", "M"),
        lambda e: counted(e.summary.params),
        lambda e: e.summary.params,
        "parameters at inference, without auxiliary head",
    ),
    Column(
        "params_nonzero",
        ("nonzero", "M"),
        lambda e: counted(e.summary.params_nonzero),
        lambda e: e.summary.params_nonzero,
        "parameters that are not masked to zero",
        detail=True,
    ),
    Column(
        "macs",
        ("MACs", "M"),
        lambda e: counted(e.summary.macs),
        lambda e: e.summary.macs,
        "multiply-accumulates of one image, convolutions and linear layers",
    ),
    Column(
        "macs_sparse",
        ("sparse", "M"),
        lambda e: counted(e.summary.macs_sparse),
        lambda e: e.summary.macs_sparse,
        "the same, masked weights not counted",
        detail=True,
    ),
    Column(
        "evaluations",
        ("evalu-", "ations"),
        lambda e: _spent(e.summary),
        lambda e: e.summary.evaluations,
        "proposals that a search had scored, and the different networks among them where some came again; mean over "
        "searches",
        wide=True,
    ),
    Column(
        "search_hours",
        ("search", "dev-h"),
        lambda e: hours(e.summary.search_hours),
        lambda e: e.summary.search_hours,
        "device-hours of all searches of the row together",
    ),
    Column(
        "search_memory",
        ("search", "GiB"),
        lambda e: gib(e.summary.search_memory),
        lambda e: e.summary.search_memory,
        "peak memory of the search (CSV: bytes)",
        applies=lambda e: e.summary.search_hours != 0,
        detail=True,
    ),
    Column(
        "train_memory",
        ("train", "GiB"),
        lambda e: gib(e.summary.train_memory),
        lambda e: e.summary.train_memory,
        "peak memory of the retraining (CSV: bytes)",
        detail=True,
    ),
    Column(
        "latency_ms",
        ("latency", "ms"),
        lambda e: fixed(e.summary.latency_ms, 2),
        lambda e: e.summary.latency_ms,
        "forward pass, batch size in the CSV",
        wide=True,
        detail=True,
    ),
)


def _judged(metric: Metric) -> tuple[Column, ...]:
    small, large = metric.differences
    return (
        Column(
            "seeds_wanted",
            ("n for", small_differences(metric)),
            _seeds_wanted,
            _seeds_wanted,
            f"searches per row with which Welch's test shows a difference of {small:g} and of {large:g} {metric.step} "
            "from a row of equal spread, after Holm's correction over the table's pairs (80 % power)",
            wide=True,
            applies=_searched,
            detail=True,
        ),
        Column(
            "published",
            ("published", metric.named),
            _published,
            lambda e: e.reference.value if e.reference else None,
            f"published test {metric.name}; in parentheses where it is not comparable",
            paper=True,
        ),
        Column(
            "verdict",
            ("", "verdict"),
            _verdict,
            _verdict,
            "computed from both intervals, of what was made alike",
            left=True,
            wide=True,
        ),
    )


COLUMNS = columns_of(CLASSIFICATION)
