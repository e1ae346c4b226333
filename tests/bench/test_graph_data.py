"""Tasks on graphs: drawn graphs, computed labels and features, and data sets that are not what is said of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.config import ConfigError, parse
from bench.data.graphs.settings import GRAPH_SETS, GraphSize, GraphTask, GraphTasks
from bench.data.images import DataError

SMALL = GraphSize(graphs=12)


def task(**fields: Any) -> GraphTask:
    return parse(GraphTask, fields, "task")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"set": "small_wrld"}, "did you mean 'small_world'"),
        ({"set": "small_world", "label": "clustering", "feature": "clustering"}, "the feature is the label"),
        ({"set": "small_world", "label": "clustering", "level": "graph"}, "the label clustering is of a node"),
        ({"set": "pyg"}, "say what of pyg is labelled: level: node, or level: graph"),
    ],
)
def test_what_no_task_is_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        task(**fields)


def test_a_set_without_labels_or_features_says_so() -> None:
    unlabelled = task(set="small_world", level="node", feature="constant")
    with pytest.raises(ConfigError, match="graphs of small_world-constant have no labels that are classes"):
        unlabelled.sizes()
    with pytest.raises(ConfigError, match="have no features of their own; compute one: feature: constant"):
        task(set="scale_free", label="path_length").sizes()


def test_tasks_have_names_and_levels() -> None:
    assert {"small_world", "scale_free", "karate", "pyg"} <= set(GRAPH_SETS)
    found = [task(set="small_world", label=label, feature="constant") for label in ("pagerank", "path_length")]
    assert [(each.name, each.level) for each in found] == [
        ("small_world-pagerank-constant", "node"),
        ("small_world-path_length-constant", "graph"),
    ]
    with pytest.raises(ConfigError, match="each with a name of its own"):
        GraphTasks((found[0], found[0]))


def test_classes_have_equally_many_values() -> None:
    from bench.data.graphs.measures import balanced_classes

    values = np.random.default_rng(1).normal(size=(10, 50))
    classes = torch.cat(balanced_classes(list(values), 5))
    assert classes.bincount().tolist() == [100] * 5
    low = torch.from_numpy(values.ravel())[classes == 0].max()
    assert all(value > low for value in values.ravel()[classes.numpy() > 0])
    tied = balanced_classes([np.zeros(60), np.arange(40.0)], 5)
    assert len(set(torch.cat(tied).tolist())) < 5


def test_positions_are_cosines_and_sines_of_falling_frequency() -> None:
    from bench.data.graphs.measures import positions

    (found,) = positions([np.array([0.0, 2.0, 4.0])], 4)
    angles = np.outer([0.0, 1.0, 2.0], [1.0, 0.01])
    np.testing.assert_allclose(found.numpy(), np.concatenate((np.cos(angles), np.sin(angles)), 1), atol=1e-6)


@pytest.fixture(scope="module")
def geometric() -> None:
    pytest.importorskip("torch_geometric", reason="needs the extra 'graphs'")


@pytest.mark.usefixtures("geometric")
def test_drawn_graphs_are_the_same_again_and_kept(tmp_path: Path) -> None:
    from bench.data.graphs.typed import load_graphs

    asked = task(set="small_world", label="clustering", feature="constant")
    drawn, again = load_graphs(asked, SMALL, tmp_path), load_graphs(asked, SMALL, tmp_path)
    anew = load_graphs(asked, SMALL, None)
    assert (tmp_path / "data" / "graphs" / "small_world-12-64.json").is_file()
    for one, *others in zip(drawn.graphs, again.graphs, anew.graphs, strict=True):
        assert all(torch.equal(one.edge_index, other.edge_index) and torch.equal(one.y, other.y) for other in others)
    assert (len(drawn.graphs), drawn.features, drawn.classes) == (12, 10, 5)
    assert torch.cat([graph.y for graph in drawn.graphs]).bincount().min() > 100


@pytest.mark.usefixtures("geometric")
def test_nodes_are_divided_in_every_graph_and_graphs_among_each_other() -> None:
    from bench.data.graphs.typed import load_graphs

    nodes = load_graphs(task(set="karate"), SMALL)
    trained, held = nodes.divided(3)
    assert (nodes.features, nodes.classes, int(trained[0].chosen.sum()), int(held[0].chosen.sum())) == (34, 4, 27, 7)
    assert not (trained[0].chosen & held[0].chosen).any()
    assert not torch.equal(trained[0].chosen, nodes.divided(4)[0][0].chosen)
    graphs = load_graphs(task(set="scale_free", label="path_length", feature="one_hot"), SMALL)
    trained, held = graphs.divided(3)
    assert (len(trained), len(held), trained[0].chosen.tolist()) == (10, 2, [True])


@pytest.mark.usefixtures("geometric")
def test_a_users_data_set_is_read_and_one_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    from bench.data.graphs.typed import load_graphs

    fake = {"class": "FakeDataset", "num_graphs": 6, "avg_num_nodes": 12, "num_classes": 3}
    asked = task(set="pyg", level="graph", options=fake)
    found = load_graphs(asked, SMALL)
    assert (len(found.graphs), found.classes) == (6, 3)
    assert found.graphs[0].x.shape[1] == found.features
    with pytest.raises(ConfigError, match="the labels of pyg are not of a node"):
        load_graphs(task(set="pyg", level="node", options=fake), SMALL)
    with pytest.raises(ConfigError, match=r"options\.class is 'TUDatset'; did you mean 'TUDataset'"):
        task(set="pyg", level="graph", options={"class": "TUDatset"}).sizes()
    with pytest.raises(ConfigError, match="does not take root"):
        task(set="pyg", level="graph", options={"class": "TUDataset", "nam": "X"}, root=str(tmp_path)).sizes()


@pytest.mark.usefixtures("geometric")
@pytest.mark.parametrize("labels", [None, torch.tensor([0.5])])
def test_a_users_data_set_without_labels_says_so(labels: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from torch_geometric.data import Data

    from bench.data.graphs.sets import pyg

    class Unlabelled(list[Any]):
        num_node_features = 3

    graph = Data(x=torch.zeros(2, 3), edge_index=torch.tensor([[0], [1]]), y=labels)
    monkeypatch.setattr(pyg, "_dataset", lambda _: Unlabelled([graph, graph]))
    with pytest.raises(ConfigError, match="the graphs of pyg have no labels that are classes; compute one"):
        task(set="pyg", level="graph").sizes()


@pytest.mark.usefixtures("geometric")
def test_what_cannot_be_computed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch_geometric.data import Data

    from bench.data.graphs.sets import small_world
    from bench.data.graphs.typed import load_graphs

    apart = Data(edge_index=torch.tensor([[0, 1, 2, 3], [1, 0, 3, 2]]), num_nodes=4)
    monkeypatch.setattr(small_world, "load", lambda *_: [apart, apart])
    with pytest.raises(DataError, match="path_length cannot be computed: Graph is not connected"):
        load_graphs(task(set="small_world", label="path_length", feature="constant"), SMALL)
