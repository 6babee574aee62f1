# A container that takes more memory than it may.

cp later/hungry.toml /srv/specs/
hungry_says_so() {
    homeostat inspect hungry/hungry | grep -q '"oom_killed": true' && return
    homeostat inspect hungry/hungry
    return 1
}
check "a container that the kernel ends for its memory is told as such" within 40 hungry_says_so
check "people are told too" sh -c 'homeostat why hungry/hungry | grep "last run.*out of memory" || { homeostat why hungry/hungry; false; }'
rm /srv/specs/hungry.toml
check "without it all is as declared again" within 30 homeostat status
