"""The commands that look: what can be named, what an architecture counts, how fast a step is, what works here."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.experiment import experiment_names, load_experiment
from bench.records import read_records
from methods.architecture import Architecture

console = Console(highlight=False, soft_wrap=True)


def show(options: argparse.Namespace) -> int:
    """Counts of an architecture at a scale, and a drawing of it."""
    from bench.cost import count_macs, count_nonzero, count_params, fvcore_macs
    from methods.genotypes import published, published_names
    from methods.spaces import NetworkSettings, build

    name = options.architecture
    known = name in published_names()
    architecture = published(name) if known else Architecture.load(Path(name))
    imagenet = options.stem == "imagenet"
    size = options.size or (224 if imagenet else 32)
    settings = NetworkSettings(options.channels, options.cells, size == 32 or imagenet, options.stem)
    network = build(architecture, options.classes, settings)
    scale = architecture.scale or {"channels": options.channels, "cells": options.cells}
    console.print(f"[bold]{name}[/]  {architecture.space}, digest {architecture.digest}, {scale}")
    for key, value in architecture.provenance.items():
        console.print(f"    {key}: {value}", markup=False)
    shape = (3, size, size)
    counts = {
        "params (inference)": count_params(network),
        "params (training, with auxiliary head)": count_params(network, auxiliary=True),
        "params, non-zero": count_nonzero(network, architecture.masks),
        f"MACs at {size}x{size} (conv + linear)": count_macs(network, shape),
        "MACs, without masked weights": count_macs(network, shape, architecture.masks),
        "fvcore total": fvcore_macs(network, shape),
    }
    for text, count in counts.items():
        console.print(f"    {text:40} {count:>15,}")
    if options.out:
        from reports.draw import draw

        draw(architecture, options.out)
        console.print(f"Drawing: {options.out.resolve()}")
    return 0


def export(options: argparse.Namespace) -> int:
    """Write a trained network for other programs."""
    from bench.export import export as write

    for made in write(options.run_directory, options.out, options.formats):
        console.print(f"{made.path}  (largest difference from PyTorch's logits: {made.difference:.2g})")
    return 0


def speed(options: argparse.Namespace) -> int:
    """Measure or count, print, and write a CSV named by hardware and versions."""
    import pandas as pd

    rows, name = _count_steps(options) if options.count else _time_steps(options)
    options.out.mkdir(parents=True, exist_ok=True)
    path, table = options.out / name, pd.DataFrame(rows)
    if path.exists():  # what was measured now replaces its cases and leaves the others
        before = pd.read_csv(path)
        table = pd.concat([before[~before["case"].isin(table["case"])], table])
    table.convert_dtypes().to_csv(path, index=False, float_format="%.4g")  # counts stay whole where one is missing
    console.print(f"Table: {path.resolve()}")
    return 0


def _time_steps(options: argparse.Namespace) -> tuple[list[dict[str, Any]], str]:
    from bench.calibration import calibrate
    from bench.engine import choose_device, make_engine
    from bench.speed.cases import cases
    from bench.speed.measure import device_limits, file_name, measure
    from methods.parts.convolution import choose

    device = choose_device(options.device)
    engine = make_engine(device, options.precision, deterministic=device.type == "cuda", threads=options.threads)
    if device.type == "cpu":  # in the ways a run on this machine would compute
        choose(calibrate(options.runs_dir, options.threads))
    limits = device_limits(engine)
    console.print(
        f"{limits['bytes_per_s'] / 1e9:.1f} GB/s, {limits['flops_per_s'] / 1e9:.0f} GFLOP/s measured on {device}"
    )
    size = options.size or ("published" if device.type == "cuda" else "small")
    rows = []
    for case in cases(options.cases, size, engine, not options.no_oracle):
        row = measure(case, engine, options.repeats, limits)
        rows.append({**row, "gb_per_s": limits["bytes_per_s"] / 1e9, "gflop_per_s": limits["flops_per_s"] / 1e9})
        eager = f", without its graph {row['eager_ms']:.1f} ms" if row["eager_ms"] else ""
        beside = f", textbook {row['oracle_ms']:.0f} ms ({row['speedup']:.1f}x)" if row["oracle_ms"] else ""
        console.print(
            f"{case.name:10} C={case.channels} cells={case.cells} batch={case.batch}: {row['step_ms']:.1f} ms "
            f"({row['step_ms_min']:.1f} to {row['step_ms_max']:.1f}, n={row['n']}){eager}{beside}; "
            f"roofline {row['roofline_ms']:.1f} ms; data {row['data_share_percent']:.1f} %"
        )
    return rows, file_name(engine)


def _count_steps(options: argparse.Namespace) -> tuple[list[dict[str, Any]], str]:
    import torch

    from bench.config import ConfigError
    from bench.speed.count import count

    if options.device != "auto" or options.precision != "fp32":
        raise ConfigError("steps are counted in fp32 and on no device; leave --device and --precision out")

    rows = []
    for row in count(options.cases, options.size or "published", not options.no_oracle):
        rows.append(row)
        what = f"{row['case']:10} C={row['channels']} cells={row['cells']} batch={row['batch']} {row['by']:17}: "
        if "operations" not in row:
            console.print(what + "cannot be counted, it reads values")
            continue
        console.print(
            f"{what}{row['operations']:>6} operations, {row['own_kernels']:>4} own kernels, "
            f"{row['gbyte_moved']:7.1f} GB, {row['gflop']:7.0f} GFLOP, {row['saved_bytes'] / 2**30:6.2f} GiB kept"
        )
    return rows, f"counted-fp32-torch-{torch.__version__.partition('+')[0]}.csv"


def list_all(options: argparse.Namespace) -> int:
    """Everything that can be named on the command line, and what has been run."""
    from bench.recipe import recipe_names
    from methods.genotypes import published_names
    from methods.registry import all_methods

    for name in experiment_names():
        experiment = load_experiment(name)
        console.print(f"[bold]{name}[/]  {experiment.dataset}; profiles {', '.join(experiment.profiles)}")
        console.print(f"    rows: {', '.join(experiment.rows)}")
    console.print("[bold]methods[/]")
    for name, method in all_methods().items():
        console.print(f"    {name:24} {(method.__doc__ or '').strip().splitlines()[0]}", markup=False)
    console.print(f"[bold]recipes[/]  {', '.join(recipe_names())}")
    console.print(f"[bold]published architectures[/]  {', '.join(published_names())}")
    console.print(f"[bold]runs[/]  in {options.runs_dir}")
    for folder in sorted(options.runs_dir.glob("*")):
        records, problems = read_records(folder)
        if records or problems:
            done = sum(record.result is not None for record in records)
            damaged = f", {len(problems)} damaged" if problems else ""
            console.print(f"    {folder.name}: {done} of {len(records)} done{damaged}")
    return 0


def doctor(options: argparse.Namespace) -> int:
    """Say what works here and what does not; exit 1 when something needed is missing."""
    from bench.doctor import checks

    problems = 0
    for check in checks(options.runs_dir):
        console.print(
            f"[{'green' if check.good else 'yellow'}]{'ok ' if check.good else 'no '}[/] {check.name}: {check.text}"
        )
        problems += check.needed and not check.good
    return int(problems > 0)
