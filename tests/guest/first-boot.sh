# homeostat is installed on a host that has never had it.

install -D -m 0755 homeostat /usr/bin/homeostat
install -D -m 0644 homeostat.service /lib/systemd/system/homeostat.service
install -D -m 0644 config.toml /etc/homeostat/config.toml
mkdir -p /srv/specs && cp -a specs/. /srv/specs/

# Less time than a container takes to end: the agent asks for more.
mkdir -p /etc/systemd/system/homeostat.service.d
printf '[Service]\nTimeoutStopSec=5\n' >/etc/systemd/system/homeostat.service.d/hurry.conf

no_complaint() {
    complaints=$(systemd-analyze verify homeostat.service 2>&1)
    equal "the complaint" "$complaints" ""
}
check "systemd has nothing to say about the unit" no_complaint
check "the agent gets ready as a notifying service" systemctl enable --quiet --now homeostat
check "the unit is active" systemctl is-active homeostat
check "the quickstart converges" within 90 homeostat status
check "the page is served on the published port" within 10 page /
check "the page counts in its volume" page /cgi-bin/visits

. ./limits.sh
. ./isolation.sh
. ./pause.sh
. ./metrics.sh
. ./oom.sh
. ./agent.sh
. ./systemd.sh

page /cgi-bin/visits >/dev/null
check "all is as declared before the host goes down" within 30 homeostat status
finish
sync
systemctl reboot
