# What a container can see and do. The probe wrote it to its log.

probe() {
    homeostat logs probe/probe | grep -qx "$1" && return
    echo "the log has no line '$1':"
    homeostat logs probe/probe
    return 1
}
check "CAP_MKNOD is not among the default capabilities" probe "mknod: no"
check "device files cannot be made" probe "made a device: no"
check "disks of the host cannot be read" probe "read a disk: no"
check "a container sees its own control group as the root" probe "own root: yes"
check "a container cannot lift its limits" probe "lifted a limit: no"
check "the usual devices work" probe "wrote to null: yes"
