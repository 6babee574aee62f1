# Test programs of crates, each test in a process of its own, at the path where they were built.

export TMPDIR=/var/tmp
built=$(cat tests/built)
mkdir -p "$built"
mount --bind tests "$built"
for program in "$built"/deps/*; do
    name=$(basename "$program")
    for test in $("$program" --list --format terse 2>/dev/null | sed -n 's/: test$//p'); do
        check "$name $test" timeout 120 "$program" --exact "$test"
    done
done
finish
systemctl poweroff
