"""Everything that can be named on a command line, with what it is; read from the files beside it, without torch.

`dasbench list` shows it and shell completion offers it, so it has to answer at once. Nothing here checks what a file
means: one that cannot be used is refused, with the reason, where it is used.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.config import ConfigError
from bench.plan.evaluation import evaluator_names
from bench.strict_yaml import read_yaml
from methods.facts import ENTRY_POINT_GROUP, KINDS, Facts, declared, first_line, own_methods, own_spaces
from methods.watched import Watched, figures

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
EXPERIMENTS, RECIPES = HERE / "experiments", HERE / "recipes"
CLUSTERS = ROOT / "slurm" / "clusters"
EVALUATORS = ROOT / "bench" / "run" / "evaluators"
METHODS = ROOT / "methods"
GENOTYPES = METHODS / "genotypes"


@dataclass(frozen=True)
class ExperimentFacts:
    """What an experiment file says of itself; `rows` in their order, `profiles` with their descriptions."""

    name: str
    dataset: str
    description: str
    rows: tuple[str, ...]
    profiles: Mapping[str, str]


def names(folder: Path, suffix: str = ".yaml") -> list[str]:
    return sorted(path.stem for path in folder.glob(f"*{suffix}"))


def experiment(name: str) -> ExperimentFacts:
    """A shipped experiment, or the one of a YAML file.

    Raises:
        ConfigError: no such file, or not an experiment's; as `bench.strict_yaml.read_yaml` says it of a given one.
    """
    given = name.endswith((".yaml", ".yml"))
    path = Path(name) if given else EXPERIMENTS / f"{name}.yaml"
    content = read_yaml(path) if given else read(path)
    rows, profiles = (_mapping(content, key) for key in ("rows", "profiles"))
    told = {key: str(_mapping(profiles, key).get("description", "")) for key in profiles}
    text = " ".join(str(_mapping(content).get("description", "")).split())
    return ExperimentFacts(
        str(content.get("name", path.stem)), _dataset(content.get("dataset", "")), text, tuple(map(str, rows)), told
    )


def _dataset(value: Any) -> str:
    """A data set's name, that of the image folder it is, or that they are tasks on graphs."""
    if not isinstance(value, Mapping):
        return str(value)
    if "graphs" in value:
        return "graphs"
    return str(value.get("name") or Path(str(value.get("folder", ""))).name)


def read(path: Path) -> Any:
    """The content of a shipped YAML file with every word as it is written; the loader in C takes milliseconds, and
    would follow whatever a stranger's file has of aliases and levels."""
    import yaml

    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None


def _mapping(content: Any, key: str | None = None) -> Mapping[str, Any]:
    found = content if key is None else _mapping(content).get(key, {})
    if not isinstance(found, Mapping):
        raise ConfigError(f"expected a mapping of settings, found {found!r}")
    return found


def recipe(name: str) -> str:
    """One line on a shipped recipe: its length, batch and learning rate, and where it is published."""
    content = _mapping(read(RECIPES / f"{name}.yaml"))
    return f"{content['epochs']} epochs, batch {content['batch_size']}, lr {content['lr']}; {content.get('source', '')}"


def architecture(name: str) -> str:
    """One line on a published architecture: its space and its source."""
    content = json.loads((GENOTYPES / f"{name}.json").read_text())
    return f"{content['space']}; {content['provenance'].get('source', '')}"


def cluster(name: str) -> str:
    return str(_mapping(read(CLUSTERS / f"{name}.yaml")).get("description", ""))


def spaces() -> Mapping[str, str]:
    """Search spaces by name, each with one line."""
    return {name: facts.special for name, facts in own_spaces().items()}


def evaluators() -> Mapping[str, str]:
    """What scores the proposals of a sampling search, by name, each with the first line of its file."""
    sources = {name: (EVALUATORS / f"{name}.py").read_text() for name in evaluator_names()}
    return {name: first_line(ast.get_docstring(ast.parse(source))) for name, source in sources.items()}


def methods() -> dict[str, Facts]:
    """Every method by name: ours, and those of installed packages. One that cannot be loaded says so in its line."""
    return dict(sorted([*own_methods().items(), *(item for entry in plugins() for item in _of_plugin(entry))]))


def watched(name: str) -> tuple[Watched, ...]:
    """The figures of a method's searches, without torch where its registration says them; one that is not installed
    has those of every search over operations.

    Raises:
        MethodError: the figures cannot be read, or a third party's method that has to be loaded for them fails.
    """
    own = own_methods().get(name)
    facts = own or methods().get(name)
    if facts is None or facts.watched:
        return figures(facts.watched if facts else "")
    if facts.kind in set(KINDS.values()) - {KINDS["GradientSearch"]}:
        return ()
    if own:
        return figures("")
    from methods.registry import get_method

    return tuple(getattr(get_method(name), "watched", ()))


def plugins() -> Iterator[EntryPoint]:
    from importlib.metadata import entry_points  # a tenth of a second that only a list of methods is worth

    yield from entry_points(group=ENTRY_POINT_GROUP)


def _of_plugin(entry: EntryPoint) -> list[tuple[str, Facts]]:
    """From the source of the module that an entry point names; a module that registers elsewhere is imported."""
    from importlib.util import find_spec

    try:
        spec = find_spec(entry.module)
        found = list(declared(Path(spec.origin).read_text())) if spec and spec.origin else []
        return found or _by_import(entry)
    except Exception as error:  # whatever a stranger's code does, the list goes on
        return [(entry.name, Facts(f"cannot be loaded: {type(error).__name__}: {first_line(str(error))}"))]


def _by_import(entry: EntryPoint) -> list[tuple[str, Facts]]:
    from methods.registry import all_methods, broken_plugins

    broken = broken_plugins().get(entry.name)
    others = [(name, cls.facts) for name, cls in all_methods().items() if name not in own_methods()]
    return [(entry.name, Facts(broken))] if broken else others
