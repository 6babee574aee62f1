# homeostat: pulls and builds. Runs inside a world; see world.sh.
set -euo pipefail
. "$library/measure.sh"
. "$library/work.sh"
. "$library/registry.sh"
. "$library/images.sh"
. "$library/agent.sh"

: >"$HOMEOSTAT_CONFIG"
start_registry
make_build_context
fact homeostat "$("$homeostat" --version)"

pulls homeostat "rm -rf --one-file-system $HOMEOSTAT_DATA_DIR" "$homeostat" image pull "$large"
builds homeostat "rm -rf --one-file-system $HOMEOSTAT_DATA_DIR" "$homeostat" build --tag "$built" "$work/context"
