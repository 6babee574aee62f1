//! Mirrors.

use homeostat_registry::HostConfig;

use crate::fake::{Fake, Reply};
use crate::image::{Layer, Packing, put};
use crate::place::{ARCHITECTURE, Place};

/// A registry with an image, a mirror of it, and a place that knows of both.
fn set_up() -> (Fake, Fake, Place, Layer) {
    let (registry, mirror, mut place) = (Fake::start(), Fake::start(), Place::new());
    let layer = Layer::of("file", b"text", Packing::Gzip);
    for fake in [&registry, &mirror] {
        put(fake, ARCHITECTURE, std::slice::from_ref(&layer));
    }
    let mirrors = vec![format!("http://{}", mirror.host())];
    place.config.hosts.insert(registry.host(), HostConfig { mirrors, ..HostConfig::default() });
    (registry, mirror, place, layer)
}

#[test]
fn a_mirror_is_asked_and_the_registry_is_left_alone() {
    let (registry, mirror, place, _) = set_up();
    place.pull(&registry).unwrap();
    assert!(registry.requests("").is_empty());
    assert_eq!(mirror.requests("").len(), 3);
}

#[test]
fn a_mirror_that_does_not_have_it_is_passed_over() {
    let (registry, mirror, place, _) = set_up();
    mirror.change(|_, reply| *reply = Reply::new(404, ""));
    place.pull(&registry).unwrap();
    assert_eq!((mirror.requests("").len(), registry.requests("").len()), (1, 3));
}

#[test]
fn a_mirror_that_damages_a_layer_is_passed_over_for_it() {
    let (registry, mirror, place, layer) = set_up();
    let path = layer.path();
    mirror.change(move |request, reply| {
        if request.path == path {
            reply.body[20] ^= 1;
        }
    });
    place.pull(&registry).unwrap();
    assert_eq!(mirror.requests(layer.digest.as_str()).len(), 1);
    assert_eq!(registry.requests(layer.digest.as_str()).len(), 1);
    place.assert_sound();
}

#[test]
fn the_registrys_own_word_is_told_when_nobody_has_it() {
    let (registry, mirror, place, _) = set_up();
    mirror.change(|_, reply| *reply = Reply::new(403, ""));
    registry.change(|_, reply| *reply = Reply::new(404, ""));
    let error = place.pull(&registry).unwrap_err();
    assert!(error.to_string().contains(&format!("{} does not have", registry.host())), "{error}");
}
