# Docker, Podman, Buildah and Skopeo: pulls and builds. Runs inside a world; see world.sh.
set -euo pipefail
. "$library/measure.sh"
. "$library/work.sh"
. "$library/registry.sh"
. "$library/images.sh"
. "$library/dockerd.sh"
. "$library/containers.sh"

forget_docker() {
    docker image rm --force "$built"
    docker builder prune --all --force
}

prepare_containers
start_registry
fact podman "$(podman --version | sed "s/podman version/Podman/")"
start_docker
make_build_context

pulls docker "docker image rm $large" docker pull "$large"
pulls podman "podman image rm $large" podman pull --signature-policy "$work/policy.json" "$large"
# With what Podman keeps images in it does all the same work; to a directory it only copies.
pulls skopeo "podman image rm $large" skopeo copy --src-tls-verify=false "docker://$large" "containers-storage:$large"
pulls skopeo_copy "rm -r $work/copy" skopeo copy --src-tls-verify=false "docker://$large" "oci:$work/copy:1"

builds docker forget_docker docker build --tag "$built" "$work/context"
builds buildah "buildah rmi --all --force" buildah build --layers --signature-policy "$work/policy.json" --tag "$built" "$work/context"
