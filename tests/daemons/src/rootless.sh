# Runs a command as a user without rights, who has names and numbers of its own for a user namespace. To be run within
# mounts of its own.
# usage: sh -c SCRIPT rootless DIRECTORY COMMAND...
set -eu
directory=$1
shift
user=homeostat-test
id=4242

# The user has to reach what it is given.
chmod o+x "$directory" "$(dirname "$directory")"
mkdir -p "$directory/home" "$directory/user"
{
    cat /etc/passwd
    echo "$user:x:$id:$id::$directory/home:/bin/sh"
} >"$directory/passwd"
echo "$user:700000:65536" >"$directory/subid"
mount --make-rshared /
mount --bind "$directory/passwd" /etc/passwd
for file in /etc/subuid /etc/subgid; do mount --bind "$directory/subid" "$file"; done
# Locks of Podman are the user's, and not those of another test.
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t tmpfs -o mode=755,dev net /dev/net
mknod -m 666 /dev/net/tun c 10 200
chown -R "$id:$id" "$directory"
exec setpriv --reuid "$id" --regid "$id" --clear-groups \
    env HOME="$directory/home" XDG_RUNTIME_DIR="$directory/user" USER="$user" "$@"
