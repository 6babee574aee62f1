# homeostat on the work, with Docker as its engine. Runs inside a world; see world.sh.
set -euo pipefail
. "$library/measure.sh"
. "$library/work.sh"
. "$library/dockerd.sh"
. "$library/agent.sh"

export HOMEOSTAT_ENGINE=docker
homeostat=$work/homeostat

# The daemon's own count of what it was asked.
requests() { grep --count 'Calling [A-Z]* /' "$work/dockerd.log" || :; }

# What a look that finds nothing to do asks of the daemon.
count_requests() {
    local number before
    for ((number = 0; number < 5; number++)); do
        nap 0.5
        before=$(requests)
        "$homeostat" apply >>"$log"
        sample requests_count $(($(requests) - before))
    done
}

resident() {
    local key value _
    while read -r key value _; do
        case $key in
            VmRSS:) sample resident_kib "$value" ;;
            RssAnon:) sample anonymous_kib "$value" ;;
        esac
    done <"/proc/$agent/status"
}

start_docker --debug
make_image
write_specs
fact homeostat "$("$homeostat" --version)"
start_agent
timed converge_us "$homeostat" apply
memory daemon_kib "$agent"
resident
idle "$agent" ""
count_requests
look_at_everything
timed tear_down_us "$homeostat" agent --down
