# A world of its own for one side: own processes, mounts and network, so that whatever it starts ends with its
# first process, and its bridges, rules and mounts are gone with it.
#
# scripts/bench sources this to enter a world; inside, it runs as a program.

# world SIDE: runs bench-lib/SIDE.sh on the host's own root file system, or on $root where that is set, with
# $work and $library as they are there.
world() {
    unshare --mount --net --pid --fork --kill-child bash "$library/world.sh" "$1" &
    world_pid=$!
    local status=0
    wait "$world_pid" || status=$?
    world_pid=
    return "$status"
}

# end_world: ends the world that runs, if one does.
end_world() {
    if [ -n "${world_pid:-}" ]; then
        kill -KILL "$world_pid" 2>/dev/null || :
        wait "$world_pid" 2>/dev/null || :
    fi
}

# remove_cgroups NAME: removes what containers left of a cgroup, in every hierarchy. Those that were killed take a
# moment to end.
remove_cgroups() {
    local parent rounds=100
    # The roots of the hierarchies belong to everybody.
    [[ $1 == *[!/]* ]] || return 0
    for parent in /sys/fs/cgroup/"$1" /sys/fs/cgroup/*/"$1"; do
        while [ -d "$parent" ] && ((rounds-- > 0)); do
            find "$parent" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.1
        done
        if [ -d "$parent" ]; then echo "left behind: $parent" >&2; fi
    done
}

# Makes $root the root file system: read-only, but for what /mnt/work shows of the host.
change_root() {
    mount --bind "$root" "$root"
    mount -o remount,bind,ro "$root"
    mount -t proc proc "$root/proc"
    # sysfs shows the network of whoever mounts it.
    mount -t sysfs sysfs "$root/sys"
    mount --rbind /sys/fs/cgroup "$root/sys/fs/cgroup"
    mount --rbind /dev "$root/dev"
    mount -t tmpfs tmpfs "$root/run"
    mount -t tmpfs tmpfs "$root/tmp"
    mount -t tmpfs tmpfs "$root/mnt"
    mkdir "$root/mnt/work" "$root/mnt/library" "$root/tmp/host"
    mount --bind "$work" "$root/mnt/work"
    mount --bind "$library" "$root/mnt/library"
    cd "$root"
    pivot_root . tmp/host
    cd /
    umount -l /tmp/host
    work=/mnt/work library=/mnt/library
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    set -euo pipefail
    ip link set lo up
    if [ -n "${root:-}" ]; then change_root; else mount -t proc proc /proc; fi
    exec bash "$library/$1.sh"
fi
