//! What there is on an engine's disk.

use homeostat_reconciler::ports::Engine;
use homeostat_spec::{Mount, MountSource, Volume};

use crate::world::expect;
use crate::{World, config, create, key, run, run_to_end, shell};

/// Everything is counted, what is needed is told apart, and what is not needed is what a prune would free.
pub async fn what_is_on_the_disk_is_counted_and_measured(engine: &dyn Engine, world: &World) {
    world.image(engine, "unused", "RUN head -c 3000000 /dev/urandom > /file").await;
    for name in ["used", "unused"] {
        let volume = Volume { retain: true, adopt: None, labels: std::collections::BTreeMap::new() };
        expect(engine.create_volume(&key(name), &volume).await);
    }
    let mut writing =
        shell("head -c 2000000 /dev/urandom > /data/file && head -c 1000000 /dev/urandom > /own");
    let source = MountSource::Volume(key("used").name);
    writing.mounts.push(Mount { source, target: "/data".to_owned(), read_only: false });
    run_to_end(engine, world, "writer", writing).await;
    run(engine, world, "runs", config()).await;
    create(engine, world, "new", config()).await;

    let stored = expect(engine.volumes().await);
    let sizes: Vec<_> = stored.iter().map(|volume| (volume.key.clone(), volume.size.unwrap())).collect();
    assert_eq!(sizes.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>(), [key("unused"), key("used")]);
    assert!(sizes[0].1 < 1_000_000 && sizes[1].1 >= 2_000_000, "{sizes:?}");
    let path = stored[1].path.as_deref().unwrap();
    assert!(std::path::Path::new(path).join("file").exists(), "{path}");

    let usage = expect(engine.disk_usage().await);
    let (images, containers, volumes) = (usage.images, usage.containers, usage.volumes);
    assert_eq!((images.count, images.active), (2, 1), "{usage:?}");
    assert!(images.bytes >= 4_000_000 && images.bytes >= images.reclaimable, "{usage:?}");
    assert!(images.reclaimable >= 3_000_000, "{usage:?}");
    assert_eq!((containers.count, containers.active), (3, 1), "{usage:?}");
    assert!(containers.bytes >= 1_000_000 && containers.reclaimable >= 1_000_000, "{usage:?}");
    assert_eq!((volumes.count, volumes.active), (2, 1), "{usage:?}");
    assert!(volumes.bytes >= 2_000_000 && volumes.reclaimable < 1_000_000, "{usage:?}");
    assert!(usage.build_cache.bytes >= usage.build_cache.reclaimable, "{usage:?}");
}
