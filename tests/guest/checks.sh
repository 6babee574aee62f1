# What the parts share. A check is a sentence and a command that exits 0 when it holds.

failed=0

# check SENTENCE COMMAND...
check() {
    sentence=$1
    shift
    if output=$("$@" 2>&1); then
        echo "PASS $sentence"
    else
        echo "FAIL $sentence"
        echo "$output" | sed 's/^/     /'
        failed=$((failed + 1))
    fi
}

# within SECONDS COMMAND...: tries until the command exits 0.
within() {
    end=$(($(uptime_millis) + $1 * 1000))
    shift
    until last=$("$@" 2>&1); do
        if [ "$(uptime_millis)" -ge "$end" ]; then
            echo "not in time: $*"
            echo "$last"
            return 1
        fi
        sleep 0.2
    done
}

uptime_millis() {
    awk '{ printf "%d", $1 * 1000 }' /proc/uptime
}

# equal WHAT IS SHOULD
equal() {
    [ "$2" = "$3" ] && return
    echo "$1 is '$2', should be '$3'"
    return 1
}

# The first process of a container APP/NAME.
pid_of() {
    homeostat status -o json | jq -r --arg app "${1%/*}" --arg name "${1#*/}" \
        '.apps[] | select(.name == $app) | .containers[] | select(.name == $name) | .pid // empty'
}

# The directory of the control group of a container.
cgroup_of() {
    pid=$(pid_of "$1")
    [ -n "$pid" ] && echo "/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$pid/cgroup")"
}

# Everything that runs, as one line to compare.
pids() {
    homeostat status -o json | jq -c '[.apps[].containers[] | select(.pid) | [.name, .pid]] | sort'
}

page() {
    busybox wget -q -T 5 -O - "http://127.0.0.1:8080$1"
}

# What the journal says of a unit since the time that `mark` noted.
mark() {
    marked=$(date '+%Y-%m-%d %H:%M:%S')
    sleep 1
}

quiet() {
    ! journalctl --quiet --boot --since "$marked" -o cat _PID=1 | grep -E "$1"
}

# The end of a part: the host reads the last line.
finish() {
    if [ "$failed" -gt 0 ]; then
        echo "-- the journal"
        journalctl --boot --no-pager -o short-monotonic _SYSTEMD_UNIT=homeostat.service + UNIT=homeostat.service | tail -n 150
        echo "-- status"
        homeostat status
    fi
    echo "NOTE $(cut -d' ' -f1 /proc/uptime) s after the kernel began all is checked"
    echo "END $failed"
}
