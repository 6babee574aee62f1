# Podman, Buildah and Skopeo in a world. Sourced inside it: their files are in $work, and a registry on loopback may do without TLS.

prepare_containers() {
    export HOME=$work
    unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY
    mkdir -p "$work/tmp" /run/containers
    # What is large and passing is not for the memory of /tmp.
    mount --bind "$work/tmp" /var/tmp
    cat >"$work/storage.conf" <<END
[storage]
driver = "overlay"
graphroot = "$work/containers"
runroot = "/run/containers/storage"
END
    # Nothing is raised above what this host may allow.
    cat >"$work/containers.conf" <<END
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
END
    cat >"$work/registries.conf" <<END
[[registry]]
location = "127.0.0.1:5000"
insecure = true
END
    echo '{ "default": [{ "type": "insecureAcceptAnything" }] }' >"$work/policy.json"
    export CONTAINERS_STORAGE_CONF=$work/storage.conf CONTAINERS_CONF=$work/containers.conf
    export CONTAINERS_REGISTRIES_CONF=$work/registries.conf
}

skopeo() { command skopeo --policy "$work/policy.json" "$@"; }
