# Docker Engine of another Debian, in a world of its own: own mounts and processes, and the network of whoever starts it.
# usage: docker.sh ROOT SHARED WORK NAME      run by `unshare --mount --pid --fork --kill-child`
#
# ROOT is Debian with Docker and buildx. SHARED, in which WORK is, is seen there under the same path. The daemon ends, with
# all that it runs, when this script does.
set -euo pipefail
root=$1 shared=$2 work=$3 name=$4

mount --make-rprivate /
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount --rbind /sys/fs/cgroup "$root/sys/fs/cgroup"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
# A place for what is shared; below /tmp there is one.
top=${shared#/}
top=${top%%/*}
[ "$top" = tmp ] || mount -t tmpfs tmpfs "$root/$top"
mkdir -p "$root$shared" "$root/run/host"
mount --bind "$shared" "$root$shared"
cd "$root"
pivot_root . run/host
cd /
umount -l /run/host

export HOME=$work
dockerd --config-file "$work/daemon.json" --data-root "$work/docker" --exec-root /run/docker --pidfile /run/docker.pid \
    --host unix:///run/docker.sock --storage-driver overlay2 --iptables=false --ip6tables=false --ip-masq=false \
    --cgroup-parent "/$name" --exec-opt native.cgroupdriver=cgroupfs --default-ulimit nofile=1024:1024 </dev/null &
# Whoever has started this holds the other end. As the first process of its namespace the script takes all the others along.
cat >/dev/null
