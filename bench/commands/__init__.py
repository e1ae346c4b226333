"""The commands of `dasbench`, a file each.

A command's file has `HELP` (one sentence), `arguments(parser)` and `run(options)`, which returns the exit code. It
imports torch, reports and slurm inside of `run` alone: what `dasbench --help` and shell completion load stays light.
"""

COMMANDS = {
    name: "bench.commands." + {"import": "import_cells"}.get(name, name.replace("-", "_"))  # as modules can be called
    for name in (
        "run",
        "launch",
        "status",
        "cancel",
        "report",
        "sync",
        "show",
        "import",
        "export",
        "pack",
        "unpack",
        "speed",
        "measure-latency",
        "fit-latency",
        "list",
        "doctor",
    )
}
"""The module of each command, in the order of `dasbench --help`."""
