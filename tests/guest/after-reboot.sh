# The host was rebooted in order, and is about to lose power.

. ./back.sh
kept=/var/lib/homeostat/volumes/keeper/kept/_data
check "volumes have their content" visits_went_on 2
check "containers were stopped with their signal when the host went down" \
    equal "the last word" "$(cat $kept/stopped)" "stopped by SIGTERM"
rm -f $kept/stopped
sync
check "all is as declared before power is cut" within 30 homeostat status
finish
exec sleep 1000
