# Clocks, samples, and what /proc tells of processes. Sourced by what runs inside a world, where every process
# that /proc shows belongs to the side that is measured.
#
# A sample is a line `NAME VALUE` of the file $samples; a name that stands there several times was measured
# several times. The suffix of a name is its unit: _us, _kib, _count.

samples=$work/samples
log=$work/log

# A pipe that nobody writes to: waiting on it is a sleep that starts no process.
exec {silence}<> <(:)

# nap SECONDS
nap() { read -rt "$1" -u "$silence" || :; }

# sample NAME VALUE
sample() { echo "$1 $2" >>"$samples"; }

# Sets $now to microseconds.
clock() { now=${EPOCHREALTIME/[.,]/}; }

# timed NAME COMMAND...: runs a command to its end and samples how long it took.
timed() {
    local name=$1 began
    shift
    clock; began=$now
    "$@" >>"$log" 2>&1 || { echo "failed: $*" >&2; tail -n 20 "$log" >&2; exit 1; }
    clock
    sample "$name" $((now - began))
}

# await SECONDS WHAT COMMAND...: waits until a command succeeds.
await() {
    local rounds=$(($1 * 50)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        ((rounds-- > 0)) || { echo "gave up waiting: $what" >&2; tail -n 20 "$log" >&2; exit 1; }
        nap 0.02
    done
}

# http METHOD PORT PATH: asks a server on loopback without starting a client, and prints its answer.
http() {
    local connection status=0
    exec {connection}<>"/dev/tcp/127.0.0.1/$2"
    printf '%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n' "$1" "$3" >&"$connection"
    cat <&"$connection" || status=$?
    exec {connection}>&-
    return "$status"
}

# post PORT PATH: asks without starting any process at all; prints the line with the status.
post() {
    local connection line
    exec {connection}<>"/dev/tcp/127.0.0.1/$1"
    printf 'POST %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n' "$2" >&"$connection"
    read -r line <&"$connection"
    exec {connection}>&-
    echo "$line"
}

# pids_running PROGRAM: the processes whose executable is this file, as a list in $pids.
pids_running() {
    local process
    pids=()
    for process in /proc/[0-9]*; do
        if [ "$process/exe" -ef "$1" ]; then pids+=("${process#/proc/}"); fi
    done
}

# cgroup_of PID: sets $cgroup to a directory of a hierarchy that holds the process and every descendant of it.
cgroup_of() {
    local line
    cgroup=
    while read -r line; do
        case $line in
            *:pids:*) cgroup=/sys/fs/cgroup/pids${line#*:pids:}; return ;;
            0::*) cgroup=/sys/fs/cgroup${line#0::} ;;
        esac
    done <"/proc/$1/cgroup"
}

# note_cgroup PID: leaves a word for whoever cleans up after this side about the parent of its containers' cgroups.
note_cgroup() {
    cgroup_of "$1"
    cgroup=${cgroup#/sys/fs/cgroup}
    cgroup=${cgroup#/pids}
    dirname "$cgroup" >"$work/cgroup"
}

# sleeper_in CGROUP: sets $sleeper to the `sleep` that runs in it; fails while there is none. What prepares the container
# is in the same cgroup under another name.
sleeper_in() {
    local pid name
    { while read -r pid; do
        read -r name <"/proc/$pid/comm" || continue
        if [ "$name" = sleep ]; then sleeper=$pid; return 0; fi
    done <"$1/cgroup.procs"; } 2>/dev/null
    return 1
}

# heal NAME PID: kills a container's process and samples the time until its successor runs.
heal() {
    local killed=$2 began rounds=20000
    cgroup_of "$killed"
    clock; began=$now
    kill -KILL "$killed"
    until sleeper_in "$cgroup" && [ "$sleeper" != "$killed" ]; do
        ((rounds-- > 0)) || { echo "gave up waiting: nothing runs in $cgroup again" >&2; exit 1; }
        nap 0.0005
    done
    clock
    sample "$1" $((now - began))
    # What is left to do after a restart is not to count for the next one.
    nap 0.5
}

# memory NAME PID...: samples the proportional set size of each process.
memory() {
    local name=$1 pid key value _
    shift
    for pid in "$@"; do
        while read -r key value _; do
            if [ "$key" = Pss: ]; then sample "$name" "$value"; fi
        done <"/proc/$pid/smaps_rollup"
    done
}

# effort PID...: sets $effort_ns to the processor time that all threads took since the call before with one of these
# processes, $switches to their context switches. A thread that ended in between is not counted.
declare -A effort_before=() switches_before=()
effort() {
    local pid task key value count _
    effort_ns=0 switches=0
    for pid in "$@"; do
        for task in "/proc/$pid/task"/*; do
            { read -r value _ <"$task/schedstat"; } 2>/dev/null || continue
            effort_ns=$((effort_ns + value - ${effort_before[$task]:-0}))
            effort_before[$task]=$value
            count=0
            while read -r key value; do
                case $key in *voluntary_ctxt_switches:) count=$((count + value)) ;; esac
            done <"$task/status"
            switches=$((switches + count - ${switches_before[$task]:-0}))
            switches_before[$task]=$count
        done
    done
}
