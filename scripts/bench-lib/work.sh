# The work that both sides do. Sourced inside a world, after measure.sh.

# An image with busybox and nothing else, and how often everything is done.
image=bench/sleep:1
containers=${BENCH_CONTAINERS:-50}
runs=${BENCH_RUNS:-3}
kills=${BENCH_KILLS:-20}
starts=${BENCH_STARTS:-10}
idle_seconds=${BENCH_IDLE_SECONDS:-60}

# fact NAME TEXT: what the table's caption says.
fact() { echo "$1 $2" >>"$work/facts"; }

# kill_and_wait PID...: heals as many containers as asked for, each of them once.
kill_and_wait() {
    local victim count=0
    for victim in "$@"; do
        if ((count++ == kills)); then break; fi
        heal heal_us "$victim"
    done
}

# idle DAEMONS SUPERVISORS: what doing nothing costs, of two lists of processes.
idle() {
    local daemons supervisors
    read -ra daemons <<<"$1"
    read -ra supervisors <<<"$2"
    # What was done before is to settle first; threads that wait for more work end.
    nap 20
    effort "${daemons[@]}" "${supervisors[@]}"
    nap "$idle_seconds"
    effort "${daemons[@]}"
    sample idle_daemon_ns "$effort_ns"
    sample idle_daemon_switches "$switches"
    effort "${supervisors[@]}"
    sample idle_supervisor_ns "$effort_ns"
    sample idle_supervisor_switches "$switches"
}

sample containers "$containers"
sample idle_seconds "$idle_seconds"
