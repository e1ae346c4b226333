"""Latency data sets: what is measured, kept and continued; and what is fitted to them. Nothing here is timed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bench.cli import main
from bench.commands.fit_latency import lines
from bench.latency.backends import prepared, ready
from bench.latency.collect import collect
from bench.latency.conditions import LatencyError
from bench.latency.dataset import continued, read_data
from bench.latency.fit import fit
from bench.latency.fitted_file import SUFFIX, find_fitted, fitted_path, load_cost, save_fit
from bench.latency.here import conditions_here
from bench.latency.networks import jobs, single_changes
from bench.latency.timing import Protocol, timed, undisturbed
from methods.parts.costs.counts import Built
from methods.parts.costs.encodings import encoding_of
from methods.spaces import NetworkSettings, get_space
from tests.bench.fake_latency import FakeClock, additive, conditions, measured


class StoppedError(Exception):
    """A kill in the middle."""


def test_both_are_timed_in_turn_and_the_fastest_call_of_each_counts() -> None:
    said: list[str] = []
    ticks = iter(range(1000))
    durations = {"network": [9, 4, 6, 8], "reference": [3, 2, 5, 2]}
    now = 0.0

    def call(name: str) -> None:
        nonlocal now
        said.append(name)
        if len(said) > 2:  # behind the warm-up
            now += durations[name].pop(0) / 1e3

    def clock() -> float:
        next(ticks)
        return now

    found = timed(
        lambda: call("network"), lambda: call("reference"), Protocol(rounds=2, calls=2, clock="cpu", warm_up=1), clock
    )
    assert said == ["reference", "network", *["network"] * 2, *["reference"] * 2, *["network"] * 2, *["reference"] * 2]
    assert found.network == pytest.approx((9, 4, 6, 8))
    assert found.reference == pytest.approx((3, 2, 5, 2))
    assert found.ratio(calls=2) == pytest.approx((4 / 2 * 6 / 2) ** 0.5)
    assert undisturbed([3.0, 1.0, 2.0]) == 1.0
    assert undisturbed([float(n) for n in range(20, 0, -1)]) == 2.0


def test_drift_is_in_both_and_goes_away(tmp_path: Path) -> None:
    steady = measured(tmp_path / "a.jsonl", "chain_xs", 30)
    drifting = measured(tmp_path / "b.jsonl", "chain_xs", 30, FakeClock(additive("chain_xs"), drift=0.02))
    assert steady.drift() == 0
    assert drifting.drift() > 0.5
    ratios = [drifting.ms(b) / steady.ms(a) for a, b in zip(steady.measured, drifting.measured, strict=True)]
    assert max(ratios) == pytest.approx(min(ratios), rel=1e-4)


def test_more_networks_begin_with_the_same_ones() -> None:
    few, many = list(jobs("chain_xs", 40, 0, True)), list(jobs("chain_xs", 60, 0, True))
    assert [job.key for job in few] == [job.key for job in many[: len(few)]]
    assert [job.architecture for job in few] == [job.architecture for job in many[: len(few)]]
    drawn = {job.index: job.architecture for job in many if job.role == "random"}
    assert len({each.digest for each in drawn.values()}) == 60
    again = [job for job in many if job.role == "repeat"]
    assert len(again) == 8
    assert all(job.architecture == drawn[job.index] for job in again)
    with pytest.raises(LatencyError, match="63504 networks"):
        next(jobs("chain_xs", 63505, 0, True))


@pytest.mark.parametrize("space", ["chain_xs", "darts_cell", "nasbench201", "nasbench_macro"])
def test_every_operation_is_in_a_network_of_single_changes(space: str) -> None:
    encoding = encoding_of(space)
    seen = torch.stack([encoding.discrete(each) for each in single_changes(space)]).amax(dim=0)
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack([encoding.discrete(get_space(space).sample(generator)) for _ in range(300)]).amax(dim=0)
    assert bool((seen >= drawn).all())


def test_a_killed_collection_goes_on_where_it_was(tmp_path: Path) -> None:
    path, clock = tmp_path / "data.jsonl", FakeClock(additive("chain_xs"))
    whole = measured(tmp_path / "whole.jsonl", "chain_xs", 25, operations=False)

    def until_ten(job: object) -> object:
        if clock.calls == 10:
            raise StoppedError
        return clock(job)  # type: ignore[arg-type]

    with pytest.raises(StoppedError):
        measured(path, "chain_xs", 25, until_ten, operations=False)  # type: ignore[arg-type]
    content = path.read_bytes()
    assert content.count(b"\n") == 11
    path.write_bytes(content[:-7])  # a last line that a kill cut short
    found = measured(path, "chain_xs", 25, clock, operations=False)
    assert clock.calls == 10 + (26 - 9)
    assert [each.job.key for each in found.measured] == [each.job.key for each in whole.measured]
    assert [found.ms(each) for each in found.measured] == pytest.approx([whole.ms(each) for each in whole.measured])
    before = clock.calls
    measured(path, "chain_xs", 25, clock, operations=False)
    assert clock.calls == before


def test_a_damaged_line_and_a_second_writer_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    measured(path, "chain_xs", 3, operations=False)
    with continued(path, conditions("chain_xs")), pytest.raises(LatencyError, match="another process"):
        measured(path, "chain_xs", 4, operations=False)
    text = path.read_text().splitlines()
    path.write_text("\n".join([text[0], text[1], text[2].replace('"ms"', '"xs"'), text[3]]) + "\n")
    with pytest.raises(LatencyError, match="line 3 is damaged"):
        read_data(path)
    path.write_text("{}\n")
    with pytest.raises(LatencyError, match="no latency file"):
        read_data(path)
    with pytest.raises(LatencyError, match="there is no latency file"):
        read_data(tmp_path / "other.jsonl")


def test_other_conditions_do_not_meet_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    measured(path, "chain_xs", 3, operations=False)
    with pytest.raises(LatencyError, match=r"device Fake CPU instead of Other.*batch 1 instead of 4"):
        measured(path, "chain_xs", 3, operations=False, device="Other", batch=4)


def test_no_path_and_no_host_is_in_a_file(tmp_path: Path) -> None:
    import platform

    measured(tmp_path / "data.jsonl", "chain_xs", 2, operations=False)
    text = (tmp_path / "data.jsonl").read_text()
    assert str(Path.cwd()) not in text
    assert str(tmp_path) not in text
    assert f'"{platform.node()}"' not in text
    document = json.loads(text.splitlines()[0])
    assert {"commit", "dirty", "python", "date", "device", "threads", "batch", "dtype", "protocol"} <= set(document)


def test_a_table_is_recovered_and_judged_beside_constant_and_repeat(tmp_path: Path) -> None:
    data = measured(tmp_path / "data.jsonl", "chain_xs", 120, FakeClock(additive("chain_xs"), noise=0.01, drift=0.01))
    found = fit(data, kinds=("table", "operations"))
    assert found.fitted_on == 96
    assert len(found.held_out) == 24
    errors = {kind: each.errors.mean for kind, each in found.fitted.items()}
    assert errors["table"] < 0.015 < found.constant.mean
    assert found.repeat is not None
    assert 0.002 < found.repeat.mean < 0.03
    assert found.repeat.n == 20
    assert found.constant.tau is None
    assert found.fitted["table"].errors.tau is not None
    assert found.fitted["table"].errors.tau > 0.8
    assert found.beaten("table") == ("constant",)
    text = "\n".join(lines(found))
    for word in ("constant (the mean)", "table (fitted)", "table (single operations)", "measured again", "alpha ~ 4"):
        assert word in text


def test_the_relaxed_prediction_of_a_table_is_that_of_a_sharp_architecture(tmp_path: Path) -> None:
    data = measured(tmp_path / "data.jsonl", "chain_xs", 60)
    (gaps,) = [each.gaps for each in fit(data, kinds=("table",)).fitted.values()]
    assert [gap.sharpness for gap in gaps] == [0.001, 1.0, 4.0]
    assert gaps[2].mean < gaps[0].mean


def test_a_predictor_that_beats_nothing_is_not_taken_silently(tmp_path: Path) -> None:
    noise = FakeClock(lambda architecture: 5.0, noise=0.1)
    path = tmp_path / "data.jsonl"
    found = fit(measured(path, "chain_xs", 60, noise, operations=False), kinds=("table", "operations"))
    assert "operations" in found.remarks
    found.fitted["table"] = found.fitted["table"].__class__(**{
        **vars(found.fitted["table"]), "errors": found.constant,
    })  # fmt: skip
    assert found.best is None
    assert "beats neither the constant nor the table" in "\n".join(lines(found))
    save_fit(found, fitted_path(path))
    with pytest.raises(LatencyError, match=r"no predictor .* beats a constant"):
        load_cost(fitted_path(path), "chain_xs")
    named = load_cost(fitted_path(path), "chain_xs", "table")
    assert named.told["beats"] == []
    with pytest.raises(LatencyError, match=r"no predictor 'operations' \(no networks of single operations"):
        load_cost(fitted_path(path), "chain_xs", "operations")


def test_a_fitted_file_gives_the_cost_back_and_refuses_what_it_is_not_of(tmp_path: Path) -> None:
    formula = additive("chain_xs")
    path = tmp_path / "latency" / "data.jsonl"
    save_fit(fit(measured(path, "chain_xs", 80), kinds=("table",)), fitted_path(path))
    cost = load_cost(fitted_path(path), "chain_xs", device="fake cpu")
    assert cost.name == "latency_ms"
    assert "Fake CPU" in cost.unit
    architecture = get_space("chain_xs").reference()
    assert cost.discrete(architecture) == pytest.approx(formula(architecture), rel=0.02)
    with pytest.raises(LatencyError, match="latencies of chain_xs, not of chain_s"):
        load_cost(fitted_path(path), "chain_s")
    with pytest.raises(LatencyError, match=r"measured on Fake CPU \(cpu\), not on 'cuda'"):
        load_cost(fitted_path(path), "chain_xs", device="cuda")
    with pytest.raises(LatencyError, match="another size: scale"):
        load_cost(
            fitted_path(path), "chain_xs", network=Built(10, NetworkSettings(scales={"chain_xs": {"channels": 16}}))
        )
    assert find_fitted(tmp_path, "chain_xs", "cpu") == fitted_path(path)
    with pytest.raises(LatencyError, match=r"no latency of chain_xs on 'phone'.*There: .*Fake CPU.*measure-latency"):
        find_fitted(tmp_path, "chain_xs", "phone")
    with pytest.raises(LatencyError, match="no latency of nasbench201"):
        find_fitted(tmp_path, "nasbench201")
    fitted_path(path).write_bytes(b"{}")
    with pytest.raises(LatencyError, match="is no fitted latency"):
        load_cost(fitted_path(path), "chain_xs")
    with pytest.raises(LatencyError, match="there is no fitted latency"):
        load_cost(tmp_path / f"none{SUFFIX}", "chain_xs")


def test_cells_must_have_the_measured_size(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    save_fit(fit(measured(path, "darts_cell", 50, operations=False), kinds=("table",)), fitted_path(path))
    load_cost(fitted_path(path), "darts_cell", network=Built(10, NetworkSettings(8, 5, auxiliary=True)))
    with pytest.raises(LatencyError, match="cells 5 instead of 8, channels 8 instead of 16"):
        load_cost(fitted_path(path), "darts_cell", network=Built(10, NetworkSettings(16, 8)))


def test_too_few_measurements_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "data.jsonl"
    measured(path, "chain_xs", 49, operations=False)
    assert main(["fit-latency", str(path)]) == 2
    assert "49 random networks were measured, and fitting takes at least 50" in capsys.readouterr().err


def test_a_missing_device_or_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    usual = {"threads": 1, "batch": 1, "classes": 10, "image_size": 32, "seed": 0, "rounds": 1, "calls": 1}
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    found = conditions("chain_xs", backend="onnxruntime")
    with pytest.raises(LatencyError, match=r"pip install 'dasbench\[latency\]'"):
        prepared(get_space("chain_xs").reference(), found)
    here = conditions_here("chain_xs", NetworkSettings(), backend="torch", device="cpu", **usual)  # type: ignore[arg-type]
    assert here.protocol.clock == "cpu"
    more = conditions_here("chain_xs", NetworkSettings(), backend="torch", device="cpu", **(usual | {"threads": 2}))  # type: ignore[arg-type]
    assert more.protocol.clock == "wall"
    if not torch.cuda.is_available():
        assert main(["measure-latency", "chain_xs", "--device", "cuda", "--runs-dir", str(tmp_path)]) == 2


@pytest.mark.parametrize("backend", ["torch", "onnxruntime"])
def test_a_network_is_computed(backend: str, tmp_path: Path) -> None:
    if backend == "onnxruntime":
        pytest.importorskip("onnxruntime")
    found = conditions("chain_xs", backend=backend, protocol=Protocol(1, 1, "cpu", warm_up=0))
    ready(found)
    data = collect(tmp_path / "data.jsonl", found, jobs("chain_xs", 2, 0, False))
    assert len(data.measured) == 2
    assert all(data.ms(each) > 0 for each in data.measured)
    assert (torch.tensor(1e-310, dtype=torch.float64) * 0.5).item() > 0  # subnormal numbers are back


def test_help_of_the_commands_loads_no_torch() -> None:
    code = (
        "import sys; from bench.cli import build_parser\n"
        "try: build_parser().parse_args(['measure-latency', '--help'])\n"
        "except SystemExit: sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
