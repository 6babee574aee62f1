use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use fs_err as fs;
use homeostat_build::{Cancel, RunError, RunStep, StepRunner, Stream, build};
use homeostat_image::ImageStore;
use homeostat_reconciler::ErrorKind;
use nix::mount::MsFlags;
use nix::sched::CloneFlags;

use crate::support::{Host, Log};
use crate::web::Web;

/// A host whose store has a disk of this many megabytes, in a mount namespace of the calling thread.
fn with_small_disk(megabytes: usize) -> Host {
    nix::sched::unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS).unwrap();
    let none = None::<&str>;
    nix::mount::mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    let place = tempfile::tempdir().unwrap();
    let disk = place.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let size = format!("size={megabytes}m");
    nix::mount::mount(Some("tmpfs"), &disk, Some("tmpfs"), MsFlags::empty(), Some(size.as_str())).unwrap();
    Host::at(place, &disk.join("store")).and_base()
}

#[test]
fn a_full_disk_is_said_leaves_nothing_and_is_survived() {
    std::thread::spawn(|| {
        let host = with_small_disk(12);
        host.write("big", &"x".repeat(20 << 20));
        // What is copied is counted before, what a command writes is not.
        let (copied, written) = ("FROM base\nCOPY big /\n", "FROM base\nRUN seq 1 10000000 > /big\n");
        for (file, hint) in [(copied, "make room"), (written, "full")] {
            let (text, error) = host.failure(file);
            assert_eq!(error.kind(), ErrorKind::Transient, "{text}");
            assert!(error.hint().unwrap().contains(hint), "{text}");
        }
        host.build("FROM base\nRUN echo a > /a\n").unwrap();
        let disk = host.store.directory().parent().unwrap().to_owned();
        let Host { place: _kept, store, .. } = host;
        drop(store);
        nix::mount::umount2(&disk, nix::mount::MntFlags::MNT_DETACH).unwrap();
    })
    .join()
    .unwrap();
}

const CHILD: &str = "HOMEOSTAT_TEST_BUILD";

/// Says that a command runs, and never ends it.
struct Hanging<'a>(&'a Path);

impl StepRunner for Hanging<'_> {
    fn run(&self, step: &RunStep, _: &Cancel, _: &mut dyn FnMut(Stream, &str)) -> Result<i32, RunError> {
        fs::write(step.rootfs.join("half"), "done")?;
        fs::write(self.0, "")?;
        loop {
            std::thread::park();
        }
    }
}

#[test]
fn a_killed_build_leaves_no_mount_and_the_next_one_works() {
    if let Ok(place) = std::env::var(CHILD) {
        return build_and_hang(Path::new(&place));
    }
    let host = Host::with_base();
    host.write("Dockerfile", "FROM base\nRUN one\n");
    let directory = host.store.directory().to_owned();
    let place = host.outside("");
    let Host { options, web, log, cancel, place: kept, store } = host;
    // One process at a time has it.
    drop(store);
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "faults::a_killed_build_leaves_no_mount_and_the_next_one_works"])
        .env(CHILD, &place)
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while !place.join("running").exists() {
        assert!(child.try_wait().unwrap().is_none(), "the build lives");
        assert!(Instant::now() < deadline, "the build begins its command");
        std::thread::yield_now();
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(directory.to_str().unwrap()), "{mounts}");
    child.kill().unwrap();
    child.wait().unwrap();
    let host = Host { place: kept, store: ImageStore::open(directory).unwrap(), options, web, log, cancel };
    host.build("FROM base\nRUN echo b > /b\n").unwrap();
    assert_eq!(host.read("b"), "b\n");
}

fn build_and_hang(place: &Path) {
    // It is killed, and takes nothing away.
    let within = tempfile::tempdir_in(place).unwrap();
    let unused = within.path().join("store");
    let host = Host::at(within, &unused);
    let store = ImageStore::open(place.join("store")).unwrap();
    let options = homeostat_build::BuildOptions { context: place.join("context"), ..host.options.clone() };
    let _ = build(
        &store,
        &options,
        &Hanging(&place.join("running")),
        &Web::default(),
        &Log::default(),
        &Cancel::default(),
    );
}
