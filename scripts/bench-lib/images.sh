# Pulls and builds: what every side does of them. Sourced inside a world, after measure.sh, work.sh and registry.sh.

built=bench/built:1

# A build of two copies and two runs on nothing, so that no download counts.
make_build_context() {
    local context=$work/context name
    mkdir -p "$context/root/bin" "$context/app"
    cp "$work/busybox" "$context/root/bin/busybox"
    for name in sh cat mkdir sleep; do ln -s busybox "$context/root/bin/$name"; done
    for name in {1..200}; do echo "file $name" >"$context/app/$name"; done
    cat >"$context/Dockerfile" <<'END'
FROM scratch
COPY root /
RUN mkdir -p /srv && echo first >/srv/first
COPY app /app
RUN cat /app/* >/srv/second
CMD ["/bin/sleep", "infinity"]
END
}

# pulls NAME REMOVE COMMAND...: pulls an image as often as asked for, each time from nothing; REMOVE is a command that takes
# it away again.
pulls() {
    local name=$1 remove=$2 run
    shift 2
    for ((run = 1; run <= runs; run++)); do
        timed "${name}_pull_us" "$@"
        $remove >>"$log" 2>&1
    done
}

# builds NAME FORGET COMMAND...: builds from nothing, and twice again with what was kept of it.
builds() {
    local name=$1 forget=$2 run
    shift 2
    for ((run = 1; run <= runs; run++)); do
        timed "${name}_build_us" "$@"
        timed "${name}_cached_build_us" "$@"
        timed "${name}_cached_build_us" "$@"
        $forget >>"$log" 2>&1
    done
}
