# Metrics come from the files of cgroup v2.

# metric NAME CONTAINER: the value is above zero.
metric() {
    text=$(busybox wget -q -T 10 -O - http://127.0.0.1:9464/metrics)
    value=$(echo "$text" | grep "^$1{" | grep "container=\"$2\"" | awk '{ print $NF }' | head -n 1)
    awk -v value="${value:-0}" 'BEGIN { exit !(value > 0) }' && return
    echo "$1 of $2 is '$value'"
    echo "$text" | grep "^$1"
    return 1
}
check "CPU time is measured" metric container_cpu_usage_seconds_total web
check "memory is measured" metric container_memory_working_set_bytes web
check "the memory limit is shown" metric container_spec_memory_limit_bytes web
