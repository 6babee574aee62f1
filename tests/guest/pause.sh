# Paused is the freezer of cgroup v2.

frozen() {
    equal "frozen" "$(sed -n 's/^frozen //p' "$(cgroup_of paused/clock)/cgroup.events")" "$1"
}
clock() {
    sed -i "s/^state = .*/state = \"$1\"/" /srv/specs/paused.toml
}
check "a paused container is frozen" frozen 1
clock running
check "it goes on when it should run" within 20 frozen 0
clock paused
check "it is frozen again" within 20 frozen 1
check "that is the converged state" within 20 homeostat status
