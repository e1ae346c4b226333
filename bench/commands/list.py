"""`dasbench list`: everything that can be named, and what has been run."""

from __future__ import annotations

import argparse

from bench.commands.output import console

HELP = "list experiments, methods, recipes, published architectures, and what has been run"


def arguments(parser: argparse.ArgumentParser) -> None:
    """None of its own."""


def run(options: argparse.Namespace) -> int:
    """Everything that can be named on the command line, and what has been run."""
    from bench.experiment import experiment_names, load_experiment
    from bench.recipe import recipe_names
    from bench.records import read_records
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
