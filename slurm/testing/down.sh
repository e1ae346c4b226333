#!/usr/bin/env bash
# Stop the cluster that up.sh started, each daemon by its own pid.
#
#   slurm/testing/down.sh            state and accounting stay; up.sh resumes them
#   slurm/testing/down.sh --purge    forget state, accounting and configuration too
set -uo pipefail

ROOT=${SLURM_TEST_ROOT:-/var/lib/slurm-test}
MARK='# dasbench test cluster'
[ "$(id -u)" = 0 ] || { echo "slurm-down: needs root; run it as root or with sudo" >&2; exit 2; }
[ -e "$ROOT/laid-out" ] || { echo "slurm-down: no test cluster under $ROOT"; exit 0; }

alive() { [ "$(cat "/proc/$1/comm" 2>/dev/null)" = "$2" ] && ! grep -q '^State:[[:space:]]*Z' "/proc/$1/status" 2>/dev/null; }
stop() {  # pid file, process name
    local pid i
    pid=$(cat "$1" 2>/dev/null) || return 0
    if [ -n "$pid" ] && alive "$pid" "$2"; then
        kill "$pid"
        for ((i = 0; i < 150; i++)); do alive "$pid" "$2" || break; sleep 0.1; done
        alive "$pid" "$2" && { echo "slurm-down: $2 ($pid) does not stop on TERM; killed" >&2; kill -9 "$pid"; }
    fi
    rm -f "$1"
}

# jobs first: a job's slurmstepd outlives its slurmd
if grep -qF "$MARK" /etc/slurm/slurm.conf 2>/dev/null && timeout 5 scontrol ping 2>/dev/null | grep -q 'is UP'; then
    squeue -h -o %A 2>/dev/null | sort -u | xargs -r scancel 2>/dev/null
    for ((i = 0; i < 150; i++)); do [ -z "$(timeout 5 squeue -h 2>/dev/null)" ] && break; sleep 0.1; done
fi
for file in "$ROOT"/run/slurmd-*.pid; do [ -e "$file" ] && stop "$file" slurmd; done
stop "$ROOT/run/slurmctld.pid" slurmctld
stop "$ROOT/run/slurmdbd.pid" slurmdbd
stop "$ROOT/run/mariadbd.pid" mariadbd
stop "$ROOT/run/munged.pid" munged
if [ "${1:-}" = --purge ]; then
    for name in slurm gres cgroup slurmdbd; do
        grep -qF "$MARK" "/etc/slurm/$name.conf" 2>/dev/null && rm -f "/etc/slurm/$name.conf"
    done
    rm -rf "$ROOT"
fi
echo "slurm-down: stopped"
