"""Figures: what is computed for them, and that nothing on them overlaps."""

import copy
import json
import re
import sys
import xml.etree.ElementTree as ET
from contextlib import nullcontext
from dataclasses import fields, replace
from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pytest

import reports
from methods import registry
from methods.parts.watched import SKIPS
from methods.tasks import CLASSIFICATION
from methods.watched import Watched
from reports.analysis import analyse
from reports.build import gather
from reports.colours import COLOURS
from reports.curves import read_curves
from reports.output import Drawn, Output, write
from reports.plots import all_plots
from reports.shown import digest
from reports.style import Palette, figure_style, svg, themed
from reports.tradeoffs import metric_against_cost, metric_against_macs, metric_against_params, pareto
from reports.watched import declared, flagged, of_loop, search_plots
from tests.reports.synthetic import KINDS, Kind, experiment

FIFTEEN = tuple(
    Kind(f"a-method-{i}", f"m{i}", 2.6 + 0.03 * (i % 5), params=(3.2 + 0.04 * i) * 1e6, macs=(500 + 3 * (i % 7)) * 1e6)
    for i in range(15)
)


@pytest.fixture(autouse=True)
def _style():
    with figure_style():
        yield
    plt.close("all")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = experiment(tmp_path_factory.mktemp("runs"), KINDS[:7], searches=2, epochs=6)
    return analyse(gather([folder])[0])[0][0]


def palette_of(table):
    return Palette(entry.row.name for entry in table.entries)


@pytest.mark.parametrize("make", [metric_against_params, metric_against_macs])
def test_labels_do_not_overlap_at_fifteen_methods(tmp_path, make):
    table = analyse(gather([experiment(tmp_path, FIFTEEN, searches=2, retrains=1, epochs=0)])[0])[0][0]
    figure = make(table, palette_of(table)).figure
    figure.canvas.draw()
    texts = [text for text in figure.axes[0].texts if text.get_text()]
    boxes = [plt.Text.get_window_extent(text) for text in texts]  # without the line to the point
    assert len(boxes) == 15
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
    frame = figure.bbox
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 for box in boxes)


def cost_figure(tmp_path, kinds):
    table = analyse(gather([experiment(tmp_path, kinds, searches=2, retrains=2, epochs=0)])[0])[0][0]
    figure = metric_against_cost(table, palette_of(table)).figure
    figure.canvas.draw()
    return figure


def free(name, error):
    return Kind(name, "published", error, hours=0.0, searched=False)


def test_rows_without_a_search_stand_side_by_side(tmp_path):
    kinds = (*KINDS[:3], *(free(f"cell-{i}", 2.7 + 0.01 * i) for i in range(8)))
    strip, axes = cost_figure(tmp_path, kinds).axes
    places = [line.get_xdata()[0] for line in strip.lines if line.get_gid()]
    assert sorted(places) == list(range(9))  # random sampling costs no search either
    assert {text.get_text() for text in strip.get_xticklabels()} == {"random", *(f"cell-{i}" for i in range(8))}
    boxes = [text.get_window_extent() for text in strip.get_xticklabels()]
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
    assert {text.get_text() for text in axes.texts} == {"darts", "darts-2nd"}
    assert axes.get_shared_y_axes().joined(strip, axes)


@pytest.mark.parametrize("hours", [(0.5, 1.0, 9.0), (0.001, 0.2, 48.0), (1e-5, 3e-5, 9.0)])
@pytest.mark.parametrize("anchors", [(), (free("cell", 2.5),)])
def test_no_axis_of_costs_is_negative(tmp_path, hours, anchors):
    kinds = [Kind(f"m{i}", f"m{i}", 2.6 + 0.1 * i, hours=h, params=4e4 * (1 + 90 * i)) for i, h in enumerate(hours)]
    figure = cost_figure(tmp_path / "a", (*kinds, *anchors))
    axes = figure.axes[-1]
    assert axes.get_xlim()[0] >= 0
    assert (axes.get_xscale() == "log") == (hours[-1] / hours[0] > 30)
    table = analyse(gather([tmp_path / "a" / "synthetic-paper"])[0])[0][0]
    assert metric_against_params(table, palette_of(table)).figure.axes[0].get_xlim()[0] >= 0


def test_a_table_without_any_search(tmp_path):
    (strip,) = cost_figure(tmp_path, (free("a", 2.5), free("b", 2.6))).axes
    assert [text.get_text() for text in strip.get_xticklabels()] == ["a", "b"]


def test_the_front_begins_at_the_best_row_that_cost_nothing(tmp_path):
    kinds = (Kind("worse", "w", 3.0, 0.0, 0.0), Kind("better", "b", 2.0, 0.0, 0.0, hours=12.0), free("cell", 2.5))
    axes = cost_figure(tmp_path, kinds).axes[-1]
    front = next(line for line in axes.lines if line.get_linestyle() == "--")
    assert front.get_ydata()[0] == pytest.approx(97.5, abs=0.3)
    assert front.get_ydata()[-1] == pytest.approx(98.0, abs=0.01)
    assert len(front.get_ydata()) == 3


def test_pareto_front():
    points = [(3.0, 97.0), (1.0, 96.0), (2.0, 95.0), (3.0, 96.5), (4.0, 97.0), (5.0, 98.0)]
    assert pareto(points) == [1, 0, 5]


def test_a_method_keeps_its_colour_and_fifteen_are_told_apart(table):
    palette = palette_of(table)
    assert palette.colour("l1-filters") == Palette(["l1-filters (fine-tuned)", "darts"]).colour(
        "l1-filters (fine-tuned)"
    )
    assert palette.colour("darts") == Palette(["darts", "a", "b"]).colour("darts")
    many = Palette([f"m{i}" for i in range(15)])
    looks = {(many.colour(f"m{i}"), many.marker(f"m{i}")) for i in range(15)}
    assert len(looks) == 15


def test_colours_stand_out_from_both_grounds():
    """WCAG 2.1 asks for a contrast of 3 in graphics; on white the light ones reach 2, and have markers and names."""

    def luminance(colour):
        parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))

    def contrast(a, b):
        high, low = sorted((luminance(a), luminance(b)), reverse=True)
        return (high + 0.05) / (low + 0.05)

    assert min(contrast(colour, "#ffffff") for colour in COLOURS) > 2
    assert min(contrast(colour, "#14181d") for colour in COLOURS) > 3


def searches(table):
    return {entry.row.name: entry.row.searches for entry in table.entries}


def test_every_plot_is_drawn_and_its_svg_is_sound(table):
    curves, problems = read_curves(searches(table))
    assert problems == []
    names = set()
    for plot in all_plots(table, curves, palette_of(table)):
        text = svg(plot.figure, plot.name, plot.caption)
        assert ET.fromstring(text).attrib["aria-label"]
        assert "<title>" in text
        assert "var(--ink)" in themed(text)
        names.add(plot.name)
        plt.close(plot.figure)
    assert names == {"accuracy-params", "accuracy-macs", "accuracy-cost", "memory", "search-curves", "operations",
                     "skips", "entropy", "mgas-ratios", "mgas-size", "mgas-lambda"}  # fmt: skip


def test_hover_values_are_escaped(tmp_path):
    table = analyse(gather([experiment(tmp_path, (Kind('a<b>&"c', "m", 3.0),), searches=2, epochs=0)])[0])[0][0]
    text = svg(metric_against_params(table, palette_of(table)).figure, "p", 'a "caption" <b>')
    titles = [element.text for element in ET.fromstring(text).iter("{http://www.w3.org/2000/svg}title")]
    assert any(title.startswith('a<b>&"c: accuracy 9') for title in titles)


def test_control_characters_and_quotes_leave_an_svg_sound():
    """Labels of today are printable; records of others, and names of files, may hold anything."""
    hostile = "a\x1b[31m\x00\x08\x9b\ufffe]]> & <b> é"
    figure, axes = plt.subplots()
    axes.set_title(hostile)
    axes.plot([0, 1], gid=f"tip:{hostile}")
    text = svg(figure, 'a"b <&>\x07.c', hostile)
    root = ET.fromstring(text)
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe]", text)
    assert all(re.fullmatch(r"a_b_{6}c-[\w.-]+", node.get("id")) for node in root.iter() if node.get("id"))


def test_small_numbers_on_an_axis_keep_their_digits():
    """Coordinates are shortened in the SVG; what is written on it is not."""
    figure, axes = plt.subplots()
    axes.plot([0.01351, 0.01362], [1.23456, 2], gid="tip:0.0135")
    axes.set_xticks([0.01351, 0.01362])
    text = svg(figure, "p", "loss 0.12345")
    root = ET.fromstring(text)
    words = {(element.text or "").strip() for element in root.iter()}
    assert {"0.01351", "0.01362", "0.0135"} <= words
    assert root.attrib["aria-label"] == "loss 0.12345"
    assert not any(re.search(r"\d\.\d{3}", element.attrib.get("d", "")) for element in root.iter())


def test_collapse_is_flagged(tmp_path):
    kinds = (Kind("fine", "darts", 3.0), Kind("collapsing", "darts", 4.0, collapse=True))
    table = analyse(gather([experiment(tmp_path, kinds, searches=2)])[0])[0][0]
    curves, _ = read_curves(searches(table))
    assert {name: [flagged(SKIPS, curve) for curve in found] for name, found in curves.items()} == {
        "fine": [False, False],
        "collapsing": [True, True],
    }
    skips = next(plot for plot in all_plots(table, curves, palette_of(table)) if plot.name == "skips")
    assert sorted(axes.get_title() for axes in skips.figure.axes) == ["collapsing\n⚠ 2 of 2 collapsed", "fine"]


FIGURES = """from methods.watched import Flag, Watched

WATCHED = (
    Watched(
        "cooling", "Cooling", {"cool/t": "hot", "cool/u": "cold"}, "degrees", "How warm it is",
        flag=Flag("warm", "a search that ends at 9", ("cool/t",), 9),
    ),
    Watched("lists", "Lists", {"cool/by_cell": ""}, "degrees", "Each cell", "by cell"),
    Watched("parts", "Parts", {"cool/part/": ""}, "parts", "What it is made of", "shares"),
    Watched("never", "Never", {"cool/never": ""}, "", "Not in any record"),
    Watched("wrong", "Wrong", {"cool/by_cell": ""}, "", "A list for each epoch, which is no line"),
)
"""
METHOD = """from cooling_figures import WATCHED
from methods.base import GradientSearch
from methods.registry import register


@register("cooling"{said})
class Cooling(GradientSearch):
    {stated}
"""
SAYS = {
    "its registration": {"said": ', watched="cooling_figures:WATCHED"', "stated": "pass"},
    "its class": {"said": "", "stated": "watched = WATCHED"},
}


@pytest.fixture(params=SAYS)
def loaded(request, tmp_path, monkeypatch):
    """An installed package with a method that no report has heard of, and whether it is loaded for its figures: they
    are said by its registration, or by its class alone."""
    package = tmp_path / "site"
    metadata = package / "cooling-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: cooling\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[dasbench.methods]\ncooling = cooling_method\n")
    (package / "cooling_figures.py").write_text(FIGURES)
    (package / "cooling_method.py").write_text(METHOD.format(**SAYS[request.param]))
    monkeypatch.syspath_prepend(package)
    registry.broken_plugins.cache_clear()
    yield request.param == "its class"
    registry.broken_plugins.cache_clear()
    registry._methods.pop("cooling", None)
    for module in ("cooling_method", "cooling_figures"):
        sys.modules.pop(module, None)


def test_a_new_method_has_its_curves_by_saying_what_is_worth_watching(tmp_path, loaded):
    folder = experiment(tmp_path, (Kind("mine", "cooling", 3.0), Kind("theirs", "not-installed", 4.0)), searches=2)
    values = {"cool/t": 9.0, "cool/u": 0.5, "cool/by_cell": [1, 2], "cool/part/a": 3, "cool/part/skip_connect": 1}
    for path in folder.glob("search-mine-*/metrics.jsonl"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        path.write_text("".join(json.dumps({**line, "values": line["values"] | values}) + "\n" for line in lines))
    table = analyse(gather([folder])[0])[0][0]
    plots = {plot.name: plot for plot in search_plots(read_curves(searches(table))[0], palette_of(table))}
    assert set(plots) == {"search-curves", "cooling", "lists", "parts", "operations", "skips", "entropy"}
    (axes,) = plots["cooling"].figure.axes
    assert axes.get_title() == "mine\n⚠ 2 of 2 warm"
    assert [len(set(line.get_ydata())) for line in axes.lines] == [1, 1, 1, 1, 1]  # two searches, two values, the limit
    assert plots["cooling"].caption.startswith(
        "How warm it is; solid hot, dotted cold; a search that ends at 9 (dots) is flagged as warm; "
    )
    assert [text.get_text() for text in plots["parts"].figure.legends[0].texts] == ["skip_connect", "a"]
    assert len(plots["lists"].figure.axes[0].lines) == 2
    assert {axes.get_title() for axes in plots["skips"].figure.axes} == {"mine", "theirs"}
    assert ("cooling_method" in sys.modules) is loaded


def test_a_figure_that_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="'five' of lines takes 1 to 4 values, not 5"):
        Watched("five", "", dict.fromkeys("abcde", ""), "", "")
    with pytest.raises(ValueError, match="'two' of shares takes 1 to 1 values, not 2"):
        Watched("two", "", {"a/": "", "b/": ""}, "", "", "shares")


def test_damaged_metrics_are_a_problem_not_a_crash(tmp_path):
    folder = experiment(tmp_path, KINDS[:1], searches=2)
    metrics = sorted(folder.glob("search-*/metrics.jsonl"))
    metrics[0].write_text("not json\n" + metrics[0].read_text())
    metrics[1].write_text('{"epoch": 0, "values": 7}\n')
    curves, problems = read_curves(searches(analyse(gather([folder])[0])[0][0]))
    assert curves == {}
    assert [str(path) in problem for path, problem in zip(metrics, sorted(problems), strict=True)] == [True, True]


def test_a_figure_that_shows_the_same_is_not_drawn_again(tmp_path, monkeypatch):
    """Of an unchanged one the files stay; a changed figure and a damaged file are drawn as they would be alone."""
    folder = experiment(tmp_path / "runs", KINDS[:1], searches=1, retrains=1, epochs=3)
    formats = ("svg", "png", "pdf", "html")
    saved = []
    monkeypatch.setattr("reports.output.in_forks", lambda jobs: [job() for job in jobs])  # to see what is written
    monkeypatch.setattr("reports.output.write", lambda *words: saved.append(words[0].stem) or write(*words))
    first = reports.build([folder], tmp_path / "out", formats)
    files = {path: path.read_bytes() for path in first.files}
    page = files[tmp_path / "out" / "index.html"]
    assert len(saved) == len(files) - 1  # all but the page
    saved.clear()
    again = reports.build([folder], tmp_path / "out", formats)
    assert again.files == first.files
    assert saved == []
    assert (tmp_path / "out" / "index.html").read_bytes()[-10_000:] == page[-10_000:]
    assert all(path.read_bytes() == files[path] for path in files if path.suffix != ".html")
    damaged = next(path for path in files if path.suffix == ".png")
    damaged.write_bytes(files[damaged][:100])
    slow = next(folder.glob("search-darts-s0-*/metrics.jsonl"))
    slow.write_text(slow.read_text().replace('"valid/accuracy": ', '"valid/accuracy": 1'))
    changed = reports.build([folder], tmp_path / "out", formats)
    (curves,) = {name for name in saved if name.endswith("search-curves")}
    assert sorted(saved) == sorted([damaged.stem, *[curves] * 3])
    alone = reports.build([folder], tmp_path / "alone", formats)
    for one, other in zip(changed.files, alone.files, strict=True):
        assert one.suffix == ".html" or one.read_bytes() == other.read_bytes(), one.name


def different(value):
    """Another value of the same kind."""
    if isinstance(value, np.ndarray):
        return value + 1
    if isinstance(value, bool | str) or value is None:
        return f"not {value}"
    return tuple(map(different, value)) if isinstance(value, tuple) else value + 1


def test_whatever_changes_in_what_a_figure_shows_it_is_drawn_again(table):
    """Every number of every row, every value of every search, colours, the declaration, the words beside it."""
    first, curves = table.entries[0], read_curves(searches(table))[0]
    shown = {plot.name: digest(plot.shows) for plot in all_plots(table, curves, palette_of(table))}
    for field in fields(first.summary):
        if field.name != "error" and getattr(first.summary, field.name):
            kept, more = first.summary, different(getattr(first.summary, field.name))
            first.summary = replace(kept, **{field.name: more})
            after = {plot.name: digest(plot.shows) for plot in all_plots(table, curves, palette_of(table))}
            first.summary = kept
            assert {name for name in shown if after[name] != shown[name]} >= {"accuracy-params", "accuracy-cost"}
    for name, series in next(iter(curves.values()))[0].values.items():
        changed = copy.deepcopy(curves)
        next(iter(changed.values()))[0].values[name] = different(series)
        after = {plot.name: digest(plot.shows) for plot in all_plots(table, changed, palette_of(table))}
        found = {plot for plot in shown if after[plot] != shown[plot]}
        every = (of_loop(CLASSIFICATION.metric), *declared(curves))
        assert found == {watched.name for watched in every if watched.of({name: 0})} | (
            {"entropy"} if name == "arch/entropy_uniform" else set()
        )
    others = Palette(["darts", "someone-else", *(f"another-{row.row.name}" for row in table.entries)])
    others._index |= {entry.row.name: index + 1 for index, entry in enumerate(table.entries)}
    after = {plot.name: digest(plot.shows) for plot in all_plots(table, curves, others)}
    assert not any(after[name] == shown[name] for name in shown)


def test_a_digest_tells_structures_apart():
    values = [1, "1", 1.0, None, (1,), [[1], []], [[], [1]], {"a": 1}, {"b": 1}, np.ones(2), np.ones((1, 2)),
              np.ones(2, np.float32), replace(KINDS[0], label="x")]  # fmt: skip
    assert len({digest(value) for value in values}) == len(values)
    assert digest(np.ones(2)) == digest(np.ones(2))


@pytest.mark.parametrize("content", ["", "[]", '{"x.png": 3}', "[" * 100_000])
def test_a_damaged_note_of_what_was_drawn_is_no_matter(tmp_path, content):
    (tmp_path / "x.png").touch()
    (tmp_path / ".drawn.json").write_text(content)
    output = Output(tmp_path, ["png"], False, [], [])
    drawn = Drawn("", lambda: plt.figure(figsize=(1, 1)))
    output.order(tmp_path / "x", "", lambda: nullcontext(drawn), lambda text: None)
    output.finish()
    assert (tmp_path / "x.png").stat().st_size
    assert list(Output(tmp_path, [], False, [], []).drawn) == ["x.png"]
