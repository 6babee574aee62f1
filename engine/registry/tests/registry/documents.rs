//! Manifests and blobs that are not what was asked for.

use homeostat_image::Digest;
use homeostat_reconciler::chain;
use homeostat_registry::RegistryError;

use crate::fake::Fake;
use crate::image::{Layer, Packing, noise, put, put_index};
use crate::place::{ARCHITECTURE, Place};

fn damage(body: &mut [u8]) {
    let middle = body.len() / 2;
    body[middle] ^= 0x55;
}

#[test]
fn a_blob_that_is_always_damaged_is_brought_twice_and_never_stored() {
    let (fake, place) = (Fake::start(), Place::new());
    let layer = Layer::of("file", &noise(100_000), Packing::Gzip);
    put(&fake, ARCHITECTURE, std::slice::from_ref(&layer));
    let path = layer.path();
    fake.change(move |request, reply| {
        if request.path == path {
            damage(&mut reply.body);
        }
    });
    let error = place.pull(&fake).unwrap_err();
    assert!(matches!(error, RegistryError::WrongDigest { .. }), "{error:?}");
    assert!(
        error.to_string().contains(layer.digest.as_str()) && error.to_string().contains(&fake.host()),
        "{error}"
    );
    assert_eq!(fake.requests(layer.digest.as_str()).len(), 2);
    place.assert_empty();
    assert_eq!(place.count("downloads"), 0);
}

#[test]
fn a_blob_that_was_damaged_on_its_way_is_brought_again() {
    let (fake, place) = (Fake::start(), Place::new());
    let layer = Layer::of("file", &noise(100_000), Packing::Gzip);
    let image = put(&fake, ARCHITECTURE, std::slice::from_ref(&layer));
    let (path, mut damaged) = (layer.path(), false);
    fake.change(move |request, reply| {
        if request.path == path && !damaged {
            damaged = true;
            damage(&mut reply.body);
        }
    });
    assert_eq!(place.pull(&fake).unwrap(), image.config);
    place.assert_sound();
}

#[test]
fn a_blob_of_another_size_is_refused_before_it_is_read() {
    for wrong in [1, 1_000_000] {
        let (fake, place) = (Fake::start(), Place::new());
        let mut layer = Layer::of("file", b"text", Packing::Gzip);
        layer.size = wrong;
        put(&fake, ARCHITECTURE, &[layer]);
        let error = place.pull(&fake).unwrap_err();
        assert!(matches!(error, RegistryError::Protocol { .. }), "{error:?}");
        assert!(error.to_string().contains(&format!("manifest says {wrong}")), "{error}");
        place.assert_empty();
    }
}

#[test]
fn a_blob_that_always_ends_early_is_an_error() {
    let (fake, place) = (Fake::start(), Place::new());
    let layer = Layer::of("file", &noise(1000), Packing::Gzip);
    put(&fake, ARCHITECTURE, std::slice::from_ref(&layer));
    let path = layer.path();
    fake.change(move |request, reply| {
        if request.path == path {
            reply.breaks_after = Some(reply.body.len() / 2);
        }
    });
    let error = place.pull(&fake).unwrap_err();
    assert!(matches!(error, RegistryError::Broken { .. }), "{error:?}");
    place.assert_empty();
}

#[test]
fn a_manifest_of_another_digest_is_refused() {
    let (fake, place) = (Fake::start(), Place::new());
    let asked = put(&fake, ARCHITECTURE, &[Layer::of("file", b"asked", Packing::Gzip)]);
    let other = put(&fake, ARCHITECTURE, &[Layer::of("file", b"other", Packing::Gzip)]);
    let manifest = fake_manifest(&fake, &place);
    fake.put(
        &format!("/v2/app/manifests/{}", asked.manifest),
        "application/vnd.oci.image.manifest.v1+json",
        &manifest,
    );
    let error = place.pull_reference(&format!("{}/app@{}", fake.host(), asked.manifest)).unwrap_err();
    assert!(matches!(error, RegistryError::WrongDigest { .. }), "{error:?}");
    assert!(
        error.to_string().contains(asked.manifest.as_str())
            && error.to_string().contains(other.manifest.as_str())
    );
    // By its place in an index likewise.
    put_index(&fake, &[(ARCHITECTURE, &asked)]);
    assert!(matches!(place.pull(&fake), Err(RegistryError::WrongDigest { .. })));
}

/// The manifest that the registry has under the tag, as it is stored after a pull.
fn fake_manifest(fake: &Fake, place: &Place) -> Vec<u8> {
    place.pull(fake).unwrap();
    let image = place.store().find(&format!("{}/app:1", fake.host())).unwrap().unwrap();
    fs_err::read(place.store().directory().join("blobs/sha256").join(image.manifest.hex())).unwrap()
}

#[test]
fn a_manifest_that_is_not_what_the_registry_announces_is_refused() {
    let (fake, place) = (Fake::start(), Place::new());
    put(&fake, ARCHITECTURE, &[Layer::of("file", b"text", Packing::Gzip)]);
    let announced = Digest::of(b"something else").to_string();
    fake.change(move |request, reply| {
        if request.path.contains("manifests") {
            *reply = reply.clone().with("Docker-Content-Digest", &announced);
        }
    });
    assert!(matches!(place.pull(&fake), Err(RegistryError::WrongDigest { .. })));
    place.assert_empty();
}

#[test]
fn a_layer_that_unpacks_to_something_else_is_refused() {
    let (fake, place) = (Fake::start(), Place::new());
    let mut layer = Layer::of("file", b"text", Packing::Gzip);
    layer.diff_id = Digest::of(b"something else");
    put(&fake, ARCHITECTURE, &[layer]);
    let error = place.pull(&fake).unwrap_err();
    assert!(chain(&error).contains(Digest::of(b"something else").as_str()), "{}", chain(&error));
    place.assert_empty();
}

#[test]
fn documents_that_make_no_sense_are_refused() {
    let oci = "application/vnd.oci.image.manifest.v1+json";
    let helm = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.cncf.helm.config.v1+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0},"layers":[]}"#;
    let cases = [
        (oci, "{"),
        (oci, r#"{"schemaVersion":2}"#),
        (oci, r#"{"schemaVersion":2,"config":{},"manifests":[]}"#),
        ("application/vnd.docker.distribution.manifest.v1+prettyjws", r#"{"schemaVersion":1,"name":"app"}"#),
        ("text/html", "<html></html>"),
        ("application/json", r#"{"schemaVersion":2}"#),
        (oci, r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#),
        (oci, helm),
    ];
    for (media_type, text) in cases {
        let (fake, place) = (Fake::start(), Place::new());
        fake.put("/v2/app/manifests/1", media_type, text.as_bytes());
        let error = place.pull(&fake).unwrap_err();
        let refused = matches!(error, RegistryError::Document { .. } | RegistryError::NotAnImage { .. });
        assert!(refused, "{text}: {error:?}");
        place.assert_empty();
    }
}

#[test]
fn a_manifest_of_many_megabytes_is_not_read_to_its_end() {
    let (fake, place) = (Fake::start(), Place::new());
    fake.put("/v2/app/manifests/1", "application/vnd.oci.image.manifest.v1+json", &vec![b' '; 5 << 20]);
    assert!(matches!(place.pull(&fake), Err(RegistryError::Protocol { .. })));
}
