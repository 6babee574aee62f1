# Limits are where cgroup v2 has them.

limit() {
    equal "$2 of $1" "$(cat "$(cgroup_of "$1")/$2")" "$3"
}
check "the memory limit is set" limit web/web memory.max 33554432
check "a memory limit is one with swap" limit web/web memory.swap.max 0
check "the limit of CPU time is set" limit web/web cpu.max "50000 100000"
check "the limit of processes is set" limit web/web pids.max 32

proc() {
    equal "$2 of process $1" "$(cat "/proc/$1/$2")" "$3"
}
monitor_of() {
    ps -o ppid= -p "$(pid_of "$1")" | tr -d ' '
}
soft_open_files() {
    equal "the soft limit" "$(awk '/^Max open files/ { print $4 }' "/proc/$1/limits")" 1024
}
check "a container is not protected from the out-of-memory killer" proc "$(pid_of web/web)" oom_score_adj 0
check "its monitor is" proc "$(monitor_of web/web)" oom_score_adj -500
check "its monitor is in a control group beside it" proc "$(monitor_of web/web)" cgroup 0::/homeostat/monitors
check "a container may have 1024 open files" soft_open_files "$(pid_of web/web)"
