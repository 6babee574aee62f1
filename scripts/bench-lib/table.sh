# From samples to one table. Sourced by scripts/bench.

# table RESULTS: prints the table of what the directory holds of either side.
table() {
    local results=$1
    caption "$results"
    echo
    awk -f "$library/table.awk" -v homeostat="$results/homeostat/samples" -v docker="$results/docker/samples" \
        -v over_docker="$results/over-docker/samples"
}

caption() {
    local results=$1
    fact() { cat "$results"/*/facts | sed -n "s/^$1 //p" | head -n 1; }
    echo "$(date --utc --iso-8601), Linux $(uname -r), $(nproc) cores ($(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1))," \
        "$(awk '/^MemTotal/ { printf "%.1f GiB", $2 / 1048576 }' /proc/meminfo)," \
        "cgroup $([ -f /sys/fs/cgroup/cgroup.controllers ] && echo v2 || echo v1), load $load before." \
        "$(fact homeostat); $(fact docker) with $(fact compose) of Debian 13."
}
