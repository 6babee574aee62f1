# Docker and Compose on the work. Runs inside a world; see world.sh.
set -euo pipefail
. "$library/measure.sh"
. "$library/work.sh"

export HOME=$work DOCKER_HOST=unix:///run/docker.sock
unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY
api=2375

start_docker() {
    echo "$cgroup_parent" >"$work/cgroup"
    # --default-ulimit: nothing is raised above what this host may allow.
    dockerd --data-root "$work/docker" --exec-root /run/docker --pidfile /run/docker.pid \
        --host "$DOCKER_HOST" --host "tcp://127.0.0.1:$api" --tls=false \
        --cgroup-parent "/$cgroup_parent" --exec-opt native.cgroupdriver=cgroupfs \
        --default-ulimit nofile=1024:1024 >"$work/dockerd.log" 2>&1 &
    await 60 "dockerd answers" docker version
    fact docker "Docker $(docker version --format '{{.Server.Version}}')"
    fact compose "Compose $(docker compose version --short)"
}

make_image() {
    local instruction changes=()
    while read -r instruction; do
        case $instruction in FROM* | COPY*) ;; *) changes+=(--change "$instruction") ;; esac
    done <"$work/image/Dockerfile"
    tar --directory "$work/image/root" --create . | docker import "${changes[@]}" - "$image" >>"$log"
}

write_compose_file() {
    local number
    echo "services:"
    for ((number = 1; number <= containers; number++)); do
        echo "  sleep-$number: { image: '$image', restart: always }"
    done
}

compose() { docker compose --project-name bench --file "$work/compose.yaml" "$@"; }

container_pids() {
    # shellcheck disable=SC2046 # Ids have no spaces.
    docker inspect --format '{{.State.Pid}}' $(docker ps --quiet --no-trunc)
}

api_start() {
    local status
    status=$(post "$api" "/v1.41/containers/$1/start")
    case $status in *" 204 "*) ;; *) echo "$status"; return 1 ;; esac
}

start_one_by_one() {
    local number
    for ((number = 1; number <= starts; number++)); do
        docker create --name "start-$number" "$image" >>"$log"
        timed start_us api_start "start-$number"
    done
    for ((number = 1; number <= starts; number++)); do
        timed create_start_us docker run --detach --name "run-$number" "$image"
    done
    docker rm --force $(docker ps --quiet --filter name=start- --filter name=run-) >>"$log"
}

memory_and_idleness() {
    local daemon shims
    pids_running /usr/sbin/dockerd; daemon=("${pids[@]}")
    pids_running /usr/bin/containerd; daemon+=("${pids[@]}")
    pids_running /usr/bin/containerd-shim-runc-v2; shims=("${pids[@]}")
    memory daemon_kib "${daemon[@]}"
    memory supervisor_kib "${shims[@]}"
    idle "${daemon[*]}" "${shims[*]}"
}

start_docker
make_image
write_compose_file >"$work/compose.yaml"
for ((run = 1; run <= runs; run++)); do
    timed converge_us compose up --detach
    timed no_op_us compose up --detach
    timed no_op_us compose up --detach
    if ((run < runs)); then timed tear_down_us compose down --timeout 0; fi
done
mapfile -t victims < <(container_pids)
kill_and_wait "${victims[@]}"
memory_and_idleness
start_one_by_one
timed tear_down_us compose down --timeout 0
