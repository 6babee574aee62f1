# The host lost its power while all was as declared.

. ./back.sh
check "volumes have their content" visits_went_on 3
check "nothing was stopped in order, so power was cut indeed" [ ! -e /var/lib/homeostat/volumes/keeper/kept/_data/stopped ]
. ./limits.sh

check "the agent stops" systemctl stop homeostat
check "agent --down removes everything" homeostat agent --down
nothing() {
    equal "what is left" "$("$@" 2>&1)" ""
}
check "no control group is left" nothing find /sys/fs/cgroup -name '*homeostat*' -not -path '*/homeostat.service*'
check "no mount is left" nothing grep homeostat /proc/self/mounts
check "no link is left" nothing sh -c 'ip -o link | grep -v ": lo:"'
check "no rule is left" nothing nft list ruleset
check "no network namespace is left" nothing ip netns
check "no process is left" nothing pgrep -a homeostat
finish
systemctl poweroff
