//! Volumes, bind mounts, files of the source, tmpfs, and the root file system.

use std::path::Path;
use std::time::Duration;

use homeostat_reconciler::ports::Engine;
use homeostat_spec::{Mount, MountSource, SourcePath, TmpfsOptions, Volume};

use crate::world::expect;
use crate::{
    World, create, image_log, key, log_lines, observe, run, run_to_end, shell, wait_exited, wait_for_log,
};

/// A mount of a path of the host.
pub(crate) fn host(path: &Path, target: &str, read_only: bool) -> Mount {
    let source = MountSource::Host(path.to_str().unwrap().to_owned());
    Mount { source, target: target.to_owned(), read_only }
}

fn volume(name: &str, target: &str) -> Mount {
    Mount { source: MountSource::Volume(name.parse().unwrap()), target: target.to_owned(), read_only: false }
}

async fn create_volume(engine: &dyn Engine, name: &str) {
    let volume = Volume { retain: true, adopt: None, labels: std::collections::BTreeMap::new() };
    expect(engine.create_volume(&key(name), &volume).await);
}

/// What is in a named volume is there for the next container.
pub async fn a_named_volume_outlives_its_container(engine: &dyn Engine, world: &World) {
    create_volume(engine, "data").await;
    let mut writes = shell("echo kept > /data/file");
    writes.mounts.push(volume("data", "/data"));
    run_to_end(engine, world, "first", writes).await;
    expect(engine.remove_container(&key("first")).await);

    let mut reads = shell("cat /data/file");
    reads.mounts.push(volume("data", "/data"));
    assert_eq!(run_to_end(engine, world, "second", reads).await.1, ["kept"]);
}

const SEEDED: &str = "RUN mkdir -p /data/sub && echo seed > /data/sub/file && ln -s sub/file /data/link \
                      && chown -R 1000:2000 /data && chmod 2770 /data";

/// A volume that is new and empty gets what the image has at its place, with owners and modes.
pub async fn a_new_volume_begins_with_the_images_content(engine: &dyn Engine, world: &World) {
    let image = world.image(engine, "seeded", SEEDED).await;
    create_volume(engine, "data").await;
    let mut asked = shell("cat /data/link; stat -c '%u %g %a' /data; echo changed > /data/sub/file");
    asked.mounts.push(volume("data", "/data"));
    let lines = image_log(engine, world, "seeds", &image, asked.clone()).await;
    assert_eq!(lines, ["seed", "1000 2000 2770"]);

    // The image's VOLUME gets a volume that is the container's own.
    let declared = world.image(engine, "declared", &format!("{SEEDED}\nVOLUME /data")).await;
    let lines =
        image_log(engine, world, "own", &declared, shell("cat /data/link; mount | grep -c ' /data '")).await;
    assert_eq!(lines, ["seed", "1"]);
}

/// Content that is there is never overwritten.
pub async fn a_volume_with_content_is_left_as_it_is(engine: &dyn Engine, world: &World) {
    let image = world.image(engine, "seeded", SEEDED).await;
    create_volume(engine, "data").await;
    let mut writes = shell("echo own > /data/own");
    writes.mounts.push(volume("data", "/data"));
    run_to_end(engine, world, "first", writes).await;
    let mut reads = shell("ls /data");
    reads.mounts.push(volume("data", "/data"));
    assert_eq!(image_log(engine, world, "second", &image, reads).await, ["own"]);
}

/// A read-only bind mount shows what the host has and takes nothing.
pub async fn a_host_directory_mounted_read_only_cannot_be_written(engine: &dyn Engine, world: &World) {
    let directory = world.directory.join("shared");
    fs_err::create_dir(&directory).unwrap();
    fs_err::write(directory.join("file"), "from the host\n").unwrap();
    let mut asked = shell(
        "cat /shared/file; touch /shared/new 2>/dev/null || echo refused; touch /writable/new && echo written",
    );
    asked.mounts.push(host(&directory, "/shared", true));
    asked.mounts.push(host(&directory, "/writable", false));
    let (_, lines) = run_to_end(engine, world, "reader", asked).await;
    assert_eq!(lines.first().unwrap(), "from the host");
    assert!(lines.contains(&"refused".to_owned()), "{lines:?}");
    assert_eq!(lines.last().unwrap(), "written");
    assert!(directory.join("new").exists());
}

/// A file of the source lies under its digest and is mounted read-only, whatever the spec says.
pub async fn a_file_of_the_source_is_mounted_read_only(engine: &dyn Engine, world: &World) {
    fs_err::create_dir_all(world.files()).unwrap();
    fs_err::write(world.files().join("0123abcd"), "answer=42\n").unwrap();
    let source = SourcePath { path: "web.conf".to_owned(), digest: "0123abcd".to_owned() };
    let mut asked = shell("cat /etc/web.conf; { echo more >> /etc/web.conf; } 2>/dev/null || echo refused");
    let mount =
        Mount { source: MountSource::Source(source), target: "/etc/web.conf".to_owned(), read_only: true };
    asked.mounts.push(mount);
    let (_, lines) = run_to_end(engine, world, "configured", asked).await;
    assert_eq!(lines.first().unwrap(), "answer=42");
    assert_eq!(lines.last().unwrap(), "refused");
}

/// A tmpfs begins empty at every start.
pub async fn a_tmpfs_is_empty_and_gone_with_the_run(engine: &dyn Engine, world: &World) {
    let mut asked = shell(
        "ls /scratch; echo x > /scratch/file; awk '$5 == \"/scratch\"' /proc/self/mountinfo | grep -c tmpfs",
    );
    asked.mounts.push(Mount { source: MountSource::Tmpfs, target: "/scratch".to_owned(), read_only: false });
    assert_eq!(run_to_end(engine, world, "scratch", asked).await.1, ["1"]);
    let key = key("scratch");
    expect(engine.start_container(&key).await);
    wait_exited(engine, &key).await;
    assert_eq!(log_lines(engine, &key).await, ["1", "1"]);
}

/// A tmpfs holds as much as asked for, with the permissions asked for.
pub async fn a_tmpfs_has_the_size_and_mode_asked_for(engine: &dyn Engine, world: &World) {
    let script = "stat -c %a /scratch; dd if=/dev/zero of=/scratch/file bs=1M count=4 2>/dev/null || echo full; \
                  wc -c < /scratch/file";
    let mut asked = shell(script);
    let source = MountSource::TmpfsWith(TmpfsOptions { size: Some(1 << 20), mode: Some(0o751) });
    asked.mounts.push(Mount { source, target: "/scratch".to_owned(), read_only: false });
    let (_, lines) = run_to_end(engine, world, "scratch", asked.clone()).await;
    assert_eq!(lines, ["751", "full", "1048576"]);
    assert_eq!(observe(engine, &key("scratch")).await.config, asked);
}

/// Read-only is the root, not what is mounted on it.
pub async fn a_read_only_root_cannot_be_written_but_its_volumes_can(engine: &dyn Engine, world: &World) {
    create_volume(engine, "data").await;
    let mut asked = shell("touch /file 2>/dev/null || echo refused; touch /data/file && echo written");
    asked.read_only = true;
    asked.mounts.push(volume("data", "/data"));
    assert_eq!(run_to_end(engine, world, "firm", asked).await.1, ["refused", "written"]);
}

/// The root file system belongs to the container, not to a run of it.
pub async fn what_a_container_wrote_outlives_a_restart_and_not_its_removal(
    engine: &dyn Engine,
    world: &World,
) {
    let script = "cat /note 2>/dev/null || echo nothing; echo written > /note";
    let (_, lines) = run_to_end(engine, world, "writer", shell(script)).await;
    assert_eq!(lines, ["nothing"]);
    let key = key("writer");
    expect(engine.start_container(&key).await);
    wait_exited(engine, &key).await;
    assert_eq!(log_lines(engine, &key).await, ["nothing", "written"]);
    expect(engine.remove_container(&key).await);
    run_to_end(engine, world, "writer", shell(script)).await;
    assert_eq!(log_lines(engine, &key).await, ["nothing", "written", "nothing"]);
}

/// A volume stays while a container mounts it, running or not.
pub async fn a_volume_in_use_cannot_be_removed(engine: &dyn Engine, world: &World) {
    create_volume(engine, "data").await;
    let mut asked = shell("echo ready; sleep infinity");
    asked.mounts.push(volume("data", "/data"));
    let container = run(engine, world, "user", asked).await;
    wait_for_log(engine, &container, "ready").await;
    engine.remove_volume(&key("data")).await.unwrap_err();
    expect(engine.stop_container(&container, None, Duration::ZERO).await);
    let error = engine.remove_volume(&key("data")).await.unwrap_err();
    assert!(error.to_string().contains("case/user"), "it says who uses it: {error}");
    assert!(expect(engine.observe().await).volumes.contains(&key("data")));
    expect(engine.remove_container(&container).await);
    expect(engine.remove_volume(&key("data")).await);
    assert!(expect(engine.observe().await).volumes.is_empty());
}

/// Creating what exists and removing what does not changes nothing.
pub async fn a_volume_is_created_and_removed_twice(engine: &dyn Engine, world: &World) {
    create_volume(engine, "data").await;
    let mut writes = shell("echo kept > /data/file");
    writes.mounts.push(volume("data", "/data"));
    run_to_end(engine, world, "first", writes).await;
    create_volume(engine, "data").await;
    let mut reads = shell("cat /data/file");
    reads.mounts.push(volume("data", "/data"));
    let container = create(engine, world, "second", reads).await;
    expect(engine.start_container(&container).await);
    wait_exited(engine, &container).await;
    assert_eq!(log_lines(engine, &container).await, ["kept"]);
    for name in ["first", "second"] {
        expect(engine.remove_container(&key(name)).await);
    }
    expect(engine.remove_volume(&key("data")).await);
    expect(engine.remove_volume(&key("data")).await);
}

/// A volume can be read-only for one container and writable for another.
pub async fn a_volume_mounted_read_only_cannot_be_written(engine: &dyn Engine, world: &World) {
    create_volume(engine, "data").await;
    let mut writes = shell("echo kept > /data/file");
    writes.mounts.push(volume("data", "/data"));
    run_to_end(engine, world, "writer", writes).await;
    let mut reads = shell("cat /data/file; { echo more >> /data/file; } 2>/dev/null || echo refused");
    reads.mounts.push(Mount { read_only: true, ..volume("data", "/data") });
    assert_eq!(run_to_end(engine, world, "reader", reads).await.1, ["kept", "refused"]);
}
