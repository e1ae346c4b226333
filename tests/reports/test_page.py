"""The page as a file: self-contained, escaped, complete, small and quick to make."""

import json
import re
import time
from html.parser import HTMLParser

import pytest

import reports
from reports.analysis import analyse
from reports.build import gather
from reports.checklist import checklist
from tests.reports.synthetic import KINDS, Kind, experiment, one_train

VOID = {"meta", "link", "input", "br", "img", "hr"}


class Balance(HTMLParser):
    """Every element closed in order; addresses that would need a network collected."""

    def __init__(self):
        super().__init__()
        self.open, self.addresses, self.ids = [], [], []

    def handle_starttag(self, tag, attributes):
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attributes:
            if name in ("src", "href") and not (value or "").startswith(("#", "data:")):
                self.addresses.append(value)
            if name == "id":
                self.ids.append(value)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    root = tmp_path_factory.mktemp("page")
    folder = experiment(root / "runs", searches=2, epochs=5)
    bad = next(folder.glob("train-random-s0-r0-*"))
    (bad / "run.json").write_text("{")
    result = reports.build([folder], root / "out", ["html"])
    return (root / "out" / "index.html").read_text(), result, bad


def test_the_page_is_well_formed_and_needs_no_network(page):
    parser = Balance()
    parser.feed(page[0])
    assert parser.open == []
    assert parser.addresses == []
    assert len(parser.ids) == len(set(parser.ids))
    assert not re.search(r"@import|url\((?!#)", page[0].replace("url(#", "url(#"))


def test_a_corrupt_record_is_said_on_the_page(page):
    assert page[2].name in page[0]
    assert "1 problem with the records" in page[0]


def test_provenance_of_every_run_is_there(page):
    for text in ("dasbench run synthetic --profile paper", "a" * 40, "NVIDIA A100", "torch 2.11.0"):
        assert text in page[0]
    for path in (page[2].parent).glob("train-*-s1-*"):
        assert str(path) in page[0]


def test_records_cannot_inject_markup(tmp_path):
    one_train(tmp_path / "runs", "<script>alert(1)</script>", 3.0, environment={"command": "<img src=x onerror=y>"})
    reports.build([tmp_path / "runs"], tmp_path / "out", ["html"])
    text = (tmp_path / "out" / "index.html").read_text()
    assert "<script>alert" not in text
    assert "<img src=x" not in text


def answers(*kinds, tmp_path, **options):
    folder = experiment(tmp_path, kinds or KINDS[:3], epochs=0, architectures=False, **options)
    table = analyse(gather([folder])[0])[0][0]
    return {item.number: item for item in checklist(table, {"darts_cell"}, {})}


def test_checklist_has_fourteen_items_from_the_records(tmp_path):
    found = answers(tmp_path=tmp_path)
    assert sorted(found) == list(range(1, 15))
    assert found[1].status == found[9].status == found[13].status == "met"
    assert found[8].status == "partly met"
    assert found[10].status == "does not apply"


@pytest.mark.parametrize(
    ("number", "options", "evidence"),
    [
        (1, {"environment": {"dirty": True}}, "uncommitted changes"),
        (2, {"environment": {"commit": None}}, "do not name a commit"),
        (9, {"searches": 1}, "one search seed only"),
        (14, {"environment": {"command": None}}, r"command \("),
    ],
)
def test_checklist_says_what_is_not_met(tmp_path, number, options, evidence):
    item = answers(tmp_path=tmp_path, **options)[number]
    assert item.status == "not met"
    assert re.search(evidence, item.evidence)


def test_checklist_without_random_sampling(tmp_path):
    assert answers(*KINDS[:2], tmp_path=tmp_path)[8].status == "not met"


def test_checklist_of_different_devices(tmp_path):
    one_train(tmp_path, "darts", 3.0, 0)
    one_train(tmp_path, "darts", 3.0, 1, environment={"device": "other"})
    table = analyse(gather([tmp_path])[0])[0][0]
    item = checklist(table, set(), {})[10]
    assert item.status == "not met"
    assert "device" in item.evidence


def test_all_formats_are_written(tmp_path):
    folder = experiment(tmp_path / "runs", KINDS[:1], searches=1, retrains=1, epochs=3)
    result = reports.build([folder], tmp_path / "out")
    suffixes = {path.suffix for path in result.files}
    assert suffixes == {".csv", ".md", ".tex", ".png", ".svg", ".pdf", ".html"}
    assert all(path.stat().st_size for path in result.files)


@pytest.mark.long
def test_two_thousand_runs(tmp_path):
    """Under 30 s of processor time, and a page under 5 MB."""
    kinds = tuple(Kind(f"method-{i}", f"m{i}", 2.6 + 0.1 * (i % 4), params=(3 + 0.1 * i) * 1e6) for i in range(14))
    folder = experiment(tmp_path / "runs", (*kinds, KINDS[2]), searches=22, retrains=5, epochs=5)
    assert len(list(folder.glob("*/run.json"))) >= 1980
    start = time.process_time()
    reports.build([folder], tmp_path / "out", ["csv", "md", "tex", "html"])
    assert time.process_time() - start < 30
    assert (tmp_path / "out" / "index.html").stat().st_size < 5e6


def test_an_architecture_that_cannot_be_read_is_a_problem(tmp_path):
    folder = experiment(tmp_path / "runs", KINDS[:1], searches=1, retrains=1, epochs=0)
    for path in folder.glob("*/architecture.json"):
        document = json.loads(path.read_text())
        document["genotype"]["normal"]["edges"][0][0] = "unknown_op"
        path.write_text(json.dumps(document))
    result = reports.build([folder], tmp_path / "out", ["html"])
    assert any("architecture of darts cannot be drawn" in problem for problem in result.problems)
