# A registry of this world. Sourced inside it, after measure.sh; $work/docker-registry is the program, $work/registry what it holds.

registry_port=5000
registry=127.0.0.1:$registry_port
# An image of four layers, some 210 MB compressed; see make-registry.sh.
large=$registry/bench/large:1

registry_answers() { http GET "$registry_port" /v2/ | head -n 1 | grep -q ' 200 '; }

start_registry() {
    cat >"$work/registry.yaml" <<END
version: 0.1
log: { level: warn, accesslog: { disabled: true } }
storage: { filesystem: { rootdirectory: $work/registry } }
http: { addr: $registry }
END
    "$work/docker-registry" serve "$work/registry.yaml" >"$work/registry.log" 2>&1 &
    await 30 "the registry answers" registry_answers
}
