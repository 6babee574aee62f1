# homeostat on the work. Runs inside a world; see world.sh.
set -euo pipefail
. "$library/measure.sh"
. "$library/work.sh"

export HOMEOSTAT_DATA_DIR=$work/data HOMEOSTAT_RUN_DIR=$work/run HOMEOSTAT_CONFIG=$work/config.toml
specs=$work/specs
listen=9464

# One app for each ten containers.
write_specs() {
    local number
    mkdir "$specs"
    : >"$HOMEOSTAT_CONFIG"
    printf '%s\n' '[defaults.stop]' 'signal = "SIGKILL"' 'grace = "0s"' >"$specs/homeostat.toml"
    for ((number = 0; number < containers; number++)); do
        printf '%s\n' "[container.sleep-$number]" "image = \"$image\"" >>"$specs/app-$((number / 10)).toml"
    done
}

# The processes of the containers, in no order.
container_pids() { "$homeostat" status --output json | grep --only-matching '"pid": *[0-9]*' | grep --only-matching '[0-9]*$'; }

# metric NAME: the value of a metric without labels.
metric() { http GET "$listen" /metrics | sed -n "s/^$1 //p" | tr -d '\r'; }

is_ready() { http GET "$listen" /readyz | head -n 1 | grep -q ' 200 '; }

start_agent() {
    "$homeostat" agent --source "$specs" --listen "127.0.0.1:$listen" >>"$work/agent.log" 2>&1 &
    agent=$!
    await 60 "the agent is ready" is_ready
}

# The mean of a few, since a histogram tells no more.
reconcile_without_change() {
    local sum_before count_before sum_after count_after
    sum_before=$(metric homeostat_reconcile_duration_seconds_sum)
    count_before=$(metric homeostat_reconcile_duration_seconds_count)
    for ((number = 0; number < 10; number++)); do "$homeostat" apply >>"$log"; done
    sum_after=$(metric homeostat_reconcile_duration_seconds_sum)
    count_after=$(metric homeostat_reconcile_duration_seconds_count)
    sample reconcile_us "$(awk -v s="$sum_before" -v c="$count_before" -v t="$sum_after" -v d="$count_after" \
        'BEGIN { printf "%d", (t - s) / (d - c) * 1000000 }')"
}
