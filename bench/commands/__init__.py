"""The commands of `dasbench`, a file each.

A command's file has `HELP` (one sentence), `arguments(parser)` and `run(options)`, which returns the exit code. It
imports torch, reports and slurm inside of `run` alone: what `dasbench --help` and shell completion load stays light.
"""

COMMANDS = {
    name: f"bench.commands.{name}"
    for name in ("run", "launch", "status", "cancel", "report", "sync", "show", "export", "speed", "list", "doctor")
}
"""The module of each command, in the order of `dasbench --help`."""
