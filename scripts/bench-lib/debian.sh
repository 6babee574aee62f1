# The peers: Docker and Compose of Debian 13, in a root file system that is made once.

peers=(docker.io docker-cli docker-compose iptables iproute2 ca-certificates)

# Makes $root, which is complete as soon as it is there.
make_debian() {
    if [ -d "$root" ]; then return; fi
    echo "making Debian 13 with Docker and Compose in $root, once (about a minute)"
    rm -rf --one-file-system "$root.part"
    local include
    include=$(IFS=,; echo "${peers[*]}")
    debootstrap --variant=minbase --include="$include" trixie "$root.part" >"$work/debootstrap.log" 2>&1 ||
        { tail -n 20 "$work/debootstrap.log" >&2; exit 1; }
    rm -rf "$root.part"/var/cache/apt/archives/*.deb "$root.part"/var/lib/apt/lists/*
    mv "$root.part" "$root"
}
