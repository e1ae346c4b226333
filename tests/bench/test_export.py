"""Exported networks compute what PyTorch computes; what cannot be exported is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from bench.records.directory import RecordError, RunDirectory
from bench.run import export as module
from bench.run.export import ExportError, export
from bench.run.one_run import DONE, execute


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
