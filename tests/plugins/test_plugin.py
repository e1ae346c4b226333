"""A third-party method, installed as a package with an entry point, runs like one of ours; the guide shows its code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

PLUGIN = Path(__file__).parent / "evolution"
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """The environment of a Python that has the plugin: what pip writes for it, on the path."""
    project = tomllib.loads((PLUGIN / "pyproject.toml").read_text())["project"]
    metadata = tmp_path / "site" / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    group, entries = next(iter(project["entry-points"].items()))
    lines = [f"[{group}]", *(f"{name} = {target}" for name, target in entries.items())]
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")
    path = os.pathsep.join([str(PLUGIN), str(metadata.parent)])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def dasbench(*arguments: str, environment: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-c",
        "import sys; from bench.cli import main; sys.exit(main())",
        *arguments,
    ]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_plugin_runs_like_our_own(installed: dict[str, str], tmp_path: Path) -> None:
    experiment = yaml.safe_load((ROOT / "tests" / "experiments" / "tiny.yaml").read_text())
    experiment["rows"] = {"evolution": {"method": "aging_evolution"}}
    profile = experiment["profiles"]["tiny"]
    profile["recipe_changes"]["epochs"] = 1
    profile["options"] = {"aging_evolution": {"samples": 3, "population": 2, "tournament": 2}}
    profile["search_seeds"] = [0]
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(experiment))
    done = dasbench("run", str(path), "--no-tracking", "--runs-dir", str(tmp_path / "runs"), "--device", "cpu",
                    environment=installed, folder=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "evolution" in done.stdout
    (search,) = (tmp_path / "runs" / "mine-tiny").glob("search-evolution-*")
    result = json.loads((search / "result.json").read_text())
    assert result["costs"]["images"] == 3 * 48  # three proposals, one epoch of half the 96 images each
    assert result["costs"]["device_s"] > 0


def test_without_the_plugin_the_method_is_unknown(tmp_path: Path) -> None:
    from methods.base import MethodError
    from methods.registry import get_method

    with pytest.raises(MethodError, match="unknown method 'aging_evolution'"):
        get_method("aging_evolution")


def test_the_guide_shows_the_example_as_it_is() -> None:
    guide = (ROOT / "CONTRIBUTING.md").read_text()
    for name in ("dasbench_evolution.py", "pyproject.toml"):
        assert (PLUGIN / name).read_text().strip() in guide, f"CONTRIBUTING.md does not show {name} as it is"
