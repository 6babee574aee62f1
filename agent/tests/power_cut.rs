//! A power cut at any moment leaves the store with what was acknowledged.
//!
//! The store lies on an ext4 file system of its own, which is shut down without writing its journal
//! (`FS_IOC_SHUTDOWN`), as when the plug is pulled, while another process saves one revision after the other.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Command, Stdio};

use homeostat::store::SledStore;
use homeostat_reconciler::ports::{Event, EventKind, Store};
use homeostat_reconciler::{ContainerRecord, Desired, Record};
use jiff::Timestamp;

const CUTS: usize = 24;
const STORE: &str = "HOMEOSTAT_TEST_STORE";

/// `FS_IOC_SHUTDOWN` with `FS_SHUTDOWN_FLAGS_NOLOGFLUSH` of the kernel's `include/uapi/linux/fs.h`.
mod shutdown {
    nix::ioctl_read!(shutdown, b'X', 125, u32);
    pub(super) const WITHOUT_JOURNAL: u32 = 2;
}

#[allow(unsafe_code)]
fn cut_power(mount: &Path) {
    let directory = fs_err::File::open(mount).unwrap();
    let mut flags = shutdown::WITHOUT_JOURNAL;
    // SAFETY: the kernel reads one u32 from the pointer, which is valid for the time of the call.
    unsafe { shutdown::shutdown(directory.as_raw_fd(), &raw mut flags) }.unwrap();
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Not a test by itself: saves revisions 1, 2, 3 … and prints each number once it is saved.
#[test]
fn writer() {
    let Some(directory) = std::env::var_os(STORE) else { return };
    let store = SledStore::open(Path::new(&directory)).unwrap().store;
    let mut out = std::io::stdout();
    for number in 1u64.. {
        let event = Event {
            time: Timestamp::UNIX_EPOCH,
            kind: EventKind::Agent,
            resource: None,
            message: number.to_string(),
        };
        let mut record = Record::default();
        let container = ContainerRecord { restarts: number, ..ContainerRecord::default() };
        record.containers.insert("web/web".parse().unwrap(), container);
        let saved = store
            .save_applied(&Desired { revision: number.to_string(), ..Desired::default() })
            .and_then(|()| store.save_record(&record))
            .and_then(|()| store.append_events(&[event]));
        if saved.is_err() {
            return;
        }
        writeln!(out, "saved {number}").unwrap();
    }
}

#[test]
fn what_was_acknowledged_survives_every_power_cut() {
    // Mounts of this test are its own, and gone with it.
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
    let private = nix::mount::MsFlags::MS_REC | nix::mount::MsFlags::MS_PRIVATE;
    nix::mount::mount(None::<&str>, "/", None::<&str>, private, None::<&str>).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let disk = directory.path().join("disk");
    let mount = directory.path().join("mount");
    fs_err::create_dir(&mount).unwrap();
    let (disk_text, mount_text) = (disk.to_str().unwrap(), mount.to_str().unwrap());
    run("truncate", &["-s", "64M", disk_text]);
    run("mkfs.ext4", &["-q", disk_text]);
    let mut acknowledged = 0;
    for cut in 0..CUTS {
        run("mount", &["-o", "loop", disk_text, mount_text]);
        let store = mount.join("store");
        check(&store, acknowledged, cut);
        acknowledged = write_until(&store, 1 + cut * 7 % 19);
        cut_power(&mount);
        run("umount", &[mount_text]);
    }
    run("mount", &["-o", "loop", disk_text, mount_text]);
    check(&mount.join("store"), acknowledged, CUTS);
    run("umount", &[mount_text]);
}

/// The store holds at least what was acknowledged, and is whole.
fn check(store: &Path, acknowledged: u64, cut: usize) {
    let opened = SledStore::open(store).unwrap();
    assert!(opened.moved_aside.is_none(), "cut {cut}: the store is whole");
    let stored = opened.store.load().unwrap();
    let revision: u64 = stored.revision.map_or(0, |revision| revision.parse().unwrap());
    assert!(revision >= acknowledged, "cut {cut}: revision {revision} of at least {acknowledged}");
    let restarts = stored.record.containers.values().next().map_or(0, |container| container.restarts);
    assert!(restarts >= acknowledged, "cut {cut}: record {restarts} of at least {acknowledged}");
    if acknowledged > 0 {
        let events = opened.store.events(100).unwrap();
        let kept = events.iter().any(|event| event.message == acknowledged.to_string());
        assert!(kept, "cut {cut}: event {acknowledged} is there");
    }
}

/// Has another process save revisions until it has acknowledged so many; returns the last one acknowledged.
fn write_until(store: &Path, count: usize) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "writer", "--nocapture"])
        .env(STORE, store)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let numbers =
        lines.map_while(Result::ok).filter_map(|line| line.split_once("saved ")?.1.trim().parse().ok());
    let last = numbers.take(count).last().expect("the writer saves something");
    child.kill().unwrap();
    child.wait().unwrap();
    last
}
