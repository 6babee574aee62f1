# From samples to one table. Sourced by scripts/bench.

# table RESULTS: prints the table of what the directory holds of either side.
table() {
    local results=$1
    caption "$results"
    echo
    awk -f "$library/table.awk" -v homeostat="$results/homeostat/samples" -v docker="$results/docker/samples" \
        -v over_docker="$results/over-docker/samples" -v images="$results/homeostat-images/samples" \
        -v peer_images="$results/peer-images/samples"
}

caption() {
    local results=$1
    echo "$(date --utc --iso-8601), Linux $(uname -r), $(nproc) cores ($(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1))," \
        "$(awk '/^MemTotal/ { printf "%.1f GiB", $2 / 1048576 }' /proc/meminfo)," \
        "cgroup $([ -f /sys/fs/cgroup/cgroup.controllers ] && echo v2 || echo v1), load $load before."
    # What was measured, each named once.
    cat "$results"/*/facts | sort -u | sed 's/^[a-z]* //; s/$/./' | paste --serial --delimiters=' '
}
