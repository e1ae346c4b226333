#!/usr/bin/env bash
# Bring up a real SLURM cluster on this one machine, for `make test-slurm`.
#
#   slurm/testing/up.sh          installs what is missing (Debian packages), writes the configuration, starts the daemons
#
# Exit codes: 77 where there can be no such cluster (no root, no apt-get or no packages, another cluster's configuration).
#
# Run it again at will: what is there is kept, a dead daemon is started again, a drained node is put back to service.
# The settings below are read when the cluster is first laid out; `down.sh --purge` forgets it.
#
#   NODES=2            slurmds on this machine, called n1, n2, ...; 1 gives one node named after the host
#   CPUS=8             of each node; may exceed what the machine has
#   GPUS=4             fake ones, of each node: CUDA_VISIBLE_DEVICES is set, nothing is behind it
#   ACCOUNTING=1       slurmdbd with a private MariaDB, so that sacct works; 0 leaves it out
#   USER_SIGNAL=0      1 adds SlurmctldParameters=preempt_send_user_signal
#   GRACE=10           seconds from a preemption's signal to its KILL
#
# Two partitions over the same nodes: `main` (default; its jobs are requeued by those of the other) and `urgent`.
set -euo pipefail

ROOT=${SLURM_TEST_ROOT:-/var/lib/slurm-test}   # state, logs, pid files and the database, all below here
NODES=${NODES:-2} CPUS=${CPUS:-8} GPUS=${GPUS:-4} ACCOUNTING=${ACCOUNTING:-1} USER_SIGNAL=${USER_SIGNAL:-0}
GRACE=${GRACE:-10}
CONF=/etc/slurm/slurm.conf
MARK='# dasbench test cluster'
HOST=$(hostname -s)
umask 022                                      # slurm.conf is read by every user that submits

fail() { echo "slurm-up: $*" >&2; exit 77; }  # there can be no such cluster here
broken() { echo "slurm-up: $*" >&2; tail -n 15 "$ROOT"/log/*.log >&2 2>/dev/null || true; exit 1; }
within() { local tries=$(( $1 * 10 )) i; shift; for ((i = 0; i < tries; i++)); do "$@" >/dev/null 2>&1 && return; sleep 0.1; done; return 1; }
alive() {  # pid file, process name; a zombie is not alive
    local pid; pid=$(cat "$1" 2>/dev/null) && [ -n "$pid" ] || return 1
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$2" ] && ! grep -q '^State:[[:space:]]*Z' "/proc/$pid/status" 2>/dev/null
}

[ "$(id -u)" = 0 ] || fail "needs root, to install packages and to start daemons; run it as root or with sudo"
command -v apt-get >/dev/null || fail "needs Debian or Ubuntu (apt-get); on a machine with a SLURM of its own, \`make test-slurm\` uses that one"
if [ -e $CONF ] && ! grep -qF "$MARK" $CONF; then
    fail "$CONF belongs to another cluster; it is left alone, and \`make test-slurm\` will use that cluster"
fi

install_packages() {
    local wanted=(munge slurmctld slurmd slurm-client) missing=() package
    [ "$ACCOUNTING" = 1 ] && wanted+=(slurmdbd mariadb-server-core mariadb-client-core)
    for package in "${wanted[@]}"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} = 0 ] && return
    echo "slurm-up: installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update -q && apt-get install -y -q --no-install-recommends "${missing[@]}"; } >"$ROOT/log/apt.txt" 2>&1 </dev/null ||
        { tail -n 20 "$ROOT/log/apt.txt" >&2; fail "the packages could not be installed; is there a network?"; }
}

node_names() { if [ "$NODES" = 1 ]; then echo "$HOST"; else seq -f 'n%g' 1 "$NODES"; fi; }

write_node_files() {
    local gpu
    mkdir -p /etc/slurm "$ROOT"/{run,state,spool,dev}
    chmod 700 "$ROOT/state"
    for ((gpu = 0; gpu < GPUS; gpu++)); do     # a gpu without a device file counts as none
        [ -e "$ROOT/dev/gpu$gpu" ] || mknod "$ROOT/dev/gpu$gpu" c 1 3 2>/dev/null || : >"$ROOT/dev/gpu$gpu"
    done
    { echo "$MARK"; [ "$GPUS" = 0 ] || echo "Name=gpu File=$ROOT/dev/gpu[0-$(( GPUS - 1 ))]"; } >/etc/slurm/gres.conf
    # slurmd loads a cgroup plugin even where nothing uses it; before 23.02 only v1 starts without systemd
    if dpkg --compare-versions "$(dpkg-query -W -f='${Version}' slurmd)" lt 23.02; then
        printf '%s\n' "$MARK" 'CgroupPlugin=cgroup/v1' >/etc/slurm/cgroup.conf
    else
        printf '%s\n' "$MARK" 'CgroupPlugin=disabled' >/etc/slurm/cgroup.conf
    fi
}

write_slurm_conf() {
    local memory number=0 name gres='' names
    memory=$(( $(awk '/^MemTotal/ {print $2}' /proc/meminfo) / 1024 * 9 / 10 / NODES ))
    [ "$GPUS" = 0 ] || gres=" Gres=gpu:$GPUS"
    names=$(node_names | paste -sd, -)
    cat <<EOT
$MARK
ClusterName=test
SlurmctldHost=$HOST(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=cred_expire=5              # 120 by default; a requeued job waits as long before it starts again
MailProg=/bin/true
MpiDefault=none
StateSaveLocation=$ROOT/state
SlurmdSpoolDir=$ROOT/spool/%n
SlurmctldPidFile=$ROOT/run/slurmctld.pid
SlurmdPidFile=$ROOT/run/slurmd-%n.pid
SlurmctldLogFile=$ROOT/log/slurmctld.log
SlurmdLogFile=$ROOT/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=100
GresTypes=gpu
SlurmdParameters=config_overrides   # lets CPUs exceed the hardware
JobRequeue=1
ReturnToService=2
SlurmdTimeout=10                    # 300 by default: how long a dead slurmd goes unnoticed
KillWait=5                          # 30 by default: from TERM to KILL
UnkillableStepTimeout=180           # 60 by default: a step that cannot reach the controller tries again after a minute
MinJobAge=3600                      # finished jobs stay visible to squeue
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
FirstJobId=$(( $(date +%s) / 60 % 60000 * 1000 + 1 ))  # a new cluster does not reuse the ids of an earlier one
EOT
    [ "$USER_SIGNAL" = 0 ] || echo 'SlurmctldParameters=preempt_send_user_signal'
    if [ "$ACCOUNTING" = 1 ]; then
        printf '%s\n' 'AccountingStorageType=accounting_storage/slurmdbd' 'AccountingStorageHost=localhost'
    else
        echo 'AccountingStorageType=accounting_storage/none'
    fi
    for name in $(node_names); do
        number=$(( number + 1 ))           # a job takes the node of least weight that has room: n1 before n2
        echo "NodeName=$name NodeHostname=$HOST NodeAddr=127.0.0.1 Port=$(( 17000 + number )) Weight=$number CPUs=$CPUS" \
            "RealMemory=$memory$gres State=UNKNOWN"
    done
    echo "PartitionName=main Nodes=$names Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=$GRACE"
    echo "PartitionName=urgent Nodes=$names MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF"
}

write_slurmdbd_conf() (  # the login of MariaDB's root through its socket is enough: slurmdbd is root here
    umask 077
    printf '%s\n' "$MARK" AuthType=auth/munge DbdHost=localhost SlurmUser=root "LogFile=$ROOT/log/slurmdbd.log" \
        "PidFile=$ROOT/run/slurmdbd.pid" StorageType=accounting_storage/mysql StorageHost=localhost StorageUser=root \
        StorageLoc=slurm_acct_db >/etc/slurm/slurmdbd.conf
)

munge_answers() { munge -n </dev/null 2>/dev/null | unmunge >/dev/null 2>&1; }

start_munge() {
    munge_answers && return
    [ -s /etc/munge/munge.key ] || head -c 128 /dev/urandom >/etc/munge/munge.key
    chown munge: /etc/munge/munge.key; chmod 400 /etc/munge/munge.key
    mkdir -p /run/munge; chown munge: /run/munge; chmod 755 /run/munge   # /run is empty after a boot
    runuser -u munge -- munged </dev/null >/dev/null 2>&1 || true
    within 10 munge_answers || broken "munged does not answer"
    cp /run/munge/munged.pid "$ROOT/run/munged.pid"                      # ours to stop
}

start_accounting() {
    local socket=$ROOT/run/mysql.sock
    if [ ! -e "$ROOT/mysql/mysql" ]; then
        mariadb-install-db --no-defaults --user=root --datadir="$ROOT/mysql" \
            --auth-root-authentication-method=socket --skip-test-db >"$ROOT/log/mariadb-install.txt" 2>&1 </dev/null
    fi
    if ! alive "$ROOT/run/mariadbd.pid" mariadbd; then
        setsid mariadbd --no-defaults --user=root --datadir="$ROOT/mysql" --socket="$socket" \
            --pid-file="$ROOT/run/mariadbd.pid" --skip-networking --performance-schema=OFF \
            --innodb-flush-log-at-trx-commit=0 --innodb-lock-wait-timeout=900 </dev/null >>"$ROOT/log/mariadbd.log" 2>&1 &
        within 30 mariadb --no-defaults -S "$socket" -e 'select 1' || broken "mariadbd does not answer"
    fi
    alive "$ROOT/run/slurmdbd.pid" slurmdbd || MYSQL_UNIX_PORT=$socket slurmdbd </dev/null >/dev/null 2>&1
    within 30 sacctmgr -n show cluster || broken "slurmdbd does not answer"
}

nodes_ready() { [ "$(sinfo -h -p main -N -o '%t' 2>/dev/null | grep -cE '^(idle|mix|alloc|comp)$')" = "$count" ]; }
registered() { sacctmgr -n -P show cluster format=cluster,controlhost,controlport | grep -q '^test|[^|]\+|[1-9]'; }

mkdir -p "$ROOT/log"
install_packages
if [ ! -e "$ROOT/laid-out" ]; then
    write_node_files
    write_slurm_conf >$CONF
    [ "$ACCOUNTING" = 0 ] || write_slurmdbd_conf
    touch "$ROOT/laid-out"
fi
start_munge
accounting=0; grep -q '^AccountingStorageType=accounting_storage/slurmdbd' $CONF && accounting=1
[ $accounting = 0 ] || start_accounting
alive "$ROOT/run/slurmctld.pid" slurmctld || slurmctld </dev/null >/dev/null 2>&1 || broken "slurmctld did not start"
names=$(sed -n 's/^NodeName=\([^ ]*\) .*/\1/p' $CONF); count=$(wc -w <<<"$names")
for name in $names; do
    mkdir -p "$ROOT/spool/$name"
    alive "$ROOT/run/slurmd-$name.pid" slurmd || slurmd -N "$name" </dev/null >/dev/null 2>&1 || broken "slurmd $name did not start"
done
if ! within 5 nodes_ready; then
    for name in $names; do scontrol update nodename="$name" state=resume >/dev/null 2>&1 || true; done
fi
within 30 nodes_ready || { sinfo -N -o '%N %t %E' >&2; broken "the nodes did not come up"; }
[ $accounting = 0 ] || within 30 registered || broken "the cluster did not register with slurmdbd"
echo "slurm-up: ready"
sinfo -p main -N -o '%10N %6t %4c %8m %10G'
