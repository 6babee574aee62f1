//! What a container cannot do, and hostile images.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::os::unix::fs::symlink;

use fs_err as fs;
use homeostat_monitor::{FailureKind, Mount, MountSource, Process};
use support::{Container, process, shell};

fn status(container: &mut Container) -> String {
    container.request.process = shell("grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status | tr -d '\\t'");
    container.run().1
}

#[test]
fn root_has_the_default_capabilities_and_a_seccomp_filter() {
    let mut container = Container::new(process(&[]));
    let found = status(&mut container);
    let caps = support::default_capabilities();
    let none = "0000000000000000";
    let want = format!(
        "CapInh:{none}\nCapPrm:{caps}\nCapEff:{caps}\nCapBnd:{caps}\nCapAmb:{none}\nNoNewPrivs:0\nSeccomp:2\n"
    );
    assert_eq!(found, want);
}

#[test]
fn another_user_has_no_capabilities() {
    let mut container = Container::new(process(&[]));
    container.request.security.no_new_privileges = true;
    let mut with_user: Process =
        shell("grep -E '^(CapEff|CapPrm|NoNewPrivs|Seccomp:)' /proc/self/status | tr -d '\\t'");
    with_user.user = Some("web".into());
    container.request.process = with_user;
    let none = "0000000000000000";
    assert_eq!(container.run().1, format!("CapPrm:{none}\nCapEff:{none}\nNoNewPrivs:1\nSeccomp:2\n"));
}

#[test]
fn all_capabilities_can_be_dropped() {
    let mut container = Container::new(process(&[]));
    container.request.security.cap_drop = vec!["ALL".into()];
    let found = status(&mut container);
    assert!(found.contains("CapBnd:0000000000000000\n"), "{found}");
}

#[test]
fn a_capability_that_the_host_lacks_is_refused_with_the_reason() {
    // Where this process has every capability, there is none to ask for in vain.
    let bounding = fs::read_to_string("/proc/self/status").unwrap();
    let lacks = bounding.lines().any(|line| line.starts_with("CapBnd:") && line.contains("fffeffffff"));
    if lacks {
        let mut container = Container::new(process(&["true"]));
        container.request.security.cap_add = vec!["CAP_SYS_RESOURCE".into()];
        let refused = container.start().unwrap_err();
        assert_eq!(refused.kind, FailureKind::Unsupported, "{refused}");
        container.wait();
        container.assert_nothing_left();
    }
}

#[test]
fn the_filter_lets_programs_fork_and_refuses_namespaces_and_mounts() {
    let mut container = Container::new(shell(
        "(echo forked); unshare -U true || echo refused; mount -t tmpfs tmpfs /tmp || echo refused; \
         unshare -m true || echo refused",
    ));
    assert_eq!(container.run().1, "forked\nrefused\nrefused\nrefused\n");
}

#[test]
fn the_descriptors_are_exactly_three() {
    let mut container = Container::new(shell("ls /proc/$$/fd; readlink /proc/$$/fd/0"));
    assert_eq!(container.run().1, "0\n1\n2\n/dev/null\n");
}

#[test]
fn no_signal_is_blocked_or_ignored() {
    let mut container = Container::new(process(&["grep", "-E", "^Sig(Blk|Ign|Cgt)", "/proc/self/status"]));
    let (_, output) = container.run();
    assert_eq!(output.lines().count(), 3);
    for line in output.lines() {
        let mask = u64::from_str_radix(line.split('\t').nth(1).unwrap(), 16).unwrap();
        // 32 and 33 belong to the C library, which lets nobody change them.
        assert_eq!(mask & !0x1_8000_0000, 0, "{line}");
    }
}

#[test]
fn the_host_is_out_of_sight() {
    let mut container = Container::new(shell(
        "ls /proc | grep -c '^[0-9]'; ls -A /sys/firmware /proc/acpi 2>/dev/null | grep -v -e : -e '^$'; \
         echo x > /proc/sys/kernel/hostname || echo refused; ls /sys/class/net; \
         echo b > /proc/sysrq-trigger || echo refused",
    ));
    let (record, output) = container.run();
    // Its own processes only: the shell, and a pipe of two.
    let mut lines = output.lines();
    assert!(lines.next().unwrap().parse::<u32>().unwrap() <= 3, "{output}");
    assert_eq!(lines.collect::<Vec<_>>(), ["refused", "lo", "refused"], "{output}");
    assert_eq!(record.code, 0);
}

#[test]
fn a_container_cannot_lift_its_own_limits() {
    let mut container = Container::new(shell(
        "for f in /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max; do \
         [ -e $f ] && { echo -1 > $f && echo lifted; }; done; \
         mkdir /sys/fs/cgroup/memory/x && echo made; mkdir /sys/fs/cgroup/x && echo made; echo done",
    ));
    container.request.resources.memory = Some(64 << 20);
    assert_eq!(container.run().1, "done\n");
}

#[test]
fn device_files_of_an_image_are_none() {
    let mut container =
        Container::new(shell("cat /evil-zero | head -c 1 && echo read; head -c 1 /dev/zero | wc -c"));
    let path = container.files.layer().join("evil-zero");
    let device = nix::sys::stat::makedev(1, 5);
    let mode = nix::sys::stat::Mode::from_bits_truncate(0o666);
    nix::sys::stat::mknod(&path, nix::sys::stat::SFlag::S_IFCHR, mode, device).unwrap();
    let output = container.run().1;
    assert!(container.output(homeostat_log::LogStream::Stderr).contains("ermission denied"));
    assert!(output.ends_with("1\n"), "{output}");
}

/// A container whose image is made by `hostile`, with a directory outside that must stay empty.
fn attack(hostile: impl FnOnce(&Container, &std::path::Path)) -> (Container, std::path::PathBuf) {
    let container = Container::new(process(&["true"]));
    let victim = container.files.path().join("victim");
    fs::create_dir(&victim).unwrap();
    hostile(&container, &victim);
    (container, victim)
}

fn assert_untouched(victim: &std::path::Path) {
    let names: Vec<_> = fs::read_dir(victim).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.is_empty(), "{names:?} appeared outside of the container");
}

#[test]
fn an_image_whose_dev_proc_or_sys_is_a_link_is_refused() {
    for name in ["dev", "proc", "sys"] {
        for target in ["absolute", "../../victim", "tmp"] {
            let (mut container, victim) = attack(|container, victim| {
                let target = if target == "absolute" { victim.to_str().unwrap() } else { target };
                symlink(target, container.files.layer().join(name)).unwrap();
            });
            let refused = container.start().unwrap_err();
            assert_eq!(refused.kind, FailureKind::InvalidRequest, "/{name}: {refused}");
            container.wait();
            assert_untouched(&victim);
            container.assert_nothing_left();
        }
    }
}

#[test]
fn links_beneath_dev_are_covered_and_never_followed() {
    let (mut container, victim) = attack(|container, victim| {
        let dev = container.files.layer().join("dev");
        fs::create_dir(&dev).unwrap();
        for name in ["null", "pts", "shm", "mqueue", "console", "ptmx", "zero"] {
            symlink(victim.join(name), dev.join(name)).unwrap();
        }
    });
    container.request.process =
        shell("stat -c '%F' /dev/null; echo x > /dev/null; echo y > /dev/shm/y; echo ran");
    assert_eq!(container.run().1, "character special file\nran\n");
    assert_untouched(&victim);
}

#[test]
fn an_etc_that_is_a_link_leads_nowhere_outside() {
    let (mut container, victim) = attack(|container, victim| {
        let etc = container.files.layer().join("etc");
        fs::remove_dir_all(&etc).unwrap();
        symlink(victim, &etc).unwrap();
    });
    container.request.process = shell("cat /etc/hostname");
    assert_eq!(container.run().1, "box\n");
    assert_untouched(&victim);
}

#[test]
fn names_that_are_links_lead_nowhere_outside() {
    let (mut container, victim) = attack(|container, victim| {
        let etc = container.files.layer().join("etc");
        symlink(victim.join("hosts"), etc.join("hosts")).unwrap();
        symlink("../../../../../victim/resolv.conf", etc.join("resolv.conf")).unwrap();
        symlink("/proc/self/fd/1", etc.join("hostname")).unwrap();
    });
    // Whether it starts matters less than that nothing outside is touched.
    if container.start().is_ok() {
        container.wait();
    }
    assert_untouched(&victim);
}

#[test]
fn mount_targets_that_are_links_lead_nowhere_outside() {
    for link in ["absolute", "../../../../victim", "/proc/1/root", "/proc/self/cwd"] {
        let (mut container, victim) = attack(|container, victim| {
            let target = if link == "absolute" { victim.to_str().unwrap() } else { link };
            symlink(target, container.files.layer().join("data")).unwrap();
        });
        let source = container.files.path().join("volume");
        fs::create_dir(&source).unwrap();
        for target in ["/data", "/data/below"] {
            let source = MountSource::Path(source.clone());
            container.request.mounts = vec![Mount { source, target: target.into(), read_only: false }];
            if container.start().is_ok() {
                assert_eq!(container.wait().code, 0);
            } else {
                container.wait();
            }
            assert_untouched(&victim);
            container.assert_nothing_left();
        }
    }
}

#[test]
fn a_mount_inside_a_volume_whose_content_is_a_link_stays_inside() {
    let (mut container, victim) = attack(|_, _| {});
    let volume = container.files.path().join("volume");
    fs::create_dir(&volume).unwrap();
    symlink(&victim, volume.join("inner")).unwrap();
    let inner = container.files.path().join("inner");
    fs::create_dir(&inner).unwrap();
    container.request.mounts = vec![
        Mount { source: MountSource::Path(volume), target: "/data".into(), read_only: false },
        Mount { source: MountSource::Path(inner), target: "/data/inner/deep".into(), read_only: false },
    ];
    container.start().ok();
    container.wait();
    assert_untouched(&victim);
}

#[test]
fn a_working_directory_cannot_be_a_descriptor_of_the_host() {
    for number in 3..30 {
        let mut container = Container::new(shell("pwd; ls ../../../../.. 2>&1"));
        container.request.process.cwd = Some(format!("/proc/self/fd/{number}"));
        if container.start().is_ok() {
            container.wait();
            let output = container.output(homeostat_log::LogStream::Stdout);
            assert!(!output.contains("vmlinuz") && !output.contains("farm"), "fd {number}: {output}");
            assert!(output.lines().next().is_some_and(|cwd| !cwd.contains("fd")), "fd {number}: {output}");
        } else {
            container.wait();
        }
    }
}

#[test]
fn a_working_directory_through_a_link_cannot_leave() {
    let (mut container, victim) = attack(|container, _| {
        symlink("/proc/self/fd", container.files.layer().join("cwd")).unwrap();
        symlink("../../../../victim", container.files.layer().join("out")).unwrap();
    });
    container.request.process.cwd = Some("/cwd/8".into());
    if container.start().is_ok() {
        container.wait();
    }
    container.monitor = None;
    container.request.process = shell("pwd -P");
    container.request.process.cwd = Some("/out/new".into());
    assert_eq!(container.run().1, "/victim/new\n");
    assert_untouched(&victim);
}

#[test]
fn a_device_file_in_a_volume_is_none_and_one_that_the_host_mounts_is() {
    let mut container = Container::new(shell(
        "cat /volume/null || echo refused; cat /volume/deep/null || echo refused; cat /host/null",
    ));
    let volume = container.files.path().join("volume");
    let deep = volume.join("deep");
    fs::create_dir_all(&deep).unwrap();
    // As one that is mounted beneath a volume.
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
    let none = None::<&str>;
    let private = nix::mount::MsFlags::MS_REC | nix::mount::MsFlags::MS_PRIVATE;
    nix::mount::mount(none, "/", none, private, none).unwrap();
    nix::mount::mount(Some("deep"), &deep, Some("tmpfs"), nix::mount::MsFlags::empty(), none).unwrap();
    for directory in [&volume, &deep] {
        let null = nix::sys::stat::makedev(1, 3);
        let mode = nix::sys::stat::Mode::from_bits_truncate(0o666);
        nix::sys::stat::mknod(&directory.join("null"), nix::sys::stat::SFlag::S_IFCHR, mode, null).unwrap();
    }
    container.request.mounts = vec![
        Mount { source: MountSource::Volume(volume.clone()), target: "/volume".into(), read_only: false },
        Mount { source: MountSource::Path(volume), target: "/host".into(), read_only: false },
    ];
    assert_eq!(container.run().1, "refused\nrefused\n");
    // What is mounted on cannot be removed.
    nix::mount::umount(&deep).unwrap();
}

#[test]
fn no_volume_takes_the_place_of_a_file_system_of_the_kernel() {
    for target in ["/dev", "/proc", "/proc/sys", "/sys", "/sys/fs/cgroup", "/link", "/link/sys"] {
        let mut container = Container::new(process(&["true"]));
        symlink(if target == "/link" { "dev" } else { "proc" }, container.files.layer().join("link"))
            .unwrap();
        let volume = container.files.path().join("volume");
        fs::create_dir(&volume).unwrap();
        let source = MountSource::Volume(volume);
        container.request.mounts = vec![Mount { source, target: target.into(), read_only: false }];
        let refused = container.start().unwrap_err();
        assert_eq!(refused.kind, FailureKind::InvalidRequest, "{target}: {refused}");
        container.wait();
        container.assert_nothing_left();
    }
}
