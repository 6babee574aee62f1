//! Images by hand: named, removed, saved, loaded, sent to a registry.

use futures::StreamExt as _;
use homeostat_daemons::Registry;
use homeostat_reconciler::ports::{ArchiveFormat, Engine, SaveRequest};
use homeostat_reconciler::{ErrorKind, spelled_out};

use crate::world::{Silent, expect};
use crate::{World, config, image_log, key, shell};

/// An image that says this, and its id.
async fn made(engine: &dyn Engine, world: &World, saying: &str) -> (String, String) {
    let reference = world.image(engine, "sayer", &format!("RUN echo {saying} > /saying")).await;
    let id = expect(engine.inspect_image(&reference).await).image.id;
    (reference, id)
}

/// The names of an image, spelled out.
async fn names(engine: &dyn Engine, name: &str) -> Vec<String> {
    let references = expect(engine.inspect_image(name).await).image.references;
    references.iter().map(|reference| spelled_out(reference)).collect()
}

/// An image is listed once, under all its names, and told with what it says of containers and how it was made.
pub async fn an_image_is_listed_under_all_its_names(engine: &dyn Engine, world: &World) {
    let (reference, id) = made(engine, world, "listed").await;
    expect(engine.tag_image(&reference, "localhost/other:2").await);
    let images = expect(engine.images().await);
    let of_it: Vec<_> = images.iter().filter(|image| image.id == id).collect();
    assert_eq!(of_it.len(), 1);
    assert!(of_it[0].references.iter().any(|name| spelled_out(name) == "localhost/other:2"), "{of_it:?}");
    let details = expect(engine.inspect_image("localhost/other:2").await);
    assert_eq!((details.os.as_str(), details.image.id), ("linux", id.clone()));
    assert!(details.layers.iter().all(|layer| layer.starts_with("sha256:")), "{:?}", details.layers);
    // The newest first, but for the labels that Docker's classic builder adds in the end.
    let made_by = |what| details.history.iter().position(|step| step.created_by.contains(what));
    assert!(made_by("echo listed") < made_by("COPY "), "{:?}", details.history);
    assert!(made_by("echo listed").is_some_and(|place| place <= 1), "{:?}", details.history);
    // The id, or the beginning of it, is a name too.
    assert_eq!(expect(engine.inspect_image(&id).await).image.id, id);
    assert_eq!(expect(engine.inspect_image(&id["sha256:".len()..][..12]).await).image.id, id);
    assert_eq!(engine.inspect_image("localhost/nothing:1").await.unwrap_err().kind, ErrorKind::User);
}

/// A name moves to another image, and one of several names goes without the image.
pub async fn a_name_can_be_given_moved_and_taken(engine: &dyn Engine, world: &World) {
    let (reference, id) = made(engine, world, "first").await;
    expect(engine.tag_image(&reference, "localhost/moving:1").await);
    expect(engine.tag_image(&world.base, "localhost/moving:1").await);
    assert_ne!(expect(engine.inspect_image("localhost/moving:1").await).image.id, id);
    let removal = expect(engine.delete_image("localhost/moving:1").await);
    assert_eq!((removal.untagged.len(), removal.deleted), (1, None));
    let removal = expect(engine.delete_image(&reference).await);
    assert_eq!(removal.deleted, Some(id.clone()));
    assert!(engine.inspect_image(&id).await.is_err());
    assert_eq!(engine.delete_image(&reference).await.unwrap_err().kind, ErrorKind::User);
}

/// The last name of an image that a container was created from stays.
pub async fn an_image_in_use_is_not_removed_by_hand(engine: &dyn Engine, world: &World) {
    let (reference, _) = made(engine, world, "used").await;
    let user = key("user");
    expect(engine.create_container(&world.request(&user, &reference, config())).await);
    let error = engine.delete_image(&reference).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::User, "{error}");
    assert!(!names(engine, &reference).await.is_empty());
    expect(engine.remove_container(&user).await);
    assert!(expect(engine.delete_image(&reference).await).deleted.is_some());
}

/// What is saved can be loaded again, with its id and its name, and runs.
pub async fn a_saved_image_is_loaded_again(engine: &dyn Engine, world: &World) {
    let (reference, id) = made(engine, world, "saved").await;
    let request = SaveRequest { names: vec![reference.clone()], format: ArchiveFormat::DockerArchive };
    let archive: Vec<_> = expect(engine.save_images(&request).await).collect().await;
    let archive: Vec<_> = archive.into_iter().map(|piece| Ok(expect(piece))).collect();
    assert!(expect(engine.delete_image(&reference).await).deleted.is_some());
    let loaded = expect(engine.load_images(futures::stream::iter(archive).boxed()).await);
    assert_eq!(loaded[0].id.as_ref(), Some(&id));
    assert_eq!(names(engine, &reference).await, std::slice::from_ref(&reference));
    assert_eq!(image_log(engine, world, "reader", &reference, shell("cat /saying")).await, ["saved"]);
    let nothing = SaveRequest { names: vec!["localhost/nothing:1".to_owned()], ..request };
    assert_eq!(engine.save_images(&nothing).await.err().map(|error| error.kind), Some(ErrorKind::User));
}

/// What is no archive of images is refused, and changes nothing.
pub async fn what_is_no_archive_is_not_loaded(engine: &dyn Engine, _world: &World) {
    let before = expect(engine.images().await).len();
    let archive = futures::stream::iter([Ok(vec![b'x'; 100_000].into())]);
    assert!(engine.load_images(archive.boxed()).await.is_err());
    assert_eq!(expect(engine.images().await).len(), before);
}

/// What is pushed can be pulled, and has the digest in the registry that was told.
pub async fn a_pushed_image_is_pulled_again(engine: &dyn Engine, world: &World) {
    let registry = Registry::start(&world.directory.join("registry"));
    let (reference, id) = made(engine, world, "pushed").await;
    let target = format!("{}/team/app:1", registry.address());
    expect(engine.tag_image(&reference, &target).await);
    let digest = expect(engine.push_image(&target, &Silent).await);
    let known = expect(engine.inspect_image(&target).await).image.digests;
    assert!(known.contains(&format!("{}/team/app@{digest}", registry.address())), "{known:?}");
    expect(engine.delete_image(&reference).await);
    expect(engine.delete_image(&target).await);
    assert_eq!(expect(engine.pull_image(&target, &Silent).await), id);
    assert_eq!(image_log(engine, world, "reader", &target, shell("cat /saying")).await, ["pushed"]);
}
