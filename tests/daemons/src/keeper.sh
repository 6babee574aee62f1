# Keeps a daemon for a test, and takes it down with all that came of it when the test closes this script's stdin: by
# itself, or because it was killed.
# usage: keeper DIRECTORY NAME ROOT COMMAND...      run with `bash -c`
# ROOT is the root file system that COMMAND is of, or empty if it is the host's.
# Each line `start` on stdin starts COMMAND, logs to DIRECTORY/log and answers with its process id.
set -u
trap '' INT TERM HUP

hierarchies() {
    awk '$(NF-2) == "cgroup" || $(NF-2) == "cgroup2" { print $5 }' /proc/self/mountinfo
}

# Makes $root the root file system, with all that is written gone in the end. Of the host it has what is beside the
# daemon's directory, at the same path.
enter() {
    local beside tree
    beside=$(dirname "$directory")
    mount -t tmpfs root /mnt && mkdir /mnt/upper /mnt/work /mnt/root &&
        mount -t overlay -o "lowerdir=$root,upperdir=/mnt/upper,workdir=/mnt/work" root /mnt/root || exit 1
    mkdir -p "/mnt/root$beside" /mnt/root/mnt/host && mount --rbind "$beside" "/mnt/root$beside" || exit 1
    for tree in proc sys dev; do mount --rbind "/$tree" "/mnt/root/$tree" || exit 1; done
    cd /mnt/root && pivot_root . mnt/host && umount -l /mnt/host || exit 1
}

# Within namespaces and control groups of its own: nothing that is mounted or grouped here is seen outside.
within() {
    local point kind options
    if [ -n "$root" ]; then enter; fi
    # What has a fixed path in /run would be that of every daemon.
    mount -t tmpfs -o mode=755 run /run
    # Podman's locks are there, as many as one Podman has for all its days.
    case $directory in
    /dev/shm/*) ;;
    *) mount -t tmpfs -o mode=1777 shm /dev/shm || exit 1 ;;
    esac
    # Podman asks Debian's packages for its own parts' versions whenever it is asked for its own: a second of work.
    if [ -e /usr/bin/dpkg ]; then mount --bind /bin/false /usr/bin/dpkg || exit 1; fi
    while read -r point kind options; do
        umount "$point" && mount -t "$kind" -o "$options" "$kind" "$point" || exit 1
        # Control groups of version 2 have processes in leaves only.
        if [ "$kind" = cgroup2 ]; then
            mkdir "$point/daemon" && echo $$ >"$point/daemon/cgroup.procs" || exit 1
        fi
    done < <(awk '$(NF-2) ~ /^cgroup2?$/ {
        options = $NF
        if ($(NF-2) == "cgroup2") options = "rw"
        sub(/^rw,/, "", options)
        sub(/xattr,/, "", options)
        print $5, $(NF-2), options
    }' /proc/self/mountinfo)
    while read -r line; do
        "$@" </dev/null >>"$directory/log" 2>&1 &
        echo $!
    done
}

join() {
    local hierarchy group file
    for hierarchy in $(hierarchies); do
        group=$hierarchy/$name
        mkdir "$group" || exit 1
        for file in cpuset.cpus cpuset.mems; do
            # Version 1 lets no process into a group without processors and memory.
            if [ -f "$hierarchy/cgroup.clone_children" ] && [ -f "$group/$file" ]; then
                cat "$hierarchy/$file" >"$group/$file"
            fi
        done
        echo $BASHPID >"$group/cgroup.procs" || exit 1
    done
}

processes() {
    find "${groups[@]}" -name cgroup.procs -exec cat {} + 2>/dev/null | sort -u
}

# What is frozen dies only once it is thawed.
end() {
    local groups left
    mapfile -t groups < <(hierarchies | sed "s|$|/$name|")
    for _ in $(seq 500); do
        left=$(processes)
        [ -n "$left" ] || break
        echo THAWED | find "${groups[@]}" -name freezer.state -exec tee {} + 2>/dev/null
        # shellcheck disable=SC2086
        kill -KILL $left 2>/dev/null
        sleep 0.01
    done
    find "${groups[@]}" -depth -type d -exec rmdir {} + 2>/dev/null
    rm -rf "$directory"
}

if [ "$1" = within ]; then
    directory=$2
    root=$3
    shift 3
    within "$@"
    exit
fi
directory=$1
name=$2
root=$3
shift 3
(
    join
    exec unshare --mount --cgroup --propagation slave bash -c "$BASH_EXECUTION_STRING" keeper within "$directory" "$root" "$@"
)
end >/dev/null
