# The agent comes and goes; containers stay.

before=$(pids)
same_pids() {
    equal "what runs" "$(pids)" "$before"
}
restarts() {
    equal "the number of restarts" "$(systemctl show -P NRestarts homeostat)" "$1"
}
another_agent() {
    [ "$(systemctl show -P MainPID homeostat)" != "$agent" ] && [ "$(systemctl is-active homeostat)" = active ]
}

mark
check "the agent reloads" systemctl reload homeostat
check "a reload leaves containers alone" same_pids

agent=$(systemctl show -P MainPID homeostat)
kill -9 "$agent"
check "systemd starts a killed agent again" within 30 another_agent
check "it does so once" restarts 1
check "all is as declared after a kill of the agent" within 30 homeostat status
check "a kill of the agent leaves containers alone" same_pids

check "the agent restarts" systemctl restart homeostat
check "all is as declared after a restart" within 30 homeostat status
check "a restart leaves containers alone" same_pids

check "the agent stops" systemctl stop homeostat
running_without_agent() {
    for pid in $(echo "$before" | jq '.[][1]'); do
        kill -0 "$pid" || return
    done
    page / >/dev/null
}
check "containers run on and serve while the agent is stopped" running_without_agent
check "the agent starts" systemctl start homeostat
check "all is as declared after stop and start" within 30 homeostat status
check "stop and start leave containers alone" same_pids
check "systemd finds no process left over" quiet "left-over|remains running"
only_the_agent() {
    equal "processes of the unit" "$(cat "/sys/fs/cgroup$(systemctl show -P ControlGroup homeostat)/cgroup.procs")" \
        "$(systemctl show -P MainPID homeostat)"
}
check "nothing but the agent is in its unit" only_the_agent
