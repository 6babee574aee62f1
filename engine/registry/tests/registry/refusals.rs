//! Answers that another attempt would not change.

use homeostat_reconciler::{ErrorKind, chain};
use homeostat_registry::RegistryError;

use crate::fake::{Fake, Reply};
use crate::image::{Layer, Packing, put};
use crate::place::{ARCHITECTURE, Place};

#[test]
fn what_is_refused_or_not_there_is_asked_for_once_and_told_with_the_registrys_words() {
    let body = r#"{"errors":[{"code":"DENIED","message":"no\u001b[31m access"}]}"#;
    for (status, kind) in [(403, ErrorKind::User), (404, ErrorKind::User), (400, ErrorKind::Transient)] {
        let (fake, place) = (Fake::start(), Place::new());
        fake.change(move |_, reply| *reply = Reply::new(status, body));
        let error = place.pull(&fake).unwrap_err();
        assert_eq!(error.kind(), kind);
        assert!(chain(&error).contains("no[31m access"), "{error}");
        assert!(chain(&error).contains(&fake.host()));
        assert_eq!(fake.requests("").len(), 1);
        place.assert_empty();
    }
}

#[test]
fn a_layer_that_the_registry_has_lost_is_named() {
    let (fake, place) = (Fake::start(), Place::new());
    let (there, lost) = (Layer::of("a", b"a", Packing::Gzip), Layer::of("b", b"b", Packing::Gzip));
    put(&fake, ARCHITECTURE, &[there, lost.clone()]);
    let path = lost.path();
    fake.change(move |request, reply| {
        if request.path == path {
            *reply = Reply::new(404, "");
        }
    });
    let error = place.pull(&fake).unwrap_err();
    assert!(error.to_string().contains(lost.digest.as_str()), "{error}");
    assert!(place.store().list().is_empty());
}

#[test]
fn nobody_listening_is_told_with_the_address() {
    let place = Place::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = place.pull_reference(&format!("{address}/app:1")).unwrap_err();
    assert!(matches!(error, RegistryError::Unreachable { .. }), "{error:?}");
    assert!(
        chain(&error).contains(&address.to_string()) && chain(&error).contains("refused"),
        "{}",
        chain(&error)
    );
    assert_eq!(error.kind(), ErrorKind::Transient);
}

#[test]
fn what_is_no_reference_is_refused_before_anybody_is_asked() {
    let place = Place::new();
    let error = place.pull_reference("127.0.0.1:1/App:1").unwrap_err();
    assert!(matches!(error, RegistryError::InvalidReference { .. }));
}
