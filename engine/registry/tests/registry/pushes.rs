//! Pushes: what is sent and what is not, and registries that go wrong meanwhile.

use std::io::Read as _;

use homeostat_daemons::{PASSWORD, Registry, USER};
use homeostat_image::{Digest, Image, Layer};
use homeostat_reconciler::{ErrorKind, chain};
use homeostat_registry::{Platform, Registries, RegistryError};
use oci_spec::image::{ImageConfigurationBuilder, ImageManifest};

use crate::image::noise;
use crate::place::{Place, Told, run};
use crate::receiver::{Fault, Receiver};

/// An image of two layers that were made here, one of this many bytes that do not compress.
fn image(place: &Place, size: usize) -> Image {
    let layer = |content: &[u8]| -> Layer {
        let staged = place.store().begin_layer(None).unwrap();
        fs_err::write(staged.upper().join("file"), content).unwrap();
        staged.commit().unwrap().unwrap()
    };
    let config = ImageConfigurationBuilder::default()
        .architecture(oci_spec::image::Arch::Amd64)
        .os(oci_spec::image::Os::Linux)
        .build()
        .unwrap();
    let layers = [layer(b"first"), layer(&noise(size))];
    place.store().commit_image(config, &layers, Some("app:1")).unwrap();
    place.store().find("app:1").unwrap().unwrap()
}

fn push(place: &Place, host: &str, image: &Image) -> Result<Digest, RegistryError> {
    push_telling(place, host, image, &Told::default())
}

fn push_telling(place: &Place, host: &str, image: &Image, told: &Told) -> Result<Digest, RegistryError> {
    run(place.registries().push(place.store(), &format!("{host}/app:1"), image, told))
}

/// The registry has the image, and every blob is what its digest says.
fn assert_whole(receiver: &Receiver, image: &Image, pushed: &Digest) {
    let (media_type, text) = receiver.manifest("1").unwrap();
    assert_eq!(media_type, "application/vnd.oci.image.manifest.v1+json");
    assert_eq!(Digest::of(&text), *pushed);
    let manifest: ImageManifest = serde_json::from_slice(&text).unwrap();
    assert_eq!(manifest.config().digest().as_ref(), image.id.as_str());
    assert!(receiver.blob(image.id.as_str()).is_some());
    for (described, layer) in manifest.layers().iter().zip(&image.layers) {
        let blob = receiver.blob(described.digest().as_ref()).unwrap();
        assert_eq!(blob.len() as u64, described.size());
        let mut archive = Vec::new();
        flate2::read::GzDecoder::new(blob.as_slice()).read_to_end(&mut archive).unwrap();
        assert_eq!(Digest::of(&archive), layer.diff_id);
    }
}

#[test]
fn what_was_made_here_is_compressed_and_sent_once() {
    let (receiver, place) = (Receiver::start(), Place::new());
    let image = image(&place, 300_000);
    let told = Told::default();
    let pushed = push_telling(&place, &receiver.host(), &image, &told).unwrap();
    assert_whole(&receiver, &image, &pushed);
    assert!(told.0.into_inner().unwrap().iter().any(|line| line.ends_with(": done")));
    assert_eq!(place.count("ingest"), 0);
    let sent = receiver.requests("PATCH").len();
    // Once more, nothing is sent but the manifest, and the digest is the same.
    assert_eq!(push(&place, &receiver.host(), &image).unwrap(), pushed);
    assert_eq!((receiver.requests("PATCH").len(), receiver.requests("POST").len()), (sent, 3));
    // What the registry has lost is sent again.
    let other = Receiver::start();
    assert_eq!(push(&place, &other.host(), &image).unwrap(), pushed);
    assert_whole(&other, &image, &pushed);
}

#[test]
fn an_upload_goes_on_where_it_broke() {
    let (receiver, place) = (Receiver::start(), Place::new());
    let image = image(&place, 2_000_000);
    let mut breaks = 0;
    receiver.plan(move |head| {
        let length = head.headers.get("content-length").and_then(|length| length.parse::<usize>().ok());
        // More often than there are attempts at one thing: each gets further.
        if head.method == "PATCH" && length > Some(500_000) && breaks < 5 {
            breaks += 1;
            return Some(Fault::Break(300_000));
        }
        None
    });
    let pushed = push(&place, &receiver.host(), &image).unwrap();
    assert_whole(&receiver, &image, &pushed);
    let ranges =
        receiver.requests("PATCH").into_iter().filter_map(|head| head.headers.get("content-range").cloned());
    let starts: Vec<String> = ranges.map(|range| range.split('-').next().unwrap().to_owned()).collect();
    assert_eq!(starts[..2], ["300000", "600000"]);
}

#[test]
fn an_upload_that_the_registry_has_forgotten_or_claims_to_have_more_of_begins_anew() {
    let more = || vec![("Range", format!("0-{}", u64::MAX))];
    for (status, headers) in [(404, Vec::new()), (204, more())] {
        let (receiver, place) = (Receiver::start(), Place::new());
        let image = image(&place, 300_000);
        let mut broken = false;
        receiver.plan(move |head| match head.method.as_str() {
            "PATCH" if !broken => {
                broken = true;
                Some(Fault::Break(1000))
            }
            "GET" => Some(Fault::Answer(status, headers.clone(), "")),
            _ => None,
        });
        let pushed = push(&place, &receiver.host(), &image).unwrap();
        assert_whole(&receiver, &image, &pushed);
    }
}

#[test]
fn an_answer_that_got_lost_is_no_failure() {
    for method in ["PUT", "PATCH", "HEAD"] {
        let (receiver, place) = (Receiver::start(), Place::new());
        let image = image(&place, 10_000);
        receiver.once(method, Fault::Mute);
        let pushed = push(&place, &receiver.host(), &image).unwrap();
        assert_whole(&receiver, &image, &pushed);
    }
}

#[test]
fn trouble_that_passes_is_waited_for() {
    for (status, headers) in
        [(500, Vec::new()), (503, Vec::new()), (429, vec![("Retry-After", "0".to_owned())])]
    {
        for method in ["HEAD", "PATCH", "PUT"] {
            let (receiver, place) = (Receiver::start(), Place::new());
            let image = image(&place, 10_000);
            receiver.once(method, Fault::Answer(status, headers.clone(), ""));
            let pushed = push(&place, &receiver.host(), &image)
                .unwrap_or_else(|error| panic!("{status} {method}: {}", chain(&error)));
            assert_whole(&receiver, &image, &pushed);
        }
    }
}

#[test]
fn who_is_to_wait_longer_is_told_so() {
    let (receiver, place) = (Receiver::start(), Place::new());
    let image = image(&place, 10_000);
    receiver.plan(|_| Some(Fault::Answer(429, vec![("Retry-After", "3600".to_owned())], "")));
    let error = push(&place, &receiver.host(), &image).unwrap_err();
    assert!(chain(&error).contains("the next in 3600 seconds"), "{}", chain(&error));
    assert_eq!(error.kind(), ErrorKind::Transient);
}

#[test]
fn refusals_are_told_with_the_registrys_words_and_not_repeated() {
    let words = r#"{"errors":[{"code":"DENIED","message":"not yours"}]}"#;
    for (method, status, kind) in
        [("POST", 403, ErrorKind::User), ("PUT", 403, ErrorKind::User), ("PATCH", 413, ErrorKind::Transient)]
    {
        let (receiver, place) = (Receiver::start(), Place::new());
        let image = image(&place, 100_000);
        receiver.plan(move |head| (head.method == method).then(|| Fault::Answer(status, Vec::new(), words)));
        let error = push(&place, &receiver.host(), &image).unwrap_err();
        assert!(chain(&error).contains("not yours"), "{method} {status}: {}", chain(&error));
        assert_eq!(error.kind(), kind);
        assert!(error.hint().is_some());
        assert!(receiver.requests(method).len() <= 3, "{method}: not tried again");
        assert!(receiver.manifest("1").is_none());
        assert_eq!(place.count("ingest"), 0);
    }
}

#[test]
fn without_credentials_nothing_is_pushed_and_it_is_said_so() {
    let (receiver, place) = (Receiver::start(), Place::new());
    let image = image(&place, 1000);
    let challenge = || vec![("WWW-Authenticate", "Basic realm=\"tests\"".to_owned())];
    receiver.plan(move |head| {
        let shown = head.headers.get("authorization").is_some_and(|shown| shown == "Basic dXNlcjpzZWNyZXQ=");
        (!shown).then(|| Fault::Answer(401, challenge(), ""))
    });
    let error = push(&place, &receiver.host(), &image).unwrap_err();
    assert!(matches!(error, RegistryError::Unauthorized { with_credentials: false, .. }), "{error:?}");
    place.log_in(&receiver.host(), r#"{"auth":"dXNlcjpzZWNyZXQ="}"#);
    let pushed = push(&place, &receiver.host(), &image).unwrap();
    assert_whole(&receiver, &image, &pushed);
}

#[test]
fn a_token_is_asked_for_that_allows_pushes() {
    let (receiver, place) = (Receiver::start(), Place::new());
    let image = image(&place, 1000);
    let realm = format!("http://{}/token", receiver.host());
    receiver.plan(move |head| {
        if head.path.starts_with("/token") {
            return Some(Fault::Answer(200, Vec::new(), r#"{"token":"allowed"}"#));
        }
        let shown = head.headers.get("authorization").is_some_and(|shown| shown == "Bearer allowed");
        // A registry asks for what the request at hand needs.
        let challenge = format!("Bearer realm=\"{realm}\",service=\"tests\",scope=\"repository:app:pull\"");
        (!shown).then(|| Fault::Answer(401, vec![("WWW-Authenticate", challenge)], ""))
    });
    let pushed = push(&place, &receiver.host(), &image).unwrap();
    assert_whole(&receiver, &image, &pushed);
    let asked: Vec<_> =
        receiver.requests("GET").into_iter().filter(|head| head.path.starts_with("/token")).collect();
    assert!(asked.iter().all(|head| head.path.contains("pull%2Cpush")), "{asked:?}");
}

#[test]
fn a_registry_that_takes_the_manifest_for_another_is_not_believed() {
    let (receiver, place) = (Receiver::start(), Place::new());
    let image = image(&place, 1000);
    receiver.plan(|head| {
        let is_manifest = head.method == "PUT" && head.path.contains("/manifests/");
        is_manifest.then(|| Fault::Digest(Digest::of(b"another").to_string()))
    });
    let error = push(&place, &receiver.host(), &image).unwrap_err();
    assert!(matches!(error, RegistryError::WrongDigest { .. }), "{error:?}");
}

#[test]
fn an_image_by_digest_is_not_pushed() {
    let place = Place::new();
    let image = image(&place, 1000);
    let reference = format!("127.0.0.1:1/app@{}", Digest::of(b""));
    let error =
        run(place.registries().push(place.store(), &reference, &image, &Told::default())).unwrap_err();
    assert!(chain(&error).contains("pushed under a tag"), "{}", chain(&error));
}

fn real(place: &Place) -> Registries {
    Registries::for_platform(place.config.clone(), Platform::of_this_host())
}

#[test]
fn what_is_pushed_to_docker_registry_is_pulled_from_there() {
    let (place, other) = (Place::new(), Place::new());
    let registry = Registry::start_with_password(&place.directory.path().join("registry"));
    for place in [&place, &other] {
        place.log_in(&registry.address(), &format!(r#"{{"username":"{USER}","password":"{PASSWORD}"}}"#));
    }
    let image = image(&place, 5_000_000);
    let reference = format!("{}/acme/web:1", registry.address());
    let pushed = run(real(&place).push(place.store(), &reference, &image, &Told::default())).unwrap();
    let id = run(real(&other).pull(other.store(), &reference, &Told::default())).unwrap();
    assert_eq!(id, image.id);
    assert_eq!(other.store().registry_digest(&reference).unwrap(), pushed);
    assert_eq!(other.read(&reference, "file").len(), 5_000_000);
    other.assert_sound();
}

#[test]
fn an_image_that_was_pulled_keeps_its_digest_and_its_layers_are_not_sent_within_a_registry() {
    let place = Place::new();
    let registry = Registry::start(&place.directory.path().join("registry"));
    let digest = registry.push("acme/web", "1", "one");
    let from = format!("{}/acme/web:1", registry.address());
    run(real(&place).pull(place.store(), &from, &Told::default())).unwrap();
    let image = place.store().find(&from).unwrap().unwrap();
    let to = format!("{}/other/place:2", registry.address());
    let told = Told::default();
    let pushed = run(real(&place).push(place.store(), &to, &image, &told)).unwrap();
    assert_eq!(pushed.as_str(), digest);
    let told = told.0.into_inner().unwrap();
    assert_eq!(told.iter().filter(|line| line.ends_with("is taken from acme/web")).count(), 2, "{told:?}");
    assert!(!registry.logs().contains("\"PATCH "), "no layer was sent");
}
