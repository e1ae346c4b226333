"""Drawings of architectures: what they show, and that SVG, PNG and PDF show the same."""

import subprocess
import sys
import xml.etree.ElementTree as ET
from itertools import combinations

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg

from methods.architecture import Architecture, ArchitectureError
from methods.genotypes import published, published_names
from reports.colours import INK, MUTED
from reports.draw import describe, draw, draw_architecture, figure_of, svg_of
from reports.draw.shapes import Area, Box, Dot, Drawing, Line, Text, arrow, of_kind
from reports.style import figure_style, themed

SVG = "{http://www.w3.org/2000/svg}"


def inside(drawing, shape):
    """Whether no point of a shape, nor the place of a text, lies beyond the ground."""
    if isinstance(shape, Box):
        points = [shape.corner, (shape.corner[0] + shape.width, shape.corner[1] + shape.height)]
    elif isinstance(shape, Dot | Text):
        points = [shape.centre if isinstance(shape, Dot) else shape.place]
    else:
        points = shape.points
    return all(0 <= x <= drawing.width and 0 <= y <= drawing.height for x, y in points)


ONE_OF_EACH_SPACE = {published(name).space: name for name in reversed(published_names())}.values()


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in ONE_OF_EACH_SPACE else pytest.mark.long) for name in published_names()],
)
def test_every_published_architecture_is_drawn(name):
    architecture = published(name)
    drawing = draw_architecture(architecture)
    cells = describe(architecture)
    assert all(cell.title in drawing.texts for cell in cells)
    root = ET.fromstring(svg_of(drawing, name))
    assert sorted(node.text for node in root.iter(f"{SVG}text")) == sorted(drawing.texts)
    assert len(list(root.iter(f"{SVG}circle"))) == sum(len(cell.edges) for cell in cells)
    assert all(inside(drawing, shape) for shape in drawing.shapes)


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_a_drawing_is_written(tmp_path, suffix):
    path = draw(published("DARTS_V2"), tmp_path / "new" / f"cell.{suffix}")
    assert path.stat().st_size > 5000
    before = path.read_bytes()
    assert draw(published("DARTS_V2"), path).read_bytes() == before


def test_a_drawing_shows_every_edge_and_width():
    cell = {"edges": [["sep_conv_3x3", 0, 2], ["skip_connect", 1, 2], ["dil_conv_5x5", 2, 3]], "concat": [2, 3]}
    architecture = Architecture(
        "dense_cell", {"cells": [cell] * 4}, {"channels": 8, "cells": 4}, {"cells.0.s3": 6, "cells.0.op0.mid": 10}
    )
    first = describe(architecture)[0]
    assert first.edges[0] == ("sep_conv_3x3", 0, 2, "mid 10")
    assert first.widths == ("8 ch", "8 ch", "8 ch", "6 ch")
    texts = draw_architecture(architecture).texts
    for expected in ("sep conv 3x3 · mid 10", "skip", "dil conv 5x5", "6 ch", "node 1"):
        assert expected in texts


def test_a_cell_of_nasbench201_is_drawn_without_none():
    text = "|none~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_1x1~1|none~2|"
    (cell,) = describe(Architecture("nasbench201", {"cell": text}))
    assert [edge[:3] for edge in cell.edges] == [("nor_conv_3x3", 1, 2), ("skip_connect", 0, 3), ("nor_conv_1x1", 1, 3)]
    assert [edge[3] for edge in cell.edges] == ["idle", "", "idle"]
    texts = draw_architecture(Architecture("nasbench201", {"cell": text})).texts
    for expected in ("input", "node 1", "node 2", "output", "skip", "nor conv 1x1 · idle"):
        assert expected in texts
    assert any("idle: carries nothing" in said for said in texts)
    nothing = text.replace("nor_conv_3x3", "none").replace("skip_connect", "none").replace("nor_conv_1x1", "none")
    assert (
        describe(Architecture("nasbench201", {"cell": nothing}))[0].output == "output: zeros; every operation is none"
    )


def test_pruned_shared_cells_show_the_range_of_widths():
    v2 = published("DARTS_V2")
    pruned = Architecture(v2.space, v2.genotype, {"channels": 16, "cells": 8}, {"cells.0.op0.mid": 5})
    normal = describe(pruned)[0]
    assert normal.edges[0][3] == "mid 5-64"


def test_masks_are_counted():
    v2 = published("DARTS_V2")
    masks = {"a": torch.tensor([True, False, True]), "b": torch.tensor([[False]])}
    assert draw_architecture(Architecture(v2.space, v2.genotype, masks=masks)).texts[0] == "masks keep 2 of 4 weights"


def test_an_unknown_suffix_is_an_error(tmp_path):
    with pytest.raises(ArchitectureError, match=r"\.png, \.svg or \.pdf"):
        draw(published("DARTS_V2"), tmp_path / "cell.bmp")


def test_a_drawing_with_hostile_words_is_sound_xml(tmp_path):
    path = draw(published("DARTS_V2"), tmp_path / 'a"b <&>\x07.svg')
    ET.fromstring(path.read_text())
    hostile = 'a\x1b[31m\x00\ufffe]]> & <b> "é'
    root = ET.fromstring(svg_of(Drawing(9, 9, (Text((1, 1), hostile, 7, INK),)), hostile))
    assert root.attrib["aria-label"] == next(root.iter(f"{SVG}text")).text == hostile.translate(
        dict.fromkeys((0x1B, 0, 0xFFFE), "\ufffd")
    )  # fmt: skip


def test_a_drawing_in_the_page_follows_its_theme():
    text = themed(svg_of(draw_architecture(published("DARTS_V2")), "cells"))
    assert INK not in text
    assert MUTED not in text
    assert {f"{name}: var(--{colour})" in text for name, colour in (("stroke", "grid"), ("fill", "ink"))} == {True}
    assert 'style="width: 1010pt"' in text
    assert ' width="1010.4pt"' not in text


@pytest.mark.parametrize("name", ["DARTS_V2", "MG_DARTS_small", "NASNet_A"])
def test_names_of_operations_do_not_overlap(name):
    """Measured with the font that the drawings name; the drawing itself measures nothing."""
    with figure_style():
        figure = figure_of(draw_architecture(published(name)))
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [text.get_window_extent(renderer) for text in figure.texts]
    ground = figure.bbox
    assert all(ground.x0 <= box.x0 and box.x1 <= ground.x1 and ground.y0 <= box.y0 for box in boxes)
    lanes = {}
    for box in boxes:
        lanes.setdefault(round(box.y0 / 4), []).append(box)
    assert not any(a.overlaps(b) for lane in lanes.values() for a, b in combinations(lane, 2))


def test_every_shape_is_where_it_is_said_to_be(tmp_path):
    """In the SVG by its numbers, in the figure by its pixels."""
    line, head = arrow((10, 20), (50, 20), "#ff0000", 2.0)
    assert (line.points, head.points) == (((10, 20), (44, 20)), ((50, 20), (44, 17.2), (44, 22.8)))
    upright = arrow((10, 50), (10, 20), "#ff0000", 2.0)
    assert (upright[0].points[1], upright[1].points[0]) == ((10, 26), (10, 20))
    shapes = (line, head, Dot((80, 20), "#00ff00", 5.0), Box((60, 40), 20, 10, "#0000ff", "#0000ff", 1.0, 0.0))
    drawing = Drawing(100, 60, (*shapes, Line(((5, 55), (95, 55)), "#777777", 1.0, (3.0, 2.0))))
    assert [len(of_kind(drawing, kind)) for kind in (Line, Area, Dot, Box)] == [2, 1, 1, 1]
    text = svg_of(drawing, "shapes")
    assert '<path d="M10 20L44 20"/>' in text
    assert '<path d="M50 20L44 17.2L44 22.8z"/>' in text
    assert "stroke-dasharray: 3 2" in text
    figure = figure_of(drawing)
    figure.dpi = 72
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]
    assert pixels.shape == (60, 100, 3)
    for (x, y), colour in {(20, 20): 0, (46, 20): 0, (80, 20): 1, (70, 45): 2}.items():
        assert pixels[y, x].argmax() == colour, (x, y)
        assert pixels[y, x].min() < 40
    assert (pixels[5, 5] == 255).all()


def test_widths_of_a_network_are_bars_of_their_length():
    vgg = published("VGG16")
    pruned = Architecture("vgg", {"depth": 16}, {}, {"features.0": 40, "features.1": 80})
    boxes = of_kind(draw_architecture(pruned), Box)
    assert boxes[1].width == pytest.approx(2 * boxes[0].width)
    assert {"features.0", "40", "80", "channels", "vgg: depth 16"} <= set(draw_architecture(pruned).texts)
    assert "default widths throughout" in draw_architecture(vgg).texts


def test_svg_takes_no_plotting_library():
    code = (
        "import sys; from reports.draw import draw_architecture, svg_of; from methods.genotypes import published; "
        "svg_of(draw_architecture(published('DARTS_V2')), 'x'); sys.exit('matplotlib' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_stages_and_cells_by_stage_are_drawn():
    drawn = describe(published("HsDAS_cifar10"))
    assert [cell.title for cell in drawn[:3]] == [f"stage {n}: 6 cells" for n in (1, 2, 3)]
    assert drawn[0].edges[-1] == ("skip_connect", 6, 7, "")
    assert drawn[0].output.endswith("output: cell 5, cell 6 concatenated")
    assert [cell.title for cell in drawn[3:]] == ["normal cell", "reduction cell"]
    pair = published("DARTS_V2").genotype
    kinds = ("normal1", "reduce1", "normal2", "reduce2", "normal3")
    staged = describe(Architecture("staged_cell", {kind: pair[kind[:-1]] for kind in kinds}))
    assert [cell.title for cell in staged[:2]] == ["normal cell of stage 1", "reduction cell of stage 1"]
    assert len(staged) == 5
