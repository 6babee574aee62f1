//! Prunes. What is asked for is a time hours from now, so that what is made here is old by then.

use std::time::Duration;

use homeostat_reconciler::ResourceKey;
use homeostat_reconciler::ports::{Engine, PruneRequest, Pruned};
use homeostat_spec::{LabelMatch, PruneFilter, PruneKind, PruneRule, Volume};
use jiff::{SignedDuration, Timestamp};

use crate::world::expect;
use crate::{World, config, create, image_log, key, run, run_to_end, shell};

pub(crate) const HOUR: Duration = Duration::from_hours(1);

/// Asks for what nobody has needed for an hour, of these kinds, as if it were some hours later.
pub(crate) fn after(hours: i64, kinds: &[PruneKind]) -> PruneRequest {
    PruneRequest {
        rules: kinds.iter().map(|kind| (*kind, PruneRule::older_than(HOUR))).collect(),
        now: Timestamp::now() + SignedDuration::from_hours(hours),
        ..PruneRequest::default()
    }
}

pub(crate) fn names(pruned: &Pruned, kind: PruneKind) -> Vec<&str> {
    pruned.items.iter().filter(|item| item.kind == kind).map(|item| item.name.as_str()).collect()
}

/// The references of images; some engines have each once more by its digest.
pub(crate) async fn images(engine: &dyn Engine) -> Vec<String> {
    let images = expect(engine.observe().await).images;
    images.into_keys().filter(|name| !name.contains('@')).collect()
}

async fn containers(engine: &dyn Engine) -> Vec<ResourceKey> {
    expect(engine.observe().await).containers.into_keys().collect()
}

/// A prune leaves what containers use and what it is told to keep.
pub async fn an_unused_image_goes_and_one_that_is_used_or_kept_stays(engine: &dyn Engine, world: &World) {
    let kept = world.image(engine, "kept", "RUN echo kept > /file").await;
    let unused = world.image(engine, "unused", "RUN echo unused > /file").await;
    create(engine, world, "user", config()).await;
    let mut request = after(2, &[PruneKind::Image]);
    request.keep.images.insert(kept.clone());

    request.dry_run = true;
    let foreseen = expect(engine.prune(&request).await);
    assert_eq!(names(&foreseen, PruneKind::Image), [unused.as_str()]);
    assert_eq!(images(engine).await.len(), 3);

    request.dry_run = false;
    let pruned = expect(engine.prune(&request).await);
    assert_eq!(names(&pruned, PruneKind::Image), [unused.as_str()]);
    let age = pruned.items[0].age_seconds;
    assert!((7000..8000).contains(&age), "{age}");
    assert_eq!(images(engine).await, [world.base.clone(), kept]);
    assert_eq!(expect(engine.prune(&request).await), Pruned::default(), "it is gone");
    expect(engine.start_container(&key("user")).await);
}

/// What it takes to go back stays, also without a name.
pub async fn an_image_to_go_back_to_stays(engine: &dyn Engine, world: &World) {
    let reference = world.image(engine, "built", "RUN echo first > /file").await;
    let first = expect(engine.observe().await).images[&reference].id.clone();
    world.image(engine, "built", "RUN echo second > /file").await;
    let second = expect(engine.observe().await).images[&reference].id.clone();
    let mut request = after(2, &[PruneKind::Image]);
    request.keep.images.insert(world.base.clone());
    request.keep.image_ids.extend([first.clone(), second]);
    assert_eq!(expect(engine.prune(&request).await), Pruned::default());
    request.keep.image_ids.remove(&first);
    assert_eq!(names(&expect(engine.prune(&request).await), PruneKind::Image), [first.as_str()]);
}

/// An image counts as needed until the last container that used it is removed, and is young then.
pub async fn an_image_that_was_used_until_now_is_not_old(engine: &dyn Engine, world: &World) {
    let image = world.image(engine, "used", "RUN echo used > /file").await;
    assert_eq!(image_log(engine, world, "user", &image, shell("cat /file")).await, ["used"]);
    let mut request = after(0, &[PruneKind::Image]);
    request.keep.images.insert(world.base.clone());
    expect(engine.remove_container(&key("user")).await);
    assert_eq!(expect(engine.prune(&request).await), Pruned::default());
    request.now = after(2, &[]).now;
    assert_eq!(names(&expect(engine.prune(&request).await), PruneKind::Image), [image.as_str()]);
}

/// Filters look at names and labels.
pub async fn a_filter_keeps_images_by_name_and_label(engine: &dyn Engine, world: &World) {
    let labelled = world.image(engine, "labelled", "LABEL keep=yes").await;
    let named = world.image(engine, "named", "RUN echo named > /file").await;
    let other = world.image(engine, "other", "RUN echo other > /file").await;
    let mut request = after(2, &[PruneKind::Image]);
    let keep = LabelMatch { key: "keep".to_owned(), value: Some("yes".to_owned()) };
    let filter = vec![
        PruneFilter::NoLabel(keep),
        PruneFilter::NoName("*named:*".to_owned()),
        PruneFilter::NoName("*base*".to_owned()),
    ];
    request.rules.insert(PruneKind::Image, PruneRule { older_than: Some(HOUR), filter: Some(filter) });
    assert_eq!(names(&expect(engine.prune(&request).await), PruneKind::Image), [other.as_str()]);
    assert_eq!(images(engine).await, [world.base.clone(), labelled, named]);
}

/// An image that lost its name to another is dangling, and can be the only one to go.
pub async fn a_dangling_image_goes_without_those_that_have_names(engine: &dyn Engine, world: &World) {
    let reference = world.image(engine, "built", "RUN echo first > /file").await;
    let first = expect(engine.observe().await).images[&reference].id.clone();
    assert_eq!(world.image(engine, "built", "RUN echo second > /file").await, reference);
    let mut request = after(2, &[]);
    let filter = Some(vec![PruneFilter::Dangling]);
    request.rules.insert(PruneKind::Image, PruneRule { older_than: Some(HOUR), filter });
    assert_eq!(names(&expect(engine.prune(&request).await), PruneKind::Image), [first.as_str()]);
    assert_eq!(images(engine).await, [world.base.clone(), reference]);
}

/// Only a container that has exited, and long ago, and that nobody declares, goes.
pub async fn an_exited_container_goes_when_it_is_old_and_not_declared(engine: &dyn Engine, world: &World) {
    for name in ["old", "kept"] {
        run_to_end(engine, world, name, shell("exit 0")).await;
    }
    create(engine, world, "new", config()).await;
    run(engine, world, "busy", config()).await;
    let mut request = after(0, &[PruneKind::Container]);
    request.keep.containers.insert(key("kept"));
    assert_eq!(expect(engine.prune(&request).await), Pruned::default(), "none is old");
    request.now = after(2, &[]).now;
    let foreseen = expect(engine.prune(&PruneRequest { dry_run: true, ..request.clone() }).await);
    assert_eq!(containers(engine).await.len(), 4);
    let pruned = expect(engine.prune(&request).await);
    assert_eq!(pruned, foreseen);
    assert_eq!(names(&pruned, PruneKind::Container), ["case/old"]);
    assert_eq!(containers(engine).await, [key("busy"), key("kept"), key("new")]);
}

/// Everything of an app of which nobody knows what is declared stays.
pub async fn a_prune_leaves_everything_of_a_broken_app(engine: &dyn Engine, world: &World) {
    run_to_end(engine, world, "job", shell("exit 0")).await;
    let mut request = after(2, &[PruneKind::Container, PruneKind::Volume]);
    request.keep.apps.insert(key("job").app);
    let volume = Volume { retain: false, adopt: None, labels: std::collections::BTreeMap::new() };
    expect(engine.create_volume(&key("data"), &volume).await);
    request.volumes.insert(key("data"));
    assert_eq!(expect(engine.prune(&request).await), Pruned::default());
}

/// A named volume goes only if it may, and if no container uses it.
pub async fn a_volume_goes_only_if_it_may_and_nobody_uses_it(engine: &dyn Engine, world: &World) {
    let volume = Volume { retain: false, adopt: None, labels: std::collections::BTreeMap::new() };
    for name in ["expendable", "retained", "used"] {
        expect(engine.create_volume(&key(name), &volume).await);
    }
    let mut config = config();
    config.mounts.push(homeostat_spec::Mount {
        source: homeostat_spec::MountSource::Volume(key("used").name),
        target: "/data".to_owned(),
        read_only: false,
    });
    create(engine, world, "user", config).await;
    let mut request = after(2, &[PruneKind::Volume]);
    request.volumes.extend([key("expendable"), key("used")]);
    let pruned = expect(engine.prune(&request).await);
    assert_eq!(names(&pruned, PruneKind::Volume), ["case/expendable"]);
    let left = expect(engine.observe().await).volumes;
    assert_eq!(left.into_iter().collect::<Vec<_>>(), [key("retained"), key("used")]);
}

/// What no rule names stays, whatever its age.
pub async fn a_prune_without_rules_removes_nothing(engine: &dyn Engine, world: &World) {
    run_to_end(engine, world, "job", shell("exit 0")).await;
    world.image(engine, "unused", "RUN echo unused > /file").await;
    let request = PruneRequest { others: true, ..after(24 * 365, &[]) };
    assert_eq!(expect(engine.prune(&request).await), Pruned::default());
}
