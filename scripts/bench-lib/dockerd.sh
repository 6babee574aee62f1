# Docker Engine in a world. Sourced inside it, after measure.sh and work.sh.

export HOME=$work DOCKER_HOST=unix:///run/docker.sock
unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY
api=2375

# start_docker OPTION...: a daemon of this world.
start_docker() {
    echo "$cgroup_parent" >"$work/cgroup"
    # --default-ulimit: nothing is raised above what this host may allow.
    dockerd --data-root "$work/docker" --exec-root /run/docker --pidfile /run/docker.pid \
        --host "$DOCKER_HOST" --host "tcp://127.0.0.1:$api" --tls=false \
        --cgroup-parent "/$cgroup_parent" --exec-opt native.cgroupdriver=cgroupfs \
        --default-ulimit nofile=1024:1024 "$@" >"$work/dockerd.log" 2>&1 &
    await 60 "dockerd answers" docker version
    fact docker "Docker $(docker version --format '{{.Server.Version}}') with Compose $(docker compose version --short)"
}

# The image that containers run, without a build.
make_image() {
    local instruction changes=()
    while read -r instruction; do
        case $instruction in FROM* | COPY*) ;; *) changes+=(--change "$instruction") ;; esac
    done <"$work/image/Dockerfile"
    tar --directory "$work/image/root" --create . | docker import "${changes[@]}" - "$image" >>"$log"
}
