"""`dasbench speed`: the steps of searches and of retraining, timed or counted."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.commands.arguments import add_device, local_path, offer, whole
from bench.commands.output import console

HELP = "time the steps of searches and of retraining, beside a textbook and the roofline"
CASES = ("darts", "darts-2nd", "darts-low", "pc_darts", "gdas", "mgas", "retrain", "retrain-imagenet")
UNUSUAL = ("darts-2nd", "darts-low", "retrain-imagenet")


def arguments(parser: argparse.ArgumentParser) -> None:
    text = f"{' '.join(CASES)} (all but {', '.join(UNUSUAL)})"
    usual = [case for case in CASES if case not in UNUSUAL]
    offer(parser.add_argument("cases", nargs="*", default=usual, metavar="CASE", help=text), CASES)
    add_device(parser)
    parser.add_argument("--size", choices=["small", "published"], help="small on a CPU, published on a GPU")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--threads", type=whole(1, 1024), default=1)
    parser.add_argument("--repeats", type=whole(1, 10_000), default=5)
    parser.add_argument(
        "--count", action="store_true", help="count what steps do on a GPU instead of timing; needs none"
    )
    parser.add_argument(
        "--in-turn",
        action="store_true",
        help="a step of each case in turn, all in memory at once: ratios of cases hold beside other work",
    )
    parser.add_argument("--no-oracle", action="store_true", help="leave the textbook implementation out")
    text = "an image folder: how many of its images a core decodes, beside what the steps need"
    parser.add_argument("--images", type=local_path, metavar="FOLDER", help=text)
    parser.add_argument("--out", type=local_path, default=Path("reports/results/speed"), help="folder of the CSV")


def run(options: argparse.Namespace) -> int:
    """Measure or count, print, and write a CSV named by hardware and versions, case by case."""
    _make_room(options.out)
    anew: dict[Path, list[dict[str, Any]]] = {}
    for name, row in _count_steps(options) if options.count else _time_steps(options):
        anew.setdefault(options.out / name, []).append(row)
        _keep(anew[options.out / name], options.out / name)
    for path in anew:
        console.print(f"Table: {path.resolve()}")
    return 0


def _keep(rows: list[dict[str, Any]], path: Path) -> None:
    """Write lines of a table; they replace those of their cases, and the others stay."""
    import pandas as pd

    table = pd.DataFrame(rows)
    if path.exists():
        before = pd.read_csv(path)
        table = pd.concat([before[~before["case"].isin(table["case"])], table])
    table.convert_dtypes().to_csv(path, index=False, float_format="%.4g")  # counts stay whole where one is missing


def _make_room(folder: Path) -> None:
    """A folder for the table, before minutes are spent on what it shall hold.

    Raises:
        ConfigError: it cannot be made, or nothing can be written to it.
    """
    from tempfile import TemporaryFile

    from bench.config import ConfigError

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(
            f"cannot write to {folder.resolve()}: {error.strerror}; choose another folder with `dasbench speed --out`"
        ) from None


def _time_steps(options: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any]]]:
    """The table's file name and a line of it, as soon as its case is measured."""
    from bench.device import proofs
    from bench.device.calibration import calibrate
    from bench.device.engine import choose_device, device_name, make_engine
    from bench.speed.cases import cases
    from bench.speed.decoding import beside_decoding, training_files
    from bench.speed.measure import device_limits, file_name, measure
    from methods.parts.cpu_choices import choose

    device = choose_device(options.device)
    if device.type == "cuda":  # by the paths that a run would take
        verdicts = proofs.prove(options.runs_dir, device, options.precision)
        proofs.rely_on(verdicts, f"{device_name(device)} ({options.runs_dir / proofs.FILE_NAME})")
    engine = make_engine(device, options.precision, deterministic=device.type == "cuda", threads=options.threads)
    if device.type == "cpu":  # in the ways a run on this machine would compute
        choose(calibrate(options.runs_dir, options.threads))
    files = None if options.images is None else training_files(options.images, options.runs_dir)
    limits = device_limits(engine)
    console.print(
        f"{limits['bytes_per_s'] / 1e9:.1f} GB/s, {limits['flops_per_s'] / 1e9:.0f} GFLOP/s measured on {device}"
    )
    size = options.size or ("published" if device.type == "cuda" else "small")
    name = file_name(engine)
    name = name.replace(".csv", "-in-turn.csv") if options.in_turn else name
    rows: list[dict[str, Any]] = []
    made = cases(options.cases, size, engine, not options.no_oracle)
    for group in [list(made)] if options.in_turn else ([case] for case in made):
        for case, row in zip(group, measure(group, engine, options.repeats, limits), strict=True):
            if files is not None:
                row |= beside_decoding(case, row["step_ms"], files, engine)
            rows.append({**row, "gb_per_s": limits["bytes_per_s"] / 1e9, "gflop_per_s": limits["flops_per_s"] / 1e9})
            _print_times(row, f"{case.side} pixels")
            yield name, rows[-1]
    if options.in_turn:
        _print_ratios(rows)


def _print_times(row: dict[str, Any], side: str) -> None:
    eager = f", without its graph {row['eager_ms']:.1f} ms" if row["eager_ms"] else ""
    beside = f", textbook {row['oracle_ms']:.0f} ms ({row['speedup']:.1f}x)" if row["oracle_ms"] else ""
    console.print(
        f"{row['case']:10} C={row['channels']} cells={row['cells']} batch={row['batch']}: {row['step_ms']:.1f} ms "
        f"({row['step_ms_min']:.1f} to {row['step_ms_max']:.1f}, n={row['n']}){eager}{beside}; "
        f"roofline {row['roofline_ms']:.1f} ms; data {row['data_share_percent']:.1f} %"
    )
    if "decode_cores" in row:
        console.print(
            f"  takes {row['images_per_s']:.0f} images/s; a core decodes {row['decode_per_s_core']:.0f} of "
            f"{side}: {row['decode_cores']} cores for one such step at a time"
        )


def _print_ratios(rows: list[dict[str, Any]]) -> None:
    """Every other case beside the first."""
    first = rows[0]
    for row in rows[1:]:
        time, kept = (row[name] / first[name] for name in ("step_ms", "saved_bytes"))
        console.print(f"{row['case']}: {time:.2f} of the time of {first['case']}, {kept:.2f} of its kept bytes")


def _count_steps(options: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any]]]:
    """As `_time_steps`."""
    import torch

    from bench.config import ConfigError
    from bench.speed.count import count

    if options.device != "auto" or options.precision != "fp32":
        raise ConfigError("steps are counted in fp32 and on no device; leave --device and --precision out")

    name = f"counted-fp32-torch-{torch.__version__.partition('+')[0]}.csv"
    for row in count(options.cases, options.size or "published", not options.no_oracle):
        yield name, row
        what = f"{row['case']:10} C={row['channels']} cells={row['cells']} batch={row['batch']} {row['by']:17}: "
        if "operations" not in row:
            console.print(what + "cannot be counted, it reads values")
            continue
        console.print(
            f"{what}{row['operations']:>6} operations, {row['own_kernels']:>4} own kernels, "
            f"{row['gbyte_moved']:7.1f} GB, {row['gflop']:7.0f} GFLOP, {row['saved_bytes'] / 2**30:6.2f} GiB kept"
        )
