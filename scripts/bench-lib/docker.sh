# Docker and Compose on the work. Runs inside a world; see world.sh.
set -euo pipefail
. "$library/measure.sh"
. "$library/work.sh"
. "$library/dockerd.sh"

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
