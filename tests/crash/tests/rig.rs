//! That the rig shows what it is made to show.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::process::Command;

use homeostat_crash::{Cut, Disk, Next, trace};

fn with_disk(test: impl FnOnce(&std::path::Path, &mut Disk) + Send + 'static) {
    let place = tempfile::tempdir().unwrap();
    let mount = place.path().join("mount");
    fs_err::create_dir(&mount).unwrap();
    std::thread::spawn(move || {
        homeostat_crash::own_mounts();
        let mut disk = Disk::new(place.path().join("disk"), mount.clone());
        disk.mount();
        test(&mount, &mut disk);
        disk.unmount();
    })
    .join()
    .unwrap();
}

#[test]
fn a_cut_takes_what_was_not_synchronized() {
    with_disk(|mount, disk| {
        for (cut, is_there) in [(Cut::Nothing, None), (Cut::Journal, Some(""))] {
            fs_err::write(mount.join("new"), "content").unwrap();
            fs_err::rename(mount.join("new"), mount.join("renamed")).unwrap();
            disk.cut(cut);
            assert!(fs_err::write(mount.join("after"), "nothing").is_err());
            disk.unmount();
            disk.mount();
            // What containers and images elsewhere have found after a power cut: a file with a name and no content.
            let found = fs_err::read_to_string(mount.join("renamed")).ok();
            assert_eq!(found.as_deref(), is_there, "{cut:?}");
        }
        fs_err::write(mount.join("kept"), "content").unwrap();
        disk.write_back();
        disk.cut(Cut::Nothing);
        disk.unmount();
        disk.mount();
        assert_eq!(fs_err::read_to_string(mount.join("kept")).unwrap(), "content");
    });
}

#[test]
fn points_are_the_calls_that_change_a_file_of_any_thread() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().to_str().unwrap();
    let script = "mkdir \"$0/d\"; cat /dev/null; echo a >\"$0/d/f\"; echo b >>/dev/null";
    let mut command = Command::new("sh");
    command.args(["-c", script, directory]);
    let mut points = Vec::new();
    let traced = trace(&command, place.path(), |point| {
        points.push(point.to_string().replace(directory, "DIR"));
        Next::Go
    });
    assert_eq!(traced.status.and_then(|status| status.code()), Some(0));
    // The programs that a shell starts are no threads of it.
    assert_eq!(points, ["openat of DIR/d/f", "write of DIR/d/f"]);
}

#[test]
fn a_command_is_killed_before_the_call() {
    let place = tempfile::tempdir().unwrap();
    let script = "echo first >\"$0/f\"; echo second >\"$0/g\"";
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(place.path());
    let traced =
        trace(&command, place.path(), |point| if point.path.ends_with("g") { Next::Kill } else { Next::Go });
    assert_eq!((traced.status, traced.points), (None, 3));
    assert!(place.path().join("f").exists() && !place.path().join("g").exists());
}
