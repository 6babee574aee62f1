//! Pruning, as only the embedded engine does it: logs, anonymous volumes, and what is known after it was opened again.

use std::time::Duration;

use homeostat_conformance::{config, key, log_lines, run, run_to_end, shell, wait_exited};
use homeostat_reconciler::ports::{Engine, PruneRequest};
use homeostat_spec::{PruneKind, PruneRule};
use jiff::{SignedDuration, Timestamp};

use crate::host::{on_host, remove_everything};

/// Asks for what nobody has needed for an hour, of one kind, as if it were some hours later.
fn after(hours: i64, kind: PruneKind) -> PruneRequest {
    PruneRequest {
        rules: [(kind, PruneRule::older_than(Duration::from_hours(1)))].into(),
        now: Timestamp::now() + SignedDuration::from_hours(hours),
        ..PruneRequest::default()
    }
}

#[test]
fn a_prune_removes_old_logs_of_containers_that_are_no_more() {
    on_host(async |host| {
        let engine = host.open().await;
        let world = host.prepare(&engine).await;
        for name in ["gone", "declared", "there"] {
            run_to_end(&engine, &world, name, shell("echo line")).await;
        }
        for name in ["gone", "declared"] {
            engine.remove_container(&key(name)).await.unwrap();
        }
        let mut request = after(0, PruneKind::Log);
        request.keep.containers.insert(key("declared"));
        assert_eq!(engine.prune(&request).await.unwrap().items, []);
        request.now = after(2, PruneKind::Log).now;
        let pruned = engine.prune(&request).await.unwrap();
        assert_eq!(pruned.items.iter().map(|item| &*item.name).collect::<Vec<_>>(), ["case/gone"]);
        assert!(pruned.bytes() > 0);
        assert_eq!(log_lines(&engine, &key("gone")).await, Vec::<String>::new());
        for name in ["declared", "there"] {
            assert_eq!(log_lines(&engine, &key(name)).await, ["line"]);
        }
        remove_everything(&engine).await;
    });
}

#[test]
fn an_anonymous_volume_goes_with_its_container() {
    on_host(async |host| {
        let engine = host.open().await;
        let world = host.prepare(&engine).await;
        let image = world.image(&engine, "anonymous", "VOLUME /data").await;
        let request = world.request(&key("user"), &image, shell("echo kept > /data/file"));
        engine.create_container(&request).await.unwrap();
        engine.start_container(&key("user")).await.unwrap();
        wait_exited(&engine, &key("user")).await;
        assert!(find_file(&host.data().join("containers")));
        engine.remove_container(&key("user")).await.unwrap();
        assert!(!find_file(&host.data().join("containers")));
        assert_eq!(engine.prune(&after(2, PruneKind::Volume)).await.unwrap().items, []);
        remove_everything(&engine).await;
    });
}

/// Whether a container has an anonymous volume with a file in it.
fn find_file(containers: &std::path::Path) -> bool {
    let mut directories = fs_err::read_dir(containers).unwrap();
    directories.any(|directory| directory.unwrap().path().join("volumes/0/file").exists())
}

#[test]
fn ages_and_what_is_dangling_are_known_after_the_engine_was_opened_again() {
    on_host(async |host| {
        let engine = host.open().await;
        let world = host.prepare(&engine).await;
        let image = world.image(&engine, "used", "RUN echo used > /file").await;
        let volume = homeostat_spec::Volume { retain: false, adopt: None, labels: [].into() };
        engine.create_volume(&key("data"), &volume).await.unwrap();
        run(&engine, &world, "base", config()).await;
        let long_ago = std::time::SystemTime::now() - Duration::from_hours(48);
        let record = host.data().join("volumes/case/data/volume.json");
        fs_err::File::open(&record).unwrap().file().set_modified(long_ago).unwrap();
        drop(engine);
        let engine = host.open().await;
        let mut request = after(0, PruneKind::Volume);
        request.rules.insert(PruneKind::Image, PruneRule::older_than(Duration::from_hours(1)));
        request.volumes.insert(key("data"));
        let pruned = engine.prune(&request).await.unwrap();
        assert_eq!(pruned.items.len(), 1, "{pruned:?}");
        assert_eq!((pruned.items[0].kind, &*pruned.items[0].name), (PruneKind::Volume, "case/data"));
        assert!(engine.observe().await.unwrap().images.contains_key(&image));
        remove_everything(&engine).await;
    });
}

#[test]
fn what_an_exited_container_used_was_needed_until_it_is_pruned() {
    on_host(async |host| {
        let engine = host.open().await;
        let world = host.prepare(&engine).await;
        let image = world.image(&engine, "used", "RUN echo used > /file").await;
        let request = world.request(&key("job"), &image, shell("exit 0"));
        engine.create_container(&request).await.unwrap();
        engine.start_container(&key("job")).await.unwrap();
        wait_exited(&engine, &key("job")).await;
        let mut request = after(2, PruneKind::Container);
        request.rules.insert(PruneKind::Image, PruneRule::older_than(Duration::from_hours(1)));
        request.keep.images.insert(world.base.clone());
        let foreseen = engine.prune(&PruneRequest { dry_run: true, ..request.clone() }).await.unwrap();
        let pruned = engine.prune(&request).await.unwrap();
        assert_eq!(pruned, foreseen);
        assert_eq!(pruned.items.iter().map(|item| item.kind).collect::<Vec<_>>(), [PruneKind::Container]);
        assert!(engine.observe().await.unwrap().images.contains_key(&image));
        remove_everything(&engine).await;
    });
}

#[test]
fn a_pruned_build_cache_is_built_anew() {
    on_host(async |host| {
        let engine = host.open().await;
        let world = host.prepare(&engine).await;
        let build = async || {
            let reference = world.image(&engine, "dated", "RUN date +%s%N > /made").await;
            engine.observe().await.unwrap().images[&reference].id.clone()
        };
        let first = build().await;
        assert_eq!(engine.prune(&after(0, PruneKind::BuildCache)).await.unwrap().items, []);
        assert_eq!(build().await, first, "the cache is young");
        let pruned = engine.prune(&after(2, PruneKind::BuildCache)).await.unwrap();
        assert!(pruned.items.iter().any(|item| item.kind == PruneKind::BuildCache), "{pruned:?}");
        assert_ne!(build().await, first);
        remove_everything(&engine).await;
    });
}
