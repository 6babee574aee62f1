//! Room on a disk that images and build cache have filled: a small ext4 of the test's own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use homeostat_conformance::{Silent, World, config, run};
use homeostat_daemons::Registry;
use homeostat_embedded::Embedded;
use homeostat_reconciler::ErrorKind;
use homeostat_reconciler::ports::{Engine, PruneRequest, Pruned};
use homeostat_spec::{DiskRule, PruneKind, PruneRule};
use jiff::Timestamp;

use crate::host::{Host, on_host, remove_everything};
use crate::own::leave_mount_namespace;

/// Puts the data directory on a disk of so many MiB.
fn small_disk(host: &Host, mebibytes: u64) {
    let file = host.data().with_extension("disk");
    fs_err::File::create(&file).unwrap().file().set_len(mebibytes << 20).unwrap();
    fs_err::create_dir(host.data()).unwrap();
    succeed(Command::new("mkfs.ext4").args(["-q", "-m0"]).arg(&file));
    succeed(Command::new("mount").args(["-o", "loop"]).arg(&file).arg(host.data()));
}

fn succeed(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The files that say when images and cache entries were last used.
fn notes(host: &Host) -> BTreeSet<PathBuf> {
    let store = host.data().join("image");
    let directories = ["blobs/sha256", "cache"].map(|name| store.join(name));
    let files = directories.iter().flat_map(|directory| fs_err::read_dir(directory).unwrap());
    files.map(|file| file.unwrap().path()).collect()
}

/// Builds an image of 12 MiB, which takes twice that, and that was last used so many hours ago. Returns its id.
async fn used_before(host: &Host, engine: &Embedded, world: &World, name: &str, hours: u64) -> String {
    let before = notes(host);
    let lines = format!("RUN head -c 12582912 /dev/urandom > /{name}");
    let reference = world.image(engine, name, &lines).await;
    let used = SystemTime::now() - Duration::from_hours(hours);
    for note in notes(host).difference(&before) {
        fs_err::File::open(note).unwrap().file().set_modified(used).unwrap();
    }
    engine.observe().await.unwrap().images[&reference].id.clone()
}

/// Writes a file that makes the disk so full.
async fn fill(engine: &Embedded, file: &Path, hundredths: u64) {
    let disk = engine.disk_usage().await.unwrap().disk.unwrap();
    let wanted = (disk.used + disk.available) * hundredths / 100 - disk.used;
    let mut filler = fs_err::File::create(file).unwrap();
    std::io::Write::write_all(&mut filler, &vec![1; usize::try_from(wanted).unwrap()]).unwrap();
    filler.sync_all().unwrap();
}

/// How full the disk is.
async fn space(engine: &Embedded) -> u8 {
    engine.disk_usage().await.unwrap().disk.unwrap().fill()
}

fn request(world: &World) -> PruneRequest {
    let mut request =
        PruneRequest { room: Some(DiskRule::default()), now: Timestamp::now(), ..PruneRequest::default() };
    request.keep.images.insert(world.base.clone());
    request
}

fn images(pruned: &Pruned) -> Vec<&str> {
    let images = pruned.items.iter().filter(|item| item.kind == PruneKind::Image);
    images.map(|item| item.name.as_str()).collect()
}

#[test]
fn room_is_made_from_what_is_longest_unneeded_and_never_from_what_is_needed() {
    leave_mount_namespace();
    on_host(async |host| {
        small_disk(host, 300);
        let engine = host.open().await;
        let world = host.prepare(&engine).await;
        let former = used_before(host, &engine, &world, "former", 9).await;
        used_before(host, &engine, &world, "used", 8).await;
        used_before(host, &engine, &world, "old", 7).await;
        used_before(host, &engine, &world, "new", 1).await;
        let key = homeostat_conformance::key("user");
        let user = world.request(&key, "localhost/used:1", config());
        engine.create_container(&user).await.unwrap();
        run(&engine, &world, "base", config()).await;
        let mut request = request(&world);
        request.keep.image_ids.insert(former);
        assert_eq!(engine.prune(&request).await.unwrap(), Pruned::default(), "there is room");

        let filler = host.data().join("filler");
        fill(&engine, &filler, 86).await;
        let pruned = engine.prune(&request).await.unwrap();
        assert_eq!(
            images(&pruned),
            ["localhost/old:1"],
            "the oldest that nobody needs goes, and frees enough"
        );
        assert!(pruned.bytes() > 24_000_000 && pruned.still_full.is_none(), "{pruned:?}");
        assert!(space(&engine).await <= 80, "{}", space(&engine).await);
        assert_eq!(engine.prune(&request).await.unwrap(), Pruned::default(), "there is room again");

        fill(&engine, &host.data().join("more"), 97).await;
        let pruned = engine.prune(&request).await.unwrap();
        assert_eq!(images(&pruned), ["localhost/new:1"]);
        assert!(pruned.still_full.is_some_and(|fill| fill >= 85), "{pruned:?}");
        let left: Vec<String> = engine.observe().await.unwrap().images.into_keys().collect();
        assert_eq!(left, [world.base.as_str(), "localhost/former:1", "localhost/used:1"]);
        engine.start_container(&key).await.unwrap();
        remove_everything(&engine).await;
    });
}

#[test]
fn room_that_is_made_while_a_build_goes_on_does_it_no_harm() {
    leave_mount_namespace();
    on_host(async |host| {
        small_disk(host, 160);
        let engine = host.open().await;
        let world = host.prepare(&engine).await;
        fill(&engine, &host.data().join("filler"), 86).await;
        let context = world.context(
            "slow",
            &format!(
                "FROM {}\nRUN head -c 1000000 /dev/urandom > /file\nRUN cat /file /file > /both\n",
                world.base
            ),
        );
        let room = request(&world);
        let building = world.build(&engine, "localhost/slow:1", &context);
        let pruning = async {
            for _ in 0..20 {
                engine.prune(&PruneRequest { now: Timestamp::now(), ..room.clone() }).await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        let (built, ()) = futures::join!(building, pruning);
        built.unwrap();
        remove_everything(&engine).await;
    });
}

/// Whether a step that failed has left nothing: no work in progress, and the disk as it was, but for a few notes.
async fn assert_nothing_is_left(host: &Host, engine: &Embedded, before: u64) {
    for directory in ["ingest", "staging"] {
        let left = fs_err::read_dir(host.data().join("image").join(directory)).unwrap().count();
        assert_eq!(left, 0, "{directory}");
    }
    let now = engine.disk_usage().await.unwrap().disk.unwrap().used;
    assert!(now < before + (2 << 20), "{now} bytes are used, and were {before}");
}

#[test]
fn what_has_no_room_is_refused_with_numbers_and_what_fills_the_disk_leaves_nothing() {
    leave_mount_namespace();
    on_host(async |host| {
        small_disk(host, 100);
        let engine = host.open().await;
        let world = host.prepare(&engine).await;
        let used = async || engine.disk_usage().await.unwrap().disk.unwrap().used;

        // A build that copies more than there is room for does not begin to.
        let context = world.context("big", &format!("FROM {}\nCOPY page /page\n", world.base));
        fs_err::write(context.join("page"), vec![1; 60 << 20]).unwrap();
        let before = used().await;
        let error = world.build(&engine, "localhost/big:1", &context).await.unwrap_err();
        let told = homeostat_reconciler::chain(&error);
        assert!(told.contains("it needs 120 MiB on the disk of") && told.contains("MiB are free"), "{told}");
        assert!(error.hint.as_ref().is_some_and(|hint| hint.contains("homeostat prune")), "{error:?}");
        assert_nothing_is_left(host, &engine, before).await;

        // What a command writes nobody knows beforehand.
        let context = world
            .context("writes", &format!("FROM {}\nRUN head -c 200000000 /dev/urandom > /file\n", world.base));
        let error = world.build(&engine, "localhost/writes:1", &context).await.unwrap_err();
        assert!(error.hint.as_ref().is_some_and(|hint| hint.contains("is full")), "{error:?}");
        assert_nothing_is_left(host, &engine, before).await;

        // Nor how large a layer is that was packed well.
        let registry = Registry::start(&world.directory.join("registry"));
        registry.push("zeros", "1", &"0".repeat(150 << 20));
        let reference = format!("{}/zeros:1", registry.address());
        let error = engine.pull_image(&reference, &Silent).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Transient, "{}", homeostat_reconciler::chain(&error));
        assert!(error.hint.as_ref().is_some_and(|hint| hint.contains("disk is full")), "{error:?}");
        // A layer that came whole is kept for the next attempt, and belongs to nobody.
        let prune = PruneRequest {
            rules: [(PruneKind::Image, PruneRule::older_than(Duration::ZERO))].into(),
            room: None,
            ..request(&world)
        };
        engine.prune(&prune).await.unwrap();
        assert_nothing_is_left(host, &engine, before).await;

        let observed = engine.observe().await.unwrap();
        assert_eq!(observed.images.into_keys().collect::<Vec<_>>(), std::slice::from_ref(&world.base));
        world.image(&engine, "small", "RUN echo small > /file").await;
        remove_everything(&engine).await;
    });
}
