# Makes what the registry of the bench holds: the programs and libraries of this root, in four layers. Runs inside a world.
set -euo pipefail
. "$library/measure.sh"
. "$library/registry.sh"
. "$library/containers.sh"

mkdir -p "$work/registry"
prepare_containers
start_registry
printf '%s\n' 'FROM scratch' 'COPY lib /usr/lib' 'COPY bin /usr/bin' 'COPY sbin /usr/sbin' 'COPY share /usr/share' >"$work/Dockerfile"
buildah build --layers --signature-policy "$work/policy.json" --file "$work/Dockerfile" --tag "$large" /usr
buildah push --signature-policy "$work/policy.json" "$large"
