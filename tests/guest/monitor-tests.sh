# The tests of the crate homeostat-monitor, each in a process of its own, on cgroup v2.

export TMPDIR=/var/tmp
for program in tests/deps/*; do
    name=$(basename "$program")
    for test in $("$program" --list --format terse 2>/dev/null | sed -n 's/: test$//p'); do
        check "$name $test" timeout 60 "$program" --exact "$test"
    done
done
finish
systemctl poweroff
