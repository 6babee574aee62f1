//! A disk that fails to write what it took.

use std::path::Path;
use std::process::Command;

use fs_err as fs;
use homeostat_image::{ImageStore, Limits};

use crate::overlays::with_private_mounts;
use crate::support::configuration;

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The archive of a layer with one file of 16 MiB.
fn archive() -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    let content = vec![0xa5; 16 << 20];
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    archive.append_data(&mut header, "file", content.as_slice()).unwrap();
    archive.into_inner().unwrap()
}

/// A file system in a file with holes, in a place that has room for `size` only: it takes what the place cannot hold, and
/// fails when it writes it.
fn thin_disk(place: &Path, size: &str) -> std::path::PathBuf {
    run("mount", &["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs", place.to_str().unwrap()]);
    let (disk, mount) = (place.join("disk"), place.join("mount"));
    fs::File::create(&disk).unwrap().set_len(96 << 20).unwrap();
    fs::create_dir(&mount).unwrap();
    let options = "lazy_itable_init=0,nodiscard";
    run("mkfs.ext4", &["-q", "-O", "^has_journal", "-N", "512", "-E", options, disk.to_str().unwrap()]);
    remount(&disk, &mount);
    mount
}

fn remount(disk: &Path, mount: &Path) {
    run("mount", &["-o", "loop", disk.to_str().unwrap(), mount.to_str().unwrap()]);
}

#[test]
fn what_the_disk_failed_to_write_is_not_believed_by_a_later_commit() {
    with_private_mounts(|| {
        let place = tempfile::tempdir().unwrap();
        let mount = thin_disk(place.path(), "12m");
        let directory = mount.join("store");
        let store = ImageStore::open(&directory).unwrap();
        let archive = archive();
        let commit = |store: &ImageStore| {
            let layer = store.import_layer(archive.as_slice(), Limits::default())?;
            store.commit_image(configuration(&[]), &[layer], Some("it"))
        };
        let staged = store.begin_layer(None).unwrap();
        fs::write(staged.upper().join("small"), "begun before").unwrap();

        let error = commit(&store).unwrap_err();

        assert!(format!("{error:?}").contains("synchronize the file system"), "{error:?}");
        assert!(store.list().is_empty());
        let error = staged.commit().unwrap_err();
        assert!(matches!(error, homeostat_image::StoreError::DiskFailed), "{error:?}");

        run("mount", &["-o", "remount,size=128m", place.path().to_str().unwrap()]);
        commit(&store).unwrap();

        drop(store);
        run("umount", &[mount.to_str().unwrap()]);
        remount(&place.path().join("disk"), &mount);
        let store = ImageStore::open(&directory).unwrap();
        assert_eq!(store.list().len(), 1);
        let report = store.check(false).unwrap();
        assert!(report.findings.is_empty(), "{report:?}");
        drop(store);
        run("umount", &[mount.to_str().unwrap()]);
        run("umount", &[place.path().to_str().unwrap()]);
    });
}
