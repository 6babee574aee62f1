//! Images as they should be.

use homeostat_image::Digest;
use homeostat_registry::RegistryError;

use crate::fake::Fake;
use crate::image::{Layer, Packing, put, put_index};
use crate::place::{ARCHITECTURE, Place, Told, run};

#[test]
fn an_image_of_each_packing_is_pulled_and_keeps_its_digests() {
    for packing in [Packing::DockerGzip, Packing::Gzip, Packing::Zstd, Packing::Plain] {
        let (fake, place) = (Fake::start(), Place::new());
        let layers = [Layer::of("base", b"one", packing), Layer::of("top", b"two", packing)];
        let image = put(&fake, ARCHITECTURE, &layers);
        assert_eq!(place.pull(&fake).unwrap(), image.config);
        let reference = format!("{}/app:1", fake.host());
        let stored = place.store().find(&reference).unwrap().unwrap();
        assert_eq!(stored.manifest, image.manifest);
        assert_eq!(place.store().registry_digest(&reference), Some(image.manifest));
        assert_eq!(place.read(&reference, "base"), b"one");
        assert_eq!(place.read(&reference, "top"), b"two");
        let digests = stored.layers.iter().map(|layer| &layer.digest);
        assert!(digests.eq(layers.iter().map(|layer| &layer.digest)));
        assert_eq!(place.count("downloads"), 0);
        place.assert_sound();
    }
}

#[test]
fn a_pulled_image_outlives_a_restart() {
    let (fake, mut place) = (Fake::start(), Place::new());
    put(&fake, ARCHITECTURE, &[Layer::of("file", b"text", Packing::Gzip)]);
    let id = place.pull(&fake).unwrap();
    place.reopen();
    let reference = format!("{}/app:1", fake.host());
    assert_eq!(place.store().find(&reference).unwrap().unwrap().id, id);
    assert!(place.store().registry_digest(&reference).is_some());
    assert_eq!(place.read(&reference, "file"), b"text");
    place.assert_sound();
}

#[test]
fn the_image_of_this_platform_is_chosen_from_an_index() {
    let (fake, place) = (Fake::start(), Place::new());
    let other = put(&fake, "arm64", &[Layer::of("file", b"other", Packing::Gzip)]);
    let ours = put(&fake, ARCHITECTURE, &[Layer::of("file", b"ours", Packing::Gzip)]);
    let index = put_index(&fake, &[("arm64", &other), (ARCHITECTURE, &ours)]);
    assert_eq!(place.pull(&fake).unwrap(), ours.config);
    let reference = format!("{}/app:1", fake.host());
    // What the tag stands for is the index; the image is one of it.
    assert_eq!(place.store().registry_digest(&reference), Some(index.clone()));
    assert_eq!(place.store().find(&reference).unwrap().unwrap().manifest, ours.manifest);
    let by_digest = format!("{}/app@{index}", fake.host());
    assert_eq!(place.pull_reference(&by_digest).unwrap(), ours.config);
    assert_eq!(place.read(&by_digest, "file"), b"ours");
}

#[test]
fn an_image_for_other_platforms_only_is_refused_with_their_names() {
    let (fake, place) = (Fake::start(), Place::new());
    let other = put(&fake, "arm64", &[Layer::of("file", b"other", Packing::Gzip)]);
    for with_index in [false, true] {
        if with_index {
            put_index(&fake, &[("arm64", &other), ("s390x", &other)]);
        }
        let error = place.pull(&fake).unwrap_err();
        assert!(
            error.to_string().contains("linux/amd64") && error.to_string().contains("linux/arm64"),
            "{error}"
        );
        assert_eq!(error.to_string().contains("s390x"), with_index);
    }
    assert!(fake.requests(&other.config.to_string()).len() <= 1);
    place.assert_empty();
}

#[test]
fn what_is_here_already_is_not_asked_for_again() {
    let (fake, place) = (Fake::start(), Place::new());
    let shared = Layer::of("base", b"shared", Packing::Gzip);
    put(&fake, ARCHITECTURE, &[shared.clone(), Layer::of("top", b"first", Packing::Gzip)]);
    place.pull(&fake).unwrap();
    let second = Layer::of("top", b"second", Packing::Gzip);
    let image = put(&fake, ARCHITECTURE, &[shared.clone(), second.clone()]);
    assert_eq!(place.pull(&fake).unwrap(), image.config);
    assert_eq!(place.pull(&fake).unwrap(), image.config);
    assert_eq!(fake.requests(shared.digest.as_str()).len(), 1);
    assert_eq!(fake.requests(second.digest.as_str()).len(), 1);
}

#[test]
fn a_layer_that_comes_twice_in_an_image_is_downloaded_once() {
    let (fake, place) = (Fake::start(), Place::new());
    let layer = Layer::of("file", b"text", Packing::Gzip);
    let image = put(&fake, ARCHITECTURE, &[layer.clone(), layer.clone()]);
    assert_eq!(place.pull(&fake).unwrap(), image.config);
    assert_eq!(fake.requests(layer.digest.as_str()).len(), 1);
    place.assert_sound();
}

#[test]
fn a_layer_that_was_built_here_is_used_with_the_blob_of_the_registry() {
    let (fake, place) = (Fake::start(), Place::new());
    let plain = Layer::of("file", b"text", Packing::Plain);
    put(&fake, ARCHITECTURE, &[plain]);
    place.pull(&fake).unwrap();
    let packed = Layer::of("file", b"text", Packing::Gzip);
    let image = put(&fake, ARCHITECTURE, &[packed]);
    assert_eq!(place.pull(&fake).unwrap(), image.config);
    assert_eq!(place.count("layers"), 1);
    place.assert_sound();
}

#[test]
fn it_is_told_how_a_pull_gets_on() {
    let (fake, place) = (Fake::start(), Place::new());
    let layer = Layer::of("file", &crate::image::noise(300_000), Packing::Gzip);
    put(&fake, ARCHITECTURE, std::slice::from_ref(&layer));
    let told = Told::default();
    run(place.registries().pull(place.store(), &format!("{}/app:1", fake.host()), &told)).unwrap();
    let told = told.0.into_inner().unwrap();
    assert_eq!(told[0], format!("[1/1] {}", layer.digest));
    let name = &layer.digest.hex()[..12];
    assert!(
        told.contains(&format!("{name}: 100 % of 1 MiB")) && told.contains(&format!("{name}: done")),
        "{told:?}"
    );
}

#[test]
fn a_digest_that_nobody_has_is_not_found() {
    let (fake, place) = (Fake::start(), Place::new());
    let reference = format!("{}/app@{}", fake.host(), Digest::of(b"nothing"));
    assert!(matches!(place.pull_reference(&reference), Err(RegistryError::NotFound { .. })));
}
