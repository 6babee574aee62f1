//! Credentials: shown where they are asked for, and nowhere else.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use homeostat_reconciler::ErrorKind;
use homeostat_registry::RegistryError;

use crate::fake::{Fake, Reply, Request};
use crate::image::{Image, Layer, Packing, put};
use crate::place::{ARCHITECTURE, Place};

fn image(fake: &Fake) -> (Image, Layer) {
    let layer = Layer::of("file", b"text", Packing::Gzip);
    (put(fake, ARCHITECTURE, std::slice::from_ref(&layer)), layer)
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")))
}

fn entry(user: &str, password: &str) -> String {
    format!(r#"{{"auth":"{}"}}"#, BASE64_STANDARD.encode(format!("{user}:{password}")))
}

fn shows(request: &Request, authorization: &str) -> bool {
    request.headers.get("authorization").is_some_and(|shown| shown == authorization)
}

/// Lets nobody in but who shows this.
fn demand(fake: &Fake, challenge: String, authorization: String) {
    fake.change(move |request, reply| {
        if !shows(request, &authorization) {
            *reply = Reply::new(401, "").with("WWW-Authenticate", challenge.clone());
        }
    });
}

#[test]
fn a_password_is_shown_to_a_registry_that_asks_for_it() {
    let (fake, place) = (Fake::start(), Place::new());
    let (image, _) = image(&fake);
    demand(&fake, "Basic realm=\"tests\"".to_owned(), basic("user", "secret"));
    place.log_in(&fake.host(), &entry("user", "secret"));
    assert_eq!(place.pull(&fake).unwrap(), image.config);
    let shown = fake.requests("").into_iter().map(|request| request.headers.contains_key("authorization"));
    // Asked for once, and shown from then on.
    assert_eq!(shown.collect::<Vec<_>>(), [false, true, true, true]);
}

#[test]
fn without_credentials_or_with_wrong_ones_nobody_is_let_in_and_it_is_said_which() {
    let (fake, place) = (Fake::start(), Place::new());
    image(&fake);
    demand(&fake, "Basic realm=\"tests\"".to_owned(), basic("user", "secret"));
    let error = place.pull(&fake).unwrap_err();
    assert!(matches!(error, RegistryError::Unauthorized { with_credentials: false, .. }), "{error:?}");
    assert_eq!((error.kind(), fake.requests("").len()), (ErrorKind::Config, 1));
    place.log_in(&fake.host(), &entry("user", "wrong"));
    let error = place.pull(&fake).unwrap_err();
    assert!(matches!(error, RegistryError::Unauthorized { with_credentials: true, .. }), "{error:?}");
    assert!(!format!("{error:?}").contains("wrong"));
    assert_eq!(fake.requests("").len(), 3);
}

/// A token server that wants to see this, and gives the token `t`.
fn token_server(authorization: Option<String>) -> Fake {
    let server = Fake::start();
    server.change(move |request, reply| {
        let is_welcome = match &authorization {
            Some(authorization) => shows(request, authorization),
            None => true,
        };
        *reply = if is_welcome { Reply::new(200, r#"{"token":"t"}"#) } else { Reply::new(401, "") };
    });
    server
}

fn bearer(server: &Fake) -> String {
    format!(r#"Bearer realm="http://{}/token",service="tests",scope="repository:app:pull""#, server.host())
}

#[test]
fn a_token_is_got_with_the_password_and_the_password_not_shown_to_the_registry() {
    let (fake, server, place) = (Fake::start(), token_server(Some(basic("user", "secret"))), Place::new());
    let (image, _) = image(&fake);
    demand(&fake, bearer(&server), "Bearer t".to_owned());
    place.log_in(&fake.host(), &entry("user", "secret"));
    assert_eq!(place.pull(&fake).unwrap(), image.config);
    let asked = server.requests("");
    assert_eq!(asked.len(), 1);
    assert!(
        asked[0].path.contains("scope=repository%3Aapp%3Apull") && asked[0].path.contains("service=tests")
    );
    assert!(!fake.requests("").iter().any(|request| shows(request, &basic("user", "secret"))));
}

#[test]
fn a_public_image_is_pulled_with_a_token_that_needs_no_password() {
    let (fake, server, place) = (Fake::start(), token_server(None), Place::new());
    let (image, _) = image(&fake);
    demand(&fake, bearer(&server), "Bearer t".to_owned());
    assert_eq!(place.pull(&fake).unwrap(), image.config);
    assert!(!server.requests("")[0].headers.contains_key("authorization"));
}

#[test]
fn an_identity_token_is_exchanged_for_one_of_the_registry() {
    let (fake, server, place) = (Fake::start(), token_server(None), Place::new());
    let (image, _) = image(&fake);
    demand(&fake, bearer(&server), "Bearer t".to_owned());
    place.log_in(&fake.host(), r#"{"auth":"PHRva2VuPjo=","identitytoken":"long lived"}"#);
    assert_eq!(place.pull(&fake).unwrap(), image.config);
    let asked = &server.requests("")[0];
    assert_eq!(asked.method, "POST");
    assert!(
        asked.body.contains("refresh_token=long+lived") && asked.body.contains("grant_type=refresh_token")
    );
}

#[test]
fn a_token_that_expires_in_the_middle_is_renewed() {
    let (fake, server, place) = (Fake::start(), Fake::start(), Place::new());
    let (image, layer) = image(&fake);
    let mut given = 0;
    server.change(move |_, reply| {
        given += 1;
        *reply = Reply::new(200, format!(r#"{{"access_token":"t{given}"}}"#));
    });
    let (challenge, path) = (bearer(&server), layer.path());
    fake.change(move |request, reply| {
        let valid = if request.path == path { "Bearer t2" } else { "Bearer t1" };
        if !shows(request, valid) {
            *reply = Reply::new(401, "").with("WWW-Authenticate", challenge.clone());
        }
    });
    assert_eq!(place.pull(&fake).unwrap(), image.config);
    assert_eq!(server.requests("").len(), 2);
}

#[test]
fn a_token_server_that_refuses_is_not_asked_again() {
    let (fake, server, place) = (Fake::start(), token_server(Some(basic("user", "secret"))), Place::new());
    image(&fake);
    demand(&fake, bearer(&server), "Bearer t".to_owned());
    place.log_in(&fake.host(), &entry("user", "wrong"));
    let error = place.pull(&fake).unwrap_err();
    assert!(matches!(error, RegistryError::Unauthorized { with_credentials: true, .. }), "{error:?}");
    assert_eq!(server.requests("").len(), 1);
}

#[test]
fn credentials_do_not_go_along_to_where_a_registry_redirects() {
    let (fake, storage, place) = (Fake::start(), Fake::start(), Place::new());
    let (image, layer) = image(&fake);
    storage.put("/bucket/layer", "application/octet-stream", &layer.blob);
    let (path, location) = (layer.path(), format!("http://{}/bucket/layer", storage.host()));
    fake.change(move |request, reply| {
        if !shows(request, &basic("user", "secret")) {
            *reply = Reply::new(401, "").with("WWW-Authenticate", "Basic realm=\"tests\"");
        } else if request.path == path {
            *reply = Reply::new(307, "").with("Location", location.clone());
        }
    });
    place.log_in(&fake.host(), &entry("user", "secret"));
    assert_eq!(place.pull(&fake).unwrap(), image.config);
    let asked = storage.requests("");
    assert_eq!(asked.len(), 1);
    assert!(!asked[0].headers.contains_key("authorization"));
}

#[test]
fn a_redirect_on_the_same_host_keeps_them_and_one_in_circles_ends() {
    let (fake, place) = (Fake::start(), Place::new());
    let (image, layer) = image(&fake);
    fake.put("/elsewhere", "application/octet-stream", &layer.blob);
    let path = layer.path();
    fake.change(move |request, reply| {
        if !shows(request, &basic("user", "secret")) {
            *reply = Reply::new(401, "").with("WWW-Authenticate", "Basic realm=\"tests\"");
        } else if request.path == path {
            *reply = Reply::new(302, "").with("Location", "/elsewhere");
        }
    });
    place.log_in(&fake.host(), &entry("user", "secret"));
    assert_eq!(place.pull(&fake).unwrap(), image.config);
    fake.change(|request, reply| *reply = Reply::new(302, "").with("Location", request.path.clone()));
    assert!(matches!(place.pull(&fake), Err(RegistryError::Protocol { .. })));
}
