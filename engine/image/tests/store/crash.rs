//! Kills and power cuts.

use std::io::{BufRead as _, BufReader};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::{Command, Stdio};

use fs_err as fs;
use homeostat_image::ImageStore;

use crate::support::{Place, configuration};

#[test]
fn what_was_left_unfinished_is_removed_at_the_next_start() {
    let mut place = Place::new();
    let id = place.image("whole", "app");
    let whole = place.store().find("app").unwrap().unwrap().layers[0].clone();
    let unmarked = place.layer("never settled");
    let (torn, unmarked) = (place.path(&format!("layers/{}", "a".repeat(64))), place.unpacked(&unmarked));
    place.reopen_after(|store| {
        fs::create_dir_all(store.join("staging/7/diff/deep")).unwrap();
        fs::write(store.join("staging/7/diff/deep/file"), "half").unwrap();
        fs::write(store.join("ingest/8"), "half").unwrap();
        fs::create_dir_all(torn.join("diff")).unwrap();
        fs::write(torn.join("complete"), "sha256:aaaa").unwrap();
        fs::create_dir_all(store.join("layers/not-a-digest")).unwrap();
    });
    assert_eq!((place.count("ingest"), place.count("staging"), place.count("layers")), (0, 0, 1));
    assert!(place.unpacked(&whole).exists() && !unmarked.exists());
    assert_eq!(place.store().find("app").unwrap().unwrap().id, id);
    assert!(place.store().check(false).unwrap().findings.is_empty());
}

/// Not a test by itself: the process that others kill. Builds images and says which are done.
#[test]
fn builds_until_it_is_killed() {
    let Some(directory) = std::env::var_os("HOMEOSTAT_TEST_STORE") else { return };
    let store = ImageStore::open(directory).unwrap();
    build_until(&store, |name| println!("done {name}"), || false);
}

fn build_until(store: &ImageStore, mut done: impl FnMut(&str), mut stop: impl FnMut() -> bool) {
    for number in 0.. {
        if stop() {
            return;
        }
        let name = format!("app:{}:{number}", std::process::id());
        let mut layers = Vec::new();
        for part in 0..3 {
            let staged = store.begin_layer(layers.last()).unwrap();
            fs::write(staged.upper().join("large"), vec![b'x'; 50_000 * part]).unwrap();
            fs::write(staged.upper().join("name"), format!("{name} {part}")).unwrap();
            layers.push(staged.commit().unwrap().unwrap());
        }
        store.commit_image(configuration(&[]), &layers, Some(&name)).unwrap();
        done(&name);
    }
}

/// All images that were reported done are whole, and nothing else is there.
fn assert_whole(directory: &Path, done: &[String]) {
    let store = ImageStore::open(directory).unwrap();
    let report = store.check(false).unwrap();
    assert!(report.findings.is_empty(), "{report:?}");
    for name in done {
        let image = store.find(name).unwrap().unwrap_or_else(|| panic!("{name} is lost"));
        for directory in store.layer_directories(&image).unwrap() {
            assert!(fs::read_to_string(directory.join("name")).unwrap().starts_with(name.as_str()));
        }
    }
    for unfinished in ["ingest", "staging"] {
        assert_eq!(fs::read_dir(directory.join(unfinished)).unwrap().count(), 0);
    }
}

#[test]
fn a_kill_at_any_moment_loses_no_image_and_leaves_no_half_one() {
    let directory = tempfile::tempdir().unwrap();
    let mut done = Vec::new();
    for round in 0..12u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::builds_until_it_is_killed", "--nocapture"])
            .env("HOMEOSTAT_TEST_STORE", directory.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut note = |line: &str| done.extend(line.split_once("done ").map(|(_, name)| name.to_owned()));
        // The kill comes at another moment of the next build each time.
        while let Some(Ok(line)) = lines.next() {
            note(&line);
            if line.contains("done ") {
                break;
            }
        }
        std::thread::sleep(std::time::Duration::from_micros(round * 3_700));
        child.kill().unwrap();
        child.wait().unwrap();
        lines.map_while(Result::ok).for_each(|line| note(&line));
        assert_whole(directory.path(), &done);
    }
    assert!(done.len() >= 12);
}

/// Cuts an ext4 file system off from its disk: what is not there yet never comes.
#[allow(unsafe_code)]
fn cut_power(mount: &Path) {
    // EXT4_IOC_SHUTDOWN of ext4.h is _IOR('X', 125, __u32), and reads its argument all the same; 2 is
    // EXT4_GOING_FLAGS_NOLOGFLUSH.
    const SHUTDOWN: rustix::ioctl::Opcode = rustix::ioctl::opcode::read::<u32>(b'X', 125);
    const NO_LOG_FLUSH: u32 = 2;
    let file = fs::File::open(mount).unwrap();
    // SAFETY: the argument is a pointer to a u32, which is what the kernel reads.
    unsafe {
        let request = rustix::ioctl::Setter::<SHUTDOWN, u32>::new(NO_LOG_FLUSH);
        rustix::ioctl::ioctl(file.as_fd(), request).unwrap();
    }
}

fn run(program: &str, arguments: &[&Path]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_power_cut_at_any_moment_loses_no_image_and_leaves_no_half_one() {
    let thread = std::thread::spawn(|| {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
        let none = None::<&str>;
        nix::mount::mount(
            none,
            "/",
            none,
            nix::mount::MsFlags::MS_REC | nix::mount::MsFlags::MS_PRIVATE,
            none,
        )
        .unwrap();
        let place = tempfile::tempdir().unwrap();
        let (disk, mount) = (place.path().join("disk"), place.path().join("mount"));
        fs::File::create(&disk).unwrap().set_len(128 << 20).unwrap();
        fs::create_dir(&mount).unwrap();
        run("mkfs.ext4", &[Path::new("-q"), &disk]);
        let mut done = Vec::new();
        for round in 0..8u32 {
            run("mount", &[Path::new("-o"), Path::new("loop"), &disk, &mount]);
            let directory = mount.join("store");
            assert_whole(&directory, &done);
            let store = ImageStore::open(&directory).unwrap();
            let start = std::time::Instant::now();
            let cut = std::sync::Mutex::new(false);
            std::thread::scope(|scope| {
                let builder = scope.spawn(|| {
                    let mut confirmed = Vec::new();
                    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                        build_until(&store, |name| confirmed.push(name.to_owned()), || *cut.lock().unwrap());
                    }));
                    drop(result);
                    confirmed
                });
                while start.elapsed() < std::time::Duration::from_millis(40 + u64::from(round) * 23) {
                    std::thread::yield_now();
                }
                cut_power(&mount);
                *cut.lock().unwrap() = true;
                done.extend(builder.join().unwrap());
            });
            drop(store);
            run("umount", &[&mount]);
            done.sort();
            done.dedup();
        }
        run("mount", &[Path::new("-o"), Path::new("loop"), &disk, &mount]);
        assert_whole(&mount.join("store"), &done);
        run("umount", &[&mount]);
        assert!(!done.is_empty());
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}
