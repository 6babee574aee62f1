//! Connections that break, stall, or come back later.

use std::time::Duration;

use homeostat_registry::RegistryError;

use crate::fake::Fake;
use crate::image::{Layer, Packing, noise, put};
use crate::place::{ARCHITECTURE, Place};

/// Large enough that what has come before a break is on disk.
const LARGE: usize = 1 << 20;

fn large() -> Layer {
    Layer::of("file", &noise(LARGE), Packing::Gzip)
}

/// What the ranges of the requests for a blob begin with; none for all of it.
fn ranges(fake: &Fake, layer: &Layer) -> Vec<Option<String>> {
    let requests = fake.requests(layer.digest.as_str());
    requests.iter().map(|request| request.headers.get("range").cloned()).collect()
}

#[test]
fn a_broken_download_goes_on_where_it_broke() {
    let (fake, place) = (Fake::start(), Place::new());
    let layer = large();
    let image = put(&fake, ARCHITECTURE, std::slice::from_ref(&layer));
    let (path, half) = (layer.path(), layer.blob.len() / 2);
    let mut broken = false;
    fake.change(move |request, reply| {
        if request.path == path && !broken {
            broken = true;
            reply.breaks_after = Some(half);
        }
    });
    assert_eq!(place.pull(&fake).unwrap(), image.config);
    assert_eq!(ranges(&fake, &layer), [None, Some(format!("bytes={half}-"))]);
    place.assert_sound();
}

#[test]
fn a_stalled_download_goes_on_where_it_stalled() {
    let (fake, place) = (Fake::start(), Place::new());
    let layer = large();
    let image = put(&fake, ARCHITECTURE, std::slice::from_ref(&layer));
    let (path, half) = (layer.path(), layer.blob.len() / 2);
    let mut stalled = false;
    fake.change(move |request, reply| {
        if request.path == path && !stalled {
            stalled = true;
            reply.stalls_after = Some(half);
        }
    });
    assert_eq!(place.pull(&fake).unwrap(), image.config);
    assert_eq!(ranges(&fake, &layer), [None, Some(format!("bytes={half}-"))]);
}

#[test]
fn a_registry_that_says_nothing_at_all_is_given_up() {
    let (fake, place) = (Fake::start(), Place::new());
    let layer = large();
    put(&fake, ARCHITECTURE, std::slice::from_ref(&layer));
    let path = layer.path();
    fake.change(move |request, reply| {
        if request.path == path {
            reply.stalls_after = Some(0);
        }
    });
    let error = place.pull(&fake).unwrap_err();
    assert!(matches!(error, RegistryError::Stalled { .. }), "{error:?}");
    assert_eq!(ranges(&fake, &layer).len(), 3);
    place.assert_empty();
}

#[test]
fn a_registry_that_knows_no_ranges_sends_it_all_again() {
    let (fake, place) = (Fake::start(), Place::new());
    let layer = large();
    let image = put(&fake, ARCHITECTURE, std::slice::from_ref(&layer));
    let (path, whole) = (layer.path(), layer.blob.clone());
    let mut broken = false;
    fake.change(move |request, reply| {
        if request.path != path {
            return;
        }
        (reply.status, reply.body) = (200, whole.clone());
        if !broken {
            broken = true;
            reply.breaks_after = Some(whole.len() / 2);
        }
    });
    assert_eq!(place.pull(&fake).unwrap(), image.config);
    place.assert_sound();
}

#[test]
fn another_range_than_was_asked_for_is_refused() {
    let (fake, place) = (Fake::start(), Place::new());
    let layer = large();
    put(&fake, ARCHITECTURE, std::slice::from_ref(&layer));
    let path = layer.path();
    fake.change(move |request, reply| {
        if request.path != path {
            return;
        }
        if reply.status == 200 {
            reply.breaks_after = Some(reply.body.len() / 2);
        } else {
            reply.headers[0].1 = "bytes 0-5/6".to_owned();
        }
    });
    assert!(matches!(place.pull(&fake), Err(RegistryError::Protocol { .. })));
    place.assert_empty();
}

#[test]
fn a_pull_goes_on_after_a_restart_with_what_had_come() {
    let (fake, mut place) = (Fake::start(), Place::new());
    let (small, layer) = (Layer::of("small", b"text", Packing::Gzip), large());
    let image = put(&fake, ARCHITECTURE, &[small.clone(), layer.clone()]);
    let (path, half) = (layer.path(), layer.blob.len() / 2);
    fake.change(move |request, reply| {
        if request.path == path {
            reply.breaks_after = Some(half);
            if request.headers.contains_key("range") {
                *reply = crate::fake::Reply::new(503, "");
            }
        }
    });
    let error = place.pull(&fake).unwrap_err();
    assert!(matches!(error, RegistryError::Status { code: 503, .. }), "{error:?}");
    place.reopen();
    place.assert_empty();
    fake.behave();
    let before = ranges(&fake, &layer).len();
    assert_eq!(place.pull(&fake).unwrap(), image.config);
    assert_eq!(ranges(&fake, &layer)[before..], [Some(format!("bytes={half}-"))]);
    place.assert_sound();
}

#[test]
fn what_a_power_cut_has_damaged_is_downloaded_anew() {
    let (fake, mut place) = (Fake::start(), Place::new());
    let layer = large();
    let image = put(&fake, ARCHITECTURE, std::slice::from_ref(&layer));
    let beginning = place.store().directory().join("downloads").join(layer.digest.hex());
    fs_err::write(&beginning, vec![0; layer.blob.len() / 2]).unwrap();
    place.reopen();
    assert_eq!(place.pull(&fake).unwrap(), image.config);
    assert_eq!(ranges(&fake, &layer), [Some(format!("bytes={}-", layer.blob.len() / 2)), None]);
    place.assert_sound();
}

#[test]
fn a_server_that_fails_is_asked_again_and_not_for_ever() {
    for failures in [2, 100] {
        let (fake, place) = (Fake::start(), Place::new());
        put(&fake, ARCHITECTURE, &[Layer::of("file", b"text", Packing::Gzip)]);
        let mut left = failures;
        fake.change(move |request, reply| {
            if request.path.contains("manifests") && left > 0 {
                left -= 1;
                reply.status = 500;
            }
        });
        let pulled = place.pull(&fake);
        assert_eq!(fake.requests("manifests").len(), 3);
        match pulled {
            Ok(_) => assert_eq!(failures, 2),
            Err(error) => assert!(matches!(error, RegistryError::Status { code: 500, .. }), "{error:?}"),
        }
    }
}

#[test]
fn who_is_asked_to_wait_waits() {
    let (fake, place) = (Fake::start(), Place::new());
    let image = put(&fake, ARCHITECTURE, &[Layer::of("file", b"text", Packing::Gzip)]);
    let mut refused = false;
    fake.change(move |request, reply| {
        if request.path.contains("manifests") && !refused {
            refused = true;
            *reply = crate::fake::Reply::new(429, "").with("Retry-After", "1");
        }
    });
    assert_eq!(place.pull(&fake).unwrap(), image.config);
    let requests = fake.requests("manifests");
    assert!(requests[1].at - requests[0].at >= Duration::from_secs(1));
}

#[test]
fn who_is_asked_to_wait_for_an_hour_is_told_so() {
    let (fake, place) = (Fake::start(), Place::new());
    fake.change(|_, reply| *reply = crate::fake::Reply::new(429, "").with("Retry-After", "3600"));
    let error = place.pull(&fake).unwrap_err();
    assert!(error.to_string().contains("in 3600 seconds"), "{error}");
    assert_eq!(fake.requests("manifests").len(), 1);
}
