# systemd manages the cgroups beside ours.

mark
systemctl daemon-reload
systemctl set-property --runtime homeostat.service CPUWeight=200
systemctl set-property --runtime homeostat.service CPUWeight=
systemctl daemon-reload
systemctl daemon-reexec
check "the kernel goes on to control CPU time at the root" grep -qw cpu /sys/fs/cgroup/cgroup.subtree_control
. ./limits.sh
check "systemd does not quarrel about control groups" quiet "[Cc]ontroller|[Cc]group|busy"
check "all is as declared after systemd has re-executed itself" within 30 homeostat status
check "that leaves containers alone" same_pids
