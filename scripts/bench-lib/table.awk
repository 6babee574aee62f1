# Prints the table of figures from two files of samples, `NAME VALUE` a line; see measure.sh.
# usage: awk -v homeostat=FILE -v docker=FILE -v over_docker=FILE -v images=FILE -v peer_images=FILE -f table.awk

BEGIN {
    read_samples(homeostat)
    read_samples(docker)
    read_samples(over_docker)
    read_samples(images)
    read_samples(peer_images)
    if (of(homeostat, "containers", "max") of(docker, "containers", "max") != "") beside_docker()
    if (of(over_docker, "containers", "max") != "") agent_over_docker()
    if (of(images, "containers", "max") of(peer_images, "containers", "max") != "") pulls_and_builds()
}

# The same work on both sides.
function beside_docker(    many) {
    many = of(homeostat, "containers", "max")
    if (many == "") many = of(docker, "containers", "max")
    print "| figure | unit | homeostat | Docker | ratio | target | |"
    print "|---|---|--:|--:|--:|---|---|"
    row("converge " many " from nothing", "converge_us", "median", "ms", 1000, 5)
    row("nothing to do, from the command line", "no_op_us", "median", "ms")
    row("nothing to do, inside the running agent", "reconcile_us", "median", "ms", 20)
    row("kill -9 to running again, p50", "heal_us", "median", "ms", 60)
    row("kill -9 to running again, p99", "heal_us", "p99", "ms")
    row("start of one", "start_us", "median", "ms", 30)
    row("create and start of one", "create_start_us", "median", "ms")
    row("tear down " many, "tear_down_us", "median", "ms")
    row("memory: daemon", "daemon_kib", "sum", "MB", 15)
    row("memory: supervisor of a container, mean", "supervisor_kib", "mean", "MB")
    row("memory: supervisor of a container, most", "supervisor_kib", "max", "MB", 1.5)
    row("memory: daemon and supervisors", "daemon_kib supervisor_kib", "sum", "MB")
    row("idle: processor time of the daemon in a minute", "idle_daemon_ns", "per minute", "ms")
    row("idle: processor time of daemon and supervisors in a minute", "idle_daemon_ns idle_supervisor_ns", "per minute", "ms")
    row("idle: context switches of the daemon in a second", "idle_daemon_switches", "per second", "", 1)
    row("idle: context switches of daemon and supervisors in a second", "idle_daemon_switches idle_supervisor_switches", "per second", "")
    print ""
}

# What the agent itself costs where Docker runs the containers.
function agent_over_docker(    many) {
    many = of(over_docker, "containers", "max")
    print "| homeostat over Docker, " many " containers | unit | | target | |"
    print "|---|---|--:|---|---|"
    alone("memory of the agent, PSS", "daemon_kib", "sum", "MB")
    alone("memory of the agent, RSS", "resident_kib", "sum", "MB")
    alone("memory of the agent, RSS without the program itself", "anonymous_kib", "sum", "MB")
    alone("idle: processor time of the agent in a minute", "idle_daemon_ns", "per minute", "ms")
    alone("idle: context switches of the agent in a second", "idle_daemon_switches", "per second", "", 1)
    alone("nothing to do: requests to Docker", "requests_count", "max", "", 3)
    alone("nothing to do, inside the running agent", "reconcile_us", "median", "ms", 20)
    alone("tear down " many, "tear_down_us", "median", "ms")
}

# Images: every peer that does the same work.
function pulls_and_builds() {
    print "| images | unit | homeostat | Docker | Podman, Buildah | Skopeo | ratio | target | |"
    print "|---|---|--:|--:|--:|--:|--:|---|---|"
    image_row("pull of 210 MB in four layers", "pull_us", "fastest", 2)
    image_row("build, nothing cached", "build_us", "docker", 5)
    image_row("build, everything cached", "cached_build_us", "docker", 5)
    print ""
    if (of(peer_images, "skopeo_copy_pull_us", "median") != "")
        print "Skopeo copies the image to a directory, without unpacking it, in " shown(of(peer_images, "skopeo_copy_pull_us", "median")) " ms."
}

# The ratio is that of Docker, or of the fastest peer, by homeostat; the target is what it has to be at least.
function image_row(title, name, beside, times,    ours, docker_took, podman_took, skopeo_took, theirs, ratio, verdict) {
    ours = of(images, "homeostat_" name, "median")
    docker_took = of(peer_images, "docker_" name, "median")
    podman_took = of(peer_images, (name ~ /build/ ? "buildah_" : "podman_") name, "median")
    skopeo_took = of(peer_images, "skopeo_" name, "median")
    theirs = docker_took
    if (beside == "fastest") theirs = least(least(docker_took, podman_took), skopeo_took)
    if (ours != "" && theirs != "") {
        ratio = theirs / ours
        verdict = ratio >= times ? "met" : "missed"
    }
    printf "| %s | ms | %s | %s | %s | %s | %s | ≥ %sx | %s |\n", title, shown(ours), shown(docker_took), shown(podman_took), \
        shown(skopeo_took), ratio == "" ? "" : shown(ratio) "x", times, verdict
}

function least(one, other) { return one == "" || (other != "" && other < one) ? other : one }

function alone(title, name, how, unit, most,    value, target, verdict) {
    value = of(over_docker, name, how)
    if (most != "") {
        target = "≤ " most
        verdict = value <= most ? "met" : "missed"
    }
    printf "| %s | %s | %s | %s | %s |\n", title, unit, shown(value), target, verdict
}

# Targets: ours is at most `most`, and Docker's at least `times` as much.
function row(title, names, how, unit, most, times,    ours, theirs, ratio, target, verdict) {
    ours = of(homeostat, names, how)
    theirs = of(docker, names, how)
    ratio = ours != "" && theirs != "" && ours > 0 ? theirs / ours : ""
    if (most != "") target = "≤ " most
    if (times != "") target = target ", ≥ " times "x"
    if (target != "" && ours != "" && (times == "" || ratio != ""))
        verdict = ours <= most && (times == "" || ratio >= times) ? "met" : "missed"
    printf "| %s | %s | %s | %s | %s | %s | %s |\n", title, unit, shown(ours), shown(theirs), \
        ratio == "" ? "" : shown(ratio) "x", target, verdict
}

# One figure of a side out of the samples with these names; empty where there is none.
function of(side, names, how,    name, count, parts, i, j, values, sum) {
    count = 0
    for (i = split(names, parts, " "); i > 0; i--) {
        name = parts[i]
        for (j = 1; j <= counts[side, name]; j++) values[++count] = samples[side, name, j] * factor(name)
    }
    if (count == 0) return ""
    sort(values, count)
    for (i = 1; i <= count; i++) sum += values[i]
    if (how == "median") return (values[int((count + 1) / 2)] + values[int(count / 2) + 1]) / 2
    if (how == "p99") return values[ceiling(count * 0.99)]
    if (how == "max") return values[count]
    if (how == "sum") return sum
    if (how == "mean") return sum / count
    if (how == "per minute") return sum * 60 / samples[side, "idle_seconds", 1]
    if (how == "per second") return sum / samples[side, "idle_seconds", 1]
}

# From the unit of a sample to that of the table: milliseconds, megabytes.
function factor(name) {
    if (name ~ /_us$/) return 1 / 1000
    if (name ~ /_ns$/) return 1 / 1000000
    if (name ~ /_kib$/) return 1024 / 1000000
    return 1
}

function shown(value) {
    if (value == "") return ""
    return sprintf(value >= 100 ? "%.0f" : value >= 10 ? "%.1f" : "%.2f", value)
}

function ceiling(value) { return value > int(value) ? int(value) + 1 : int(value) }

function sort(values, count,    i, j, value) {
    for (i = 2; i <= count; i++) {
        value = values[i]
        for (j = i - 1; j > 0 && values[j] > value; j--) values[j + 1] = values[j]
        values[j + 1] = value
    }
}

function read_samples(file,    name, line, parts) {
    while ((getline line <file) > 0) {
        split(line, parts, " ")
        name = parts[1]
        samples[file, name, ++counts[file, name]] = parts[2]
    }
}
