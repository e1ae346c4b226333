"""Exported networks compute what PyTorch computes; what cannot be exported is said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from bench.cli import main
from bench.plan.experiment import load_experiment
from bench.plan.runs import plan
from bench.records.directory import RecordError, RunDirectory, save_architecture
from bench.run import export as module
from bench.run.export import ExportError, export
from bench.run.one_run import DONE, execute
from methods.spaces import NetworkSettings, get_space
from tests.bench.conftest import TINY


@pytest.mark.slow
def test_onnx_and_torch_export(
    tiny_runs: Callable[..., list[RunDirectory]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run,) = tiny_runs("DARTS_V2")
    with pytest.raises(RecordError, match="not a finished training"):
        export(run.path, tmp_path)
    assert execute(run.path, "cpu") == DONE
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ExportError, match=r"cannot write to .*file.*; choose another folder with --out"):
            export(run.path, out)
    made = export(run.path, tmp_path / "out")
    assert [item.path.name for item in made] == ["network.onnx", "network.pt2"]
    with pytest.raises(ExportError, match="unknown format 'onxx'; valid: onnx, torch"):
        export(run.path, tmp_path, ["onxx"])

    def wrong(network: torch.nn.Module, images: torch.Tensor, out: Path) -> tuple[Path, torch.Tensor]:
        return out / "wrong", network(images).detach() + 0.1

    monkeypatch.setattr(module, "_torch", wrong)
    with pytest.raises(ExportError, match="other logits than PyTorch"):
        export(run.path, tmp_path, ["torch"])


@pytest.mark.slow
@pytest.mark.parametrize("space", [pytest.param("stage_graph_xs", marks=pytest.mark.long), "block_network_xs"])
def test_networks_above_the_cell_are_exported_and_shown(
    space: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the commands: what they write computes what PyTorch does, counts as the closed form, and is drawn."""
    found = replace(get_space(space).sample(torch.Generator().manual_seed(1)), scale={"channels": 4})
    save_architecture(found, tmp_path / "given")
    content = yaml.safe_load(TINY.read_text())
    content["rows"] = {"given": {"architecture": str(tmp_path / "given")}}
    content["profiles"]["tiny"]["recipe_changes"] = {"epochs": 1, "batch_size": 16, "augmentation": "crop"}
    (tmp_path / "one.yaml").write_text(yaml.safe_dump(content))
    (info,) = plan(load_experiment(str(tmp_path / "one.yaml")), "tiny")
    run = RunDirectory(tmp_path / "runs" / info.name)
    run.create(info)
    assert execute(run.path, "cpu") == DONE
    assert main(["export", str(run.path), "--out", str(tmp_path / "out")]) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"network.onnx", "network.pt2"}
    assert capsys.readouterr().out.count("largest difference from PyTorch's logits") == 2
    assert main(["show", str(run.path), "--out", str(tmp_path / "drawing.svg")]) == 0
    said = capsys.readouterr().out
    assert f"{get_space(space).counts(found, 10, NetworkSettings()).params:,}" in said
    assert found.digest in said
    assert "stage 1" in (tmp_path / "drawing.svg").read_text()
