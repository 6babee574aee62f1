# homeostat on the work. Runs inside a world; see world.sh.
set -euo pipefail
. "$library/measure.sh"
. "$library/work.sh"
. "$library/agent.sh"

# The processes of the containers.
container_pids() {
    "$homeostat" status --output json | grep --only-matching '"pid": *[0-9]*' | grep --only-matching '[0-9]*$'
}

# What the agent itself says of the steps of a container that is added beside the others.
start_one_by_one() {
    local step='homeostat_step_duration_seconds_sum{action="%s"}' create start created started number
    # shellcheck disable=SC2059 # The format is ours.
    create=$(printf "$step" create) start=$(printf "$step" start)
    for ((number = 0; number < starts; number++)); do
        created=$(microseconds "$create") started=$(microseconds "$start")
        printf '%s\n' "[container.start-$number]" "image = \"$image\"" >"$specs/start-$number.toml"
        "$homeostat" apply >>"$log"
        created=$(($(microseconds "$create") - created)) started=$(($(microseconds "$start") - started))
        sample start_us "$started"
        sample create_start_us $((created + started))
    done
    rm "$specs"/start-*.toml
    "$homeostat" apply >>"$log"
}

# The agent that is asked ends when all is removed.
agent_down() { "$homeostat" agent --down && wait "$agent"; }

memory_and_idleness() {
    local monitors=() pid
    pids_running "$homeostat"
    for pid in "${pids[@]}"; do
        if [ "$pid" != "$agent" ]; then monitors+=("$pid"); fi
    done
    memory daemon_kib "$agent"
    memory supervisor_kib "${monitors[@]}"
    idle "$agent" "${monitors[*]}"
}

write_specs
fact homeostat "$("$homeostat" --version)"
"$homeostat" build --tag "$image" "$work/image" >>"$log"
for ((run = 1; run <= runs; run++)); do
    timed converge_us "$homeostat" apply "$specs"
    mapfile -t victims < <(container_pids)
    note_cgroup "${victims[0]}"
    timed no_op_us "$homeostat" apply "$specs"
    timed no_op_us "$homeostat" apply "$specs"
    if ((run < runs)); then timed tear_down_us "$homeostat" agent --down; fi
done
start_agent
kill_and_wait "${victims[@]}"
memory_and_idleness
look_at_everything
start_one_by_one
timed tear_down_us agent_down
