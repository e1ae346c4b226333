"""What an experiment file holds, as dataclasses: rows, profiles, and what they share.

`bench.plan.experiment` reads a file into them and checks it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from bench.config import ConfigError, nearest
from bench.data.folder_settings import FolderSettings
from bench.data.graphs.settings import GraphTasks
from bench.data.names import DATASETS
from bench.names import LABEL, NAME
from bench.plan.comparison import Comparison, ComparisonSize
from bench.plan.evaluation import evaluator_names
from bench.plan.lookup import Lookup
from bench.plan.row_cost import RowCost
from methods.domain import check, shown, within
from methods.tasks import CLASSIFICATION

Inheritance = Literal["scratch", "finetune"]
Weights = Literal["retrained", "inherited"]
if TYPE_CHECKING:
    DatasetName = str
else:
    DatasetName = Literal[tuple(DATASETS)]
SEEDS = within("[0, 9223372036854775807]")
MOST_SEEDS = 1000


@dataclass(frozen=True)
class DataSettings:
    """Reduced data for reduced profiles: numbers of images (None: all), and the side of an ImageNet image.

    Attributes:
        most_train_images, most_test_images: for a profile that fits any folder: all images, or this many of more.
        patches: of super-resolution, how many are cut out of each photograph in an epoch.
    """

    train_images: int | None = field(default=None, metadata=within("[2, 1000000000]"))
    test_images: int | None = field(default=None, metadata=within("[1, 1000000000]"))
    image_size: int | None = field(default=None, metadata=within("[1, 10000]"))
    most_train_images: int | None = field(default=None, metadata=within("[2, 1000000000]") | {"absent": None})
    most_test_images: int | None = field(default=None, metadata=within("[1, 1000000000]") | {"absent": None})
    patches: int = field(default=1, metadata=within("[1, 1000000]") | {"absent": 1})

    def __post_init__(self) -> None:
        check(self, ConfigError)
        for part in ("train_images", "test_images"):
            if getattr(self, part) is not None and getattr(self, f"most_{part}") is not None:
                raise ConfigError(f"{part} and most_{part} both say how many images; leave one of them out")


@dataclass(frozen=True)
class NetworkSize:
    """Scale of retrained networks whose architecture does not fix its own.

    Attributes:
        channels, cells: of networks of cells.
        scales: of another space's networks, by its name and in its words: `nasbench201: {channels: 4, ...}`.
    """

    channels: int = field(default=36, metadata=within("[1, 4096]"))
    cells: int = field(default=20, metadata=within("[1, 200]"))
    stem: Literal["cifar", "imagenet"] = "cifar"
    scales: Mapping[str, Mapping[str, int]] = field(
        default_factory=dict, hash=False, metadata={**within("[1, 4096]"), "absent": {}}
    )


@dataclass(frozen=True)
class Selection:
    """Which member of a family of architectures a row takes: the largest whose count `on` is at most `at_most`.

    Without `at_most` the largest of all, or with `smallest` the smallest.

    Attributes:
        share: instead of `at_most`, as a share of the count of the largest member; of networks on one set of weights,
            of the largest of all of them.
    """

    on: Literal["params", "params_nonzero", "macs"] = "params"
    at_most: float | None = field(default=None, metadata=within("(0, inf)"))
    smallest: bool = False
    share: float | None = field(default=None, metadata=within("(0, 1]") | {"absent": None})

    def __post_init__(self) -> None:
        check(self, ConfigError)
        if self.share is not None and self.at_most is not None:
            raise ConfigError("share and at_most both say how large a member may be; leave one of them out")


@dataclass(frozen=True)
class Match:
    """The size to reach: the count `on` of the row called `row`, with the same seeds.

    Attributes:
        tolerance: of an architecture that is drawn at a size, how much smaller it may be, as a share of that size.
    """

    row: str
    on: Literal["params", "params_nonzero", "macs", "macs_sparse"] = "params_nonzero"
    tolerance: float = field(default=0.01, metadata=within("(0, 0.5]"))


@dataclass(frozen=True)
class Transfer:
    """Where a row takes the architectures from that a row of another experiment found.

    Attributes:
        experiment: a shipped one's name, or the path of a YAML file, relative to this experiment's file.
        row: one that searches; what it selects of a family is taken.
        profile: of that experiment; None for the one of the same name as the profile that is run.
    """

    experiment: str
    row: str
    profile: str | None = None


@dataclass(frozen=True)
class Row:
    """One line of the table: exactly one of `method`, `published` (a genotype's name), `architecture` (a file),
    `transfer` (finished searches of another experiment) and `compare` (a controlled comparison, which is a question).

    Attributes:
        architecture: path of the file or of its folder, relative to the experiment file.
        options: the method's options that make this row; a profile's options come before them.
        of: for a transform, the row whose trained network it makes smaller; for a search that starts from another row,
            that row. In a file it may be a `Transfer`, too (`bench.plan.of_rows`).
        inheritance: for a transform, or a search that gives weights, the lines it has: trained from scratch, fine-tuned
            from inherited weights.
        listed: for a sampling search, a row that shrinks its space: what it lists is all that may be proposed, for each
            search seed by the search of the same seed.
        match: for a transform, take the size of another row's result instead of the ratio; for random sampling from a
            space that can, draw at the size of another row's architecture.
        select: for a method that gives a family of sizes, the member this row takes.
        search_data: fields of `SearchProtocol` that make this row; a profile's come before them.
        weights: what is evaluated: the architecture trained from scratch, or, of a method whose product is a set of
            networks on one set of weights, these as they are: the one that is selected, or its whole family.
        recipe: a recipe of its own instead of the profile's; the table shows it as another recipe.
        evaluator: of a sampling search, what scores its proposals; see `bench.plan.evaluation`.
        evaluation: options of the evaluator that make this row; the experiment's and a profile's come before them.
        cost: what its search is to heed beside its metric.
        table_seeds: of a row that a table scores, how many seeds, where not as many as the profile says.
        line: whether the table has a line of it; one that other rows start from need not, and is then not retrained.
        note: what a reader of the table has to know of this row.
    """

    method: str | None = None
    published: str | None = None
    architecture: str | None = None
    transfer: Transfer | None = None
    compare: Comparison | None = None
    note: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    of: str | None = None
    listed: str | None = None
    inheritance: tuple[Inheritance, ...] = ("scratch", "finetune")
    match: Match | None = None
    select: Selection | None = None
    weights: Weights = "retrained"
    recipe: str | None = None
    search_data: dict[str, Any] = field(default_factory=dict)
    evaluator: str = "proxy"
    evaluation: dict[str, Any] = field(default_factory=dict)
    cost: RowCost | None = None
    table_seeds: int | None = field(default=None, metadata=within("[1, 100000]"))
    line: bool = True

    def __post_init__(self) -> None:
        check(self, ConfigError)
        if self.evaluator not in evaluator_names():
            raise ConfigError(
                f"evaluator {shown(self.evaluator)} is not possible" + nearest(self.evaluator, evaluator_names())
            )


@dataclass(frozen=True)
class Profile:
    """How much is spent: seeds, sizes, recipe and the options of the methods.

    Attributes:
        given_seeds: retrain seeds of rows with a given architecture, which have no search to repeat (default: the
            same as `retrain_seeds`).
        options: per method (or row) name, what this profile changes in its options.
        search_data: per method (or row) name, how its searches divide and serve the training images where not as the
            method says, see `bench.data.search_protocol`.
        recipe_changes: fields of the recipe that this profile changes; the recipe is then shown with a "*".
        also: by row, further recipes it is trained by, so that a published value can be compared that was trained by
            another; these stand in tables of their own.
        evaluate_every: epochs between evaluations on the test set in a retraining (for curves and best epoch; the
            headline is the last epoch).
        threads: CPU threads of one run; part of the signature, because it decides the bits.
        evaluation: per evaluator (or row) name, what this profile changes in its options.
        counted: rows of a given architecture whose network is only built and counted: it has a scale of its own, far
            from this profile's.
        published: by row with a published architecture, the one that it has at this profile.
        table_seeds: seeds of a row that a table scores, from 0; they are one run.
        comparison: what controlled comparisons are to take.
        optional_images: rows that need images are left out, with a word, on a machine that does not have them.
    """

    description: str = ""
    search_seeds: tuple[int, ...] = field(default=(0, 1, 2, 3), metadata=SEEDS)
    retrain_seeds: tuple[int, ...] = field(default=(0,), metadata=SEEDS)
    given_seeds: tuple[int, ...] | None = field(default=None, metadata=SEEDS)
    data: DataSettings = DataSettings()
    network: NetworkSize = NetworkSize()
    recipe: str = "darts-cifar"
    recipe_changes: dict[str, Any] = field(default_factory=dict)
    also: dict[str, tuple[str, ...]] = field(default_factory=dict)
    finetune_recipe: str = "finetune-cifar"
    finetune_changes: dict[str, Any] = field(default_factory=dict)
    options: dict[str, dict[str, Any]] = field(default_factory=dict)
    search_data: dict[str, dict[str, Any]] = field(default_factory=dict)
    precision: Literal["fp32", "bf16"] = "fp32"
    deterministic: bool = True
    threads: int = field(default=1, metadata=within("[1, 1024]"))
    evaluate_every: int = field(default=1, metadata=within("[1, 100000]"))
    counted: tuple[str, ...] = ()
    published: dict[str, str] = field(default_factory=dict)
    evaluation: dict[str, dict[str, Any]] = field(default_factory=dict)
    table_seeds: int = field(default=500, metadata=within("[1, 100000]"))
    comparison: ComparisonSize = field(default_factory=ComparisonSize)
    optional_images: bool = False

    def __post_init__(self) -> None:
        check(self, ConfigError)
        for name in ("search_seeds", "retrain_seeds", "given_seeds"):
            seeds = getattr(self, name)
            if seeds is not None:
                check_seeds(name, seeds)


@dataclass(frozen=True)
class Experiment:
    """The content of an experiment file.

    Attributes:
        dataset: a data set by its name, an image folder, or tasks on graphs.
        lookup: a table of trained networks answers instead of retrainings.
        evaluation: per evaluator name, options for all rows that have it.
        task: what networks are for, by its name, or the name with its options (`bench.plan.tasks`).
    """

    name: str = field(metadata=NAME)
    dataset: DatasetName | FolderSettings | GraphTasks
    rows: dict[str, Row]
    profiles: dict[str, Profile]
    description: str = ""
    lookup: Lookup | None = None
    evaluation: dict[str, dict[str, Any]] = field(default_factory=dict)
    task: str | dict[str, dict[str, Any]] = CLASSIFICATION.name

    def __post_init__(self) -> None:
        for what, names, domain in (("row", self.rows, LABEL["domain"]), ("profile", self.profiles, NAME["domain"])):
            if not names:
                raise ConfigError(f"there is no {what}; name at least one under '{what}s'")
            for name in names:
                if name not in domain:
                    raise ConfigError(f"a {what} is called {shown(name)}; it must be {domain.describe('')}")

    @property
    def dataset_name(self) -> str:
        if isinstance(self.dataset, GraphTasks):
            return "graphs"
        return self.dataset.name if isinstance(self.dataset, FolderSettings) else self.dataset

    @property
    def lines(self) -> list[str]:
        """The rows that the table has a line of."""
        return [label for label, row in self.rows.items() if row.line]

    def rests_on(self, label: str) -> list[str]:
        """A row and all that it starts from or takes its size from, each once; names that are no rows are left out."""
        found: dict[str, None] = {}
        frontier: list[str | None] = [label]
        while frontier:
            name = frontier.pop(0)
            if name is not None and name in self.rows and name not in found:
                found[name] = None
                row = self.rows[name]
                frontier += [row.of, row.listed, row.match.row if row.match else None]
        return list(found)

    def at(self, name: str) -> Experiment:
        """With the rows that it has at a profile. Raises ConfigError for an unknown profile."""
        given = self.profile(name).published
        rows = {label: replace(row, published=given.get(label, row.published)) for label, row in self.rows.items()}
        return replace(self, rows=rows) if given else self

    def profile(self, name: str) -> Profile:
        """Raises ConfigError for an unknown profile."""
        if name not in self.profiles:
            raise ConfigError(f"experiment {self.name}: unknown profile {shown(name)}" + nearest(name, self.profiles))
        return self.profiles[name]


def check_seeds(name: str, seeds: Sequence[int]) -> None:
    """Raises ConfigError when there is no seed, one twice, or more than anybody waits for."""
    if not seeds:
        raise ConfigError(f"{name} needs at least one seed")
    if len(set(seeds)) < len(seeds):
        raise ConfigError(f"{name} is {shown(list(seeds))}; a seed is named twice")
    if len(seeds) > MOST_SEEDS:
        raise ConfigError(f"{name} has {len(seeds)} seeds; at most {MOST_SEEDS}")


def given_options(profile: Profile, label: str, row: Row) -> dict[str, Any]:
    """What is said of a row's options: the profile's for the method, then for the row, then the row's own."""
    return {**profile.options.get(row.method or "", {}), **profile.options.get(label, {}), **row.options}
