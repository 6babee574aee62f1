//! Prunes of what others made with the same engine. Where an engine serves nobody else, to be allowed to take what is
//! others' makes no difference.

use homeostat_daemons::Registry;
use homeostat_reconciler::ports::{Engine, PruneRequest, Pruned};
use homeostat_spec::{LabelMatch, PruneFilter, PruneKind, PruneRule};

use crate::others::Others;
use crate::prune::{HOUR, after, images, names};
use crate::world::{Silent, expect};
use crate::{World, config, image_log, run_to_end, shell};

/// Asks for everything of every kind but build cache, of others too.
fn everything(world: &World, hours: i64) -> PruneRequest {
    let kinds = [PruneKind::Container, PruneKind::Image, PruneKind::Volume];
    let mut request = PruneRequest { others: true, ..after(hours, &kinds) };
    request.keep.images.insert(world.base.clone());
    request
}

/// A container of others with this name that has exited.
fn exited(others: &Others, world: &World, name: &str) {
    let label = format!("made={name}");
    let options = ["run", "--network=none", "--label", &label, "--name", name, &world.base, "true"];
    others.docker(&options);
}

/// An image of others with a file of this name.
fn imported(others: &Others, world: &World, name: &str) -> String {
    let directory = world.directory.join("imported").join(name);
    fs_err::create_dir_all(&directory).unwrap();
    fs_err::write(directory.join(name), name.repeat(10_000)).unwrap();
    let reference = format!("localhost/{name}:1");
    others.import(&directory, &format!("made={name}"), &reference);
    reference
}

/// What is listed, without what homeostat has.
fn listed(others: &Others, arguments: &[&str]) -> Vec<String> {
    let told = others.docker(arguments);
    let mut lines: Vec<String> = told.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// What others made goes only where that is allowed, and then only what nobody uses; never a volume with a name.
pub async fn what_others_made_goes_only_where_that_is_allowed(engine: &dyn Engine, world: &World) {
    let request = everything(world, 2);
    let own_only = PruneRequest { others: false, ..request.clone() };
    let Some(others) = &world.others else {
        run_to_end(engine, world, "own", shell("exit 0")).await;
        let foreseen = expect(engine.prune(&PruneRequest { dry_run: true, ..request.clone() }).await);
        assert_eq!(foreseen, expect(engine.prune(&own_only).await));
        assert_eq!(expect(engine.prune(&request).await), Pruned::default());
        return;
    };
    exited(others, world, "theirs-old");
    others.docker(&["run", "--detach", "--network=none", "--name=theirs-busy", &world.base, "sleep", "1000"]);
    others.docker(&["create", "--network=none", "--name=theirs-new", &world.base]);
    let unused = imported(others, world, "unused");
    let anonymous = others.docker(&["volume", "create"]);
    others.docker(&["volume", "create", "named"]);
    assert_eq!(expect(engine.prune(&own_only).await), Pruned::default(), "it is not allowed");

    let foreseen = expect(engine.prune(&PruneRequest { dry_run: true, ..request.clone() }).await);
    assert_eq!(names(&foreseen, PruneKind::Container), ["theirs-old"]);
    assert_eq!(names(&foreseen, PruneKind::Image), [unused]);
    assert_eq!(names(&foreseen, PruneKind::Volume), [anonymous]);
    let image = foreseen.items.iter().find(|item| item.kind == PruneKind::Image).unwrap();
    assert!(image.bytes >= 60_000, "{image:?}");
    assert_eq!(expect(engine.prune(&request).await), foreseen);
    assert_eq!(expect(engine.prune(&request).await), Pruned::default(), "it is gone");
    assert_eq!(
        listed(others, &["ps", "--all", "--format={{.Names}}"]),
        ["theirs-busy", "theirs-new"],
        "what runs stays, and what is yet to run"
    );
    assert_eq!(listed(others, &["volume", "ls", "--quiet"]), ["named"]);
    assert_eq!(images(engine).await, std::slice::from_ref(&world.base));
    others.docker(&["rm", "--force", "theirs-busy", "theirs-new"]);
}

/// Ages and filters hold for what others made as for homeostat's own.
pub async fn what_others_made_goes_by_age_and_filter(engine: &dyn Engine, world: &World) {
    let Some(others) = &world.others else {
        let young = expect(engine.prune(&everything(world, 0)).await);
        assert_eq!(young, Pruned::default());
        return;
    };
    for name in ["theirs-a", "theirs-b", "mine-c"] {
        exited(others, world, name);
    }
    let kept = imported(others, world, "kept");
    let gone = imported(others, world, "gone");
    assert_eq!(expect(engine.prune(&everything(world, 0)).await), Pruned::default(), "all is young");
    let mut request = everything(world, 2);
    let not = |label: &str| LabelMatch { key: "made".to_owned(), value: Some(label.to_owned()) };
    let containers = vec![PruneFilter::Name("theirs-*".to_owned()), PruneFilter::NoLabel(not("theirs-b"))];
    let of_images = vec![PruneFilter::NoName("*kept:*".to_owned()), PruneFilter::NoLabel(not("base"))];
    for (kind, filter) in [(PruneKind::Container, containers), (PruneKind::Image, of_images)] {
        request.rules.insert(kind, PruneRule { older_than: Some(HOUR), filter: Some(filter) });
    }
    let pruned = expect(engine.prune(&request).await);
    assert_eq!(names(&pruned, PruneKind::Container), ["theirs-a"]);
    assert_eq!(names(&pruned, PruneKind::Image), [gone]);
    assert_eq!(images(engine).await, [world.base.clone(), kept]);
    others.docker(&["rm", "theirs-b", "mine-c"]);
}

/// A prune of homeostat's own takes no name that somebody else gave, and the image stays with it.
pub async fn a_name_that_others_gave_stays_with_its_image(engine: &dyn Engine, world: &World) {
    let own = world.image(engine, "own", "RUN echo own > /file").await;
    let theirs = "localhost/theirs:1".to_owned();
    if let Some(others) = &world.others {
        others.docker(&["tag", &own, &theirs]);
    }
    let request = PruneRequest { others: false, ..everything(world, 2) };
    let pruned = expect(engine.prune(&request).await);
    assert_eq!(names(&pruned, PruneKind::Image), [own]);
    if world.others.is_some() {
        assert_eq!(pruned.bytes(), 0, "it is still there");
        assert_eq!(image_log(engine, world, "reader", &theirs, shell("cat /file")).await, ["own"]);
    }
}

/// What is left of builds is told with sizes before it goes; where it cannot be told whose it is, it is others'.
pub async fn build_cache_is_foreseen_with_its_sizes(engine: &dyn Engine, world: &World) {
    if let Some(others) = &world.others {
        let context =
            world.context("theirs", "FROM scratch\nCOPY Dockerfile /file\nCOPY Dockerfile /other\n");
        if others.build(&context, "localhost/theirs:1") {
            others.docker(&["rmi", "localhost/theirs:1"]);
        }
        let own = expect(engine.prune(&after(2, &[PruneKind::BuildCache])).await);
        assert_eq!(own, Pruned::default(), "it is not homeostat's");
    }
    let request = |hours| PruneRequest { others: true, ..after(hours, &[PruneKind::BuildCache]) };
    assert_eq!(expect(engine.prune(&request(0)).await), Pruned::default(), "it is young");
    let request = request(2);
    let foreseen = expect(engine.prune(&PruneRequest { dry_run: true, ..request.clone() }).await);
    assert!(foreseen.bytes() > 0, "builds have left nothing: {foreseen:?}");
    assert_eq!(pruned_within_a_second(engine, &request).await, foreseen);
    assert_eq!(expect(engine.prune(&request).await), Pruned::default(), "it is gone");
}

/// What a prune removes as soon as there is something: Docker counts ages of build cache in whole seconds.
async fn pruned_within_a_second(engine: &dyn Engine, request: &PruneRequest) -> Pruned {
    let some = async {
        loop {
            let pruned = expect(engine.prune(request).await);
            if pruned != Pruned::default() {
                return pruned;
            }
        }
    };
    tokio::time::timeout(crate::PATIENCE, some).await.unwrap()
}

/// An image with several names loses those that nobody wants, and goes with the last.
pub async fn an_image_stays_under_the_name_that_is_wanted(engine: &dyn Engine, world: &World) {
    let wanted = world.image(engine, "wanted", "RUN echo one > /file").await;
    let id = expect(engine.observe().await).images[&wanted].id.clone();
    let context = world.directory.join("contexts/wanted");
    let unwanted = ["localhost/other:1", "localhost/wanted:2"];
    for name in unwanted {
        assert_eq!(world.build(engine, name, &context).await.unwrap(), id, "it is the same image");
    }
    let mut request = everything(world, 2);
    request.keep.images.insert(wanted.clone());
    let pruned = expect(engine.prune(&request).await);
    assert_eq!(names(&pruned, PruneKind::Image), unwanted);
    assert_eq!(pruned.bytes(), 0, "it is still there");
    assert_eq!(image_log(engine, world, "reader", &wanted, shell("cat /file")).await, ["one"]);
    expect(engine.remove_container(&crate::key("reader")).await);

    request = everything(world, 2);
    let pruned = expect(engine.prune(&request).await);
    assert_eq!(names(&pruned, PruneKind::Image), [wanted]);
    let left = expect(engine.observe().await).images;
    assert!(left.values().all(|image| image.id != id), "{left:?}");
}

/// A digest that is wanted keeps its image, also when a tag of the same repository goes.
pub async fn an_image_that_is_wanted_by_its_digest_stays(engine: &dyn Engine, world: &World) {
    let registry = Registry::start(&world.directory.join("registry"));
    let digest = registry.push("app", "1", "first");
    let (by_tag, by_digest) =
        (format!("{}/app:1", registry.address()), format!("{}/app@{digest}", registry.address()));
    for reference in [&by_tag, &by_digest] {
        expect(engine.pull_image(reference, &Silent).await);
    }
    let mut request = everything(world, 2);
    request.keep.images.insert(by_digest.clone());
    expect(engine.prune(&request).await);
    let command = Some(["cat", "/version"].map(str::to_owned).to_vec());
    let asked = homeostat_spec::ContainerConfig { command, ..config() };
    assert_eq!(image_log(engine, world, "reader", &by_digest, asked).await, ["first"]);
    expect(engine.remove_container(&crate::key("reader")).await);

    let pruned = expect(engine.prune(&everything(world, 2)).await);
    assert!(pruned.bytes() > 0, "{pruned:?}");
    assert_eq!(expect(engine.observe().await).images.len(), 1, "only the base is left");
}
