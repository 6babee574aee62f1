# The host is up again. Nobody logs in, nothing is on the network.

check "the agent was started at boot" within 20 systemctl is-active homeostat
check "all containers come back by themselves" within 60 homeostat status
echo "NOTE $(cut -d' ' -f1 /proc/uptime) s after the kernel began all is as declared"
check "the page is served" within 10 page /
visits_went_on() {
    visits=$(page /cgi-bin/visits)
    [ "${visits#visits: }" -gt "$1" ] && return
    echo "$visits, should be more than $1"
    return 1
}
