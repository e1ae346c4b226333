"""The page in a browser: sorting, filtering, fold-outs, themes, phone and print; from disk, without a network."""

import importlib.util
import os
import shutil

import pytest

import reports
from bench.data.tables import get_table
from bench.run.table_search import Answers
from tests.reports.looked_up import write_batch, write_lookup
from tests.reports.synthetic import KINDS, Kind, experiment

CHROMIUM = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(importlib.util.find_spec("playwright") is None, reason="pip install playwright to run these"),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: install it, or name its program in CHROMIUM"),
]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    root = tmp_path_factory.mktemp("browser")
    folder = experiment(root / "runs", KINDS[:7], searches=2, retrains=1, epochs=4)
    reports.build([folder], root / "out", ["html"])
    return (root / "out" / "index.html").as_uri()


@pytest.fixture(scope="module")
def thirty(tmp_path_factory):
    """A page of thirty rows with every column there is, long names among them."""
    root = tmp_path_factory.mktemp("thirty")
    names = [f"method-{i}" if i % 3 else f"a-method-with-a-rather-long-name-{i}" for i in range(23)]
    kinds = (*KINDS[:7], *(Kind(name, "darts", 3.0 + 0.02 * i, sparsity=0.01) for i, name in enumerate(names)))
    folder = experiment(root / "runs", kinds, searches=2, retrains=2, epochs=0, architectures=False)
    reports.build([folder], root / "out", ["html"])
    return (root / "out" / "index.html").as_uri()


@pytest.fixture(scope="module")
def looked_up(tmp_path_factory):
    """A page of look-ups alone: a batch of seeds, and a search whose scores and metrics were kept."""
    root = tmp_path_factory.mktemp("looked-up")
    write_batch(root / "nas-quick", Answers(get_table("nasbench201"), "cifar10", 200), "sampled", "random_sampling", 30)
    agreement = {"networks": 200, "kendall_tau": 0.3, "top": {"10": 0.2, "50": 0.4, "100": 0.6}}
    values = {"arch/skips": 5, "arch/entropy": 1.5, "arch/operations/skip_connect": 5, "arch/operations/none": 1}
    for seed in range(2):
        write_lookup(root / "nas-quick", "gradient", seed, agreement, [values] * 3)
    reports.build([root / "nas-quick"], root / "out", ["html"])
    return (root / "out" / "index.html").as_uri()


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


@pytest.fixture
def open_page(browser, address):
    """Opens the page offline; fails the test on any message on the console."""
    contexts, messages = [], []

    def opened(width=1440, scheme="light", address=address):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: messages.append(message.text))
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.goto(address)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert messages == []


def column(page, name):
    """Texts of a column of the first table, by heading."""
    return page.evaluate(
        """(name) => {
          const table = document.querySelector("table.sortable");
          const heads = [...table.tHead.rows[0].cells].map((cell) => cell.textContent.replace(/\\s+/g, " ").trim());
          return [...table.tBodies].map((body) => body.rows[0].cells[heads.indexOf(name)].dataset.value);
        }""",
        name,
    )


def heading(page, name):
    return page.locator("table.sortable").first.locator("thead th button").filter(has_text=name).first


def test_sorting_by_mouse_and_by_keyboard(open_page):
    page = open_page()
    button = heading(page, "params")
    button.click()
    values = [float(value) for value in column(page, "params M")]
    assert values == sorted(values)
    assert page.locator("th[aria-sort]").count() == 1
    button.press("Enter")
    values = [float(value) for value in column(page, "params M")]
    assert values == sorted(values, reverse=True)
    assert page.locator("th[aria-sort=descending]").text_content().startswith("params")


def test_empty_cells_stay_last_in_both_directions(open_page):
    page = open_page()
    for _ in range(2):
        heading(page, "RI").click()
        values = column(page, "RI %")
        assert "" not in values[: len(values) - values.count("")]
        assert values[-1] == ""


def test_filter_hides_rows_and_counts_them(open_page):
    page = open_page()
    page.get_by_label("Filter").first.fill("darts published")
    shown = page.locator("table.sortable").first.locator("tbody:visible tr.row th")
    assert [text.strip() for text in shown.all_text_contents()] == ["DARTS_V2"]
    assert page.locator("output").first.text_content() == "1 of 7 rows"
    page.get_by_label("Filter").first.fill("")
    assert shown.count() == 7


def test_fold_out_shows_where_a_row_comes_from(open_page):
    page = open_page()
    button = page.get_by_role("button", name="mgas-small")
    assert not page.get_by_text("dasbench run synthetic --profile paper").first.is_visible()
    button.press("Enter")
    assert button.get_attribute("aria-expanded") == "true"
    detail = page.locator("#" + button.get_attribute("aria-controls"))
    for text in (
        "dasbench run synthetic --profile paper",
        "a" * 40,
        "NVIDIA A100",
        "torch 2.11.0",
        "train-mgas-small-s0",
    ):
        assert detail.get_by_text(text).first.is_visible(), text
    assert detail.locator("svg").is_visible()
    heading(page, "params").click()
    assert detail.is_visible()
    button.click()
    assert not detail.is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_theme_follows_the_system_and_the_button(open_page, scheme):
    page = open_page(scheme=scheme)
    ground = "getComputedStyle(document.body).backgroundColor"
    axis = "getComputedStyle(document.querySelector('figure svg text')).fill"
    before = page.evaluate(f"[{ground}, {axis}]")
    assert (before[0] == "rgb(255, 255, 255)") == (scheme == "light")
    page.locator(".theme").click()
    after = page.evaluate(f"[{ground}, {axis}]")
    assert before[0] != after[0]
    assert before[1] != after[1]
    page.reload()
    assert page.evaluate(ground) == after[0]


def test_values_under_the_pointer(open_page):
    page = open_page()
    point = page.locator("figure .tip").first
    point.scroll_into_view_if_needed()
    point.hover(force=True)
    assert "accuracy 9" in page.locator("#hover").text_content()


def test_thirty_rows_fit_a_window_of_1300_pixels(open_page, thirty):
    """The details fold away, and come back when asked for."""
    page = open_page(1300, address=thirty)
    frame = page.locator(".scroll.rows").first
    assert frame.evaluate("e => e.scrollWidth <= e.clientWidth")
    hidden = page.locator("table.main").first.locator("thead th.more:visible")
    assert hidden.count() == 0
    page.get_by_role("button", name="Show all columns").first.click()
    assert hidden.count() >= 5
    assert frame.evaluate("e => e.scrollWidth > e.clientWidth")
    page.get_by_role("button", name="Fewer columns").first.click()
    assert hidden.count() == 0


@pytest.mark.parametrize("width", [1000, 400])
def test_rank_and_method_stay_while_the_rest_scrolls(open_page, thirty, width):
    page = open_page(width, address=thirty)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    places = """e => { e.scrollLeft = 1e6; e.scrollTop = 200;
      const [frame, head] = [e.getBoundingClientRect(), e.querySelector("thead th.method").getBoundingClientRect()];
      const row = e.querySelector("tbody:nth-of-type(12) tr");
      const [rank, name] = [...row.cells].slice(0, 2).map((cell) => cell.getBoundingClientRect());
      const last = [...row.cells].filter((cell) => cell.offsetWidth).pop().getBoundingClientRect();
      return {moved: e.scrollLeft, rank: rank.left - frame.left, name: name.left - rank.right,
              share: name.right / frame.width, head: head.top - frame.top, last: frame.right - last.right,
              lines: [...row.cells].slice(0, 3).map((cell) => getComputedStyle(cell).borderTopWidth)}; }"""
    found = page.locator(".scroll.rows").first.evaluate(places)
    assert found["moved"] > 50
    assert abs(found["rank"]) <= 2
    assert abs(found["name"]) <= 2
    assert abs(found["head"]) <= 2
    assert found["last"] >= 0
    assert found["share"] < 0.7
    assert found["lines"] == ["1px"] * 3


def test_nothing_is_cut_in_print(open_page, thirty):
    """Every column stands on the paper, in one of two tables; no element reaches over the edge of an A4 page."""
    page = open_page(1047, address=thirty)  # 277 mm, the width between the margins
    page.get_by_role("button", name="Show all columns").first.click()
    page.emulate_media(media="print")
    over = page.evaluate(
        """() => [...document.querySelectorAll("main *")]
          .filter((e) => e.getBoundingClientRect().right > 1047.5).slice(0, 3).map((e) => e.outerHTML.slice(0, 80))"""
    )
    assert over == []
    heads = "e => e.checkVisibility() ? e.querySelectorAll('thead th').length : 0"
    shown = page.locator("table.main").first.locator("thead th:visible").count()
    rest = page.locator("table.rest").first.evaluate(heads)
    assert rest > 2
    assert shown + rest - 2 == page.locator("table.main").first.locator("thead th").count()
    clipped = page.locator(".scroll").first.evaluate(
        "e => getComputedStyle(e).overflowX + getComputedStyle(e).maxHeight"
    )
    assert clipped == "visiblenone"


@pytest.mark.parametrize("width", [360, 390, 768])
def test_phone_width_does_not_scroll_sideways(open_page, width):
    page = open_page(width)
    page.locator(".fold").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_print_is_light_and_without_controls(open_page):
    page = open_page(scheme="dark")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.locator(".theme").is_visible()
    assert not page.get_by_label("Filter").first.is_visible()
    assert page.pdf(prefer_css_page_size=True)[:4] == b"%PDF"


def test_every_control_and_figure_has_a_name(open_page):
    page = open_page()
    unnamed = page.evaluate(
        """() => [
          ...[...document.querySelectorAll("button")].filter((b) => !b.textContent.trim()),
          ...[...document.querySelectorAll("input")].filter((i) => !i.labels.length),
          ...[...document.querySelectorAll("figure svg")].filter((s) => !s.getAttribute("aria-label")),
        ].length"""
    )
    assert unnamed == 0
    assert page.locator("figure svg").count() >= 8


def test_look_ups_fit_the_window_and_their_filter_reaches_the_figures(open_page, looked_up):
    page = open_page(1300, address=looked_up)
    frame = page.locator(".scroll.rows").first
    assert frame.evaluate("e => e.scrollWidth <= e.clientWidth")
    assert page.locator("tr.row").first.evaluate("e => e.offsetHeight") < 60
    marks = "[...document.querySelectorAll('.plots .tip')].filter((e) => e.style.display !== 'none')"
    named = f"(name) => {marks}.filter((e) => e.textContent.trim().startsWith(name)).length"
    assert page.evaluate(named, "sampled") > 0
    before = page.evaluate(named, "gradient")
    page.get_by_label("Filter").first.fill("gradient")
    assert page.locator("output").first.text_content() == "1 of 2 rows"
    assert page.evaluate(named, "sampled") == 0
    assert page.evaluate(named, "gradient") == before > 0


def test_look_ups_on_a_phone_and_in_print(open_page, looked_up):
    page = open_page(400, address=looked_up)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    page.set_viewport_size({"width": 1047, "height": 900})
    page.emulate_media(media="print")
    over = "[...document.querySelectorAll('main *')].filter((e) => e.getBoundingClientRect().right > 1047.5).length"
    assert page.evaluate(over) == 0
    shown = page.locator("table.main thead th:visible").count() + page.locator("table.rest thead th").count() - 2
    assert shown == page.locator("table.main thead th").count()


def test_a_page_of_look_ups_explains_its_own_columns(open_page, looked_up):
    terms = open_page(address=looked_up).locator("dl.legend dt").all_text_contents()
    assert "Kendall's tau" in terms
    assert "RI %" not in terms
