# The agent and its specs. Sourced inside a world, after measure.sh and work.sh.

export HOMEOSTAT_DATA_DIR=$work/data HOMEOSTAT_RUN_DIR=$work/run HOMEOSTAT_CONFIG=$work/config.toml
specs=$work/specs
port=9464

# One app for each ten containers.
write_specs() {
    local number
    : >"$HOMEOSTAT_CONFIG"
    mkdir "$specs"
    for ((number = 0; number < containers; number++)); do
        printf '%s\n' "[container.sleep-$number]" "image = \"$image\"" >>"$specs/app-$((number / 10)).toml"
    done
}

is_ready() { http GET "$port" /readyz | head -n 1 | grep -q ' 200 '; }

# start_agent OPTION...
start_agent() {
    "$homeostat" agent --source "$specs" --listen "127.0.0.1:$port" "$@" >>"$work/agent.log" 2>&1 &
    agent=$!
    await 60 "the agent is ready" is_ready
}

# microseconds METRIC: the sum of a metric in seconds, which may have labels.
microseconds() {
    http GET "$port" /metrics | awk -v name="$1" '$1 == name { sum = $2 } END { printf "%d", sum * 1000000 }'
}

# What the agent itself says of looking at everything and finding nothing to do.
look_at_everything() {
    local name=homeostat_reconcile_duration_seconds_sum before number
    for ((number = 0; number < 10; number++)); do
        before=$(microseconds "$name")
        "$homeostat" apply >>"$log"
        sample reconcile_us $(($(microseconds "$name") - before))
    done
}
