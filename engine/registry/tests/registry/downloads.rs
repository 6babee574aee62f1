//! Files that are no images.

use std::fs::File;
use std::time::Duration;

use homeostat_reconciler::ErrorKind;
use homeostat_registry::RegistryError;
use jiff::Timestamp;

use crate::fake::{Fake, Reply};
use crate::image::noise;
use crate::place::{Place, run};

const DATE: &str = "Fri, 02 Jan 1970 00:00:00 GMT";

/// What a download comes to: the time, and the content.
fn download(fake: &Fake, path: &str, room: u64) -> Result<(Option<Timestamp>, Vec<u8>), RegistryError> {
    let place = Place::new();
    let file = place.directory.path().join("file");
    let url = format!("http://{}{path}", fake.host());
    let modified = run(place.registries().download(&url, &mut File::create_new(&file).unwrap(), room))?;
    Ok((modified, fs_err::read(file).unwrap()))
}

#[test]
fn a_file_comes_with_its_time_also_from_elsewhere() {
    let (here, there) = (Fake::start(), Fake::start());
    there.put("/file", "text/plain", b"hello");
    there.change(|_, reply| reply.headers.push(("Last-Modified".to_owned(), DATE.to_owned())));
    let target = format!("http://{}/file", there.host());
    here.change(move |_, reply| *reply = Reply::new(302, "").with("Location", target.clone()));
    let day = Timestamp::from_second(24 * 60 * 60).unwrap();
    assert_eq!(download(&here, "/moved", 5).unwrap(), (Some(day), b"hello".to_vec()));
}

#[test]
fn what_broke_is_gone_on_with_when_it_is_still_the_same() {
    let content = noise(1 << 20);
    let half = content.len() / 2;
    for (validator, ranges) in [
        (Some(("ETag", "\"v1\"")), vec![None, Some(format!("bytes={half}-"))]),
        (Some(("Last-Modified", DATE)), vec![None, Some(format!("bytes={half}-"))]),
        // Nobody can tell whether it is.
        (Some(("ETag", "W/\"v1\"")), vec![None, None]),
        (None, vec![None, None]),
    ] {
        let fake = Fake::start();
        fake.put("/file", "text/plain", &content);
        let mut broken = false;
        fake.change(move |_, reply| {
            reply.headers.extend(validator.map(|(name, value)| (name.to_owned(), value.to_owned())));
            if !broken {
                broken = true;
                reply.breaks_after = Some(half);
            }
        });
        assert!(download(&fake, "/file", 1 << 30).unwrap().1 == content);
        let asked = fake.requests("/file").into_iter().map(|request| request.headers.get("range").cloned());
        assert_eq!(asked.collect::<Vec<_>>(), ranges, "{validator:?}");
    }
}

#[test]
fn a_file_that_has_changed_meanwhile_comes_anew() {
    let (old, new) = (noise(1 << 20), vec![7; 1000]);
    let fake = Fake::start();
    fake.put("/file", "text/plain", &old);
    let (half, second) = (old.len() / 2, new.clone());
    let mut broken = false;
    fake.change(move |request, reply| {
        if broken {
            assert_eq!(request.headers["if-range"], "\"v1\"");
            *reply = Reply::new(200, second.clone()).with("ETag", "\"v2\"");
        } else {
            broken = true;
            reply.headers.push(("ETag".to_owned(), "\"v1\"".to_owned()));
            reply.breaks_after = Some(half);
        }
    });
    assert!(download(&fake, "/file", 1 << 30).unwrap().1 == new);
}

#[test]
fn a_file_without_room_is_refused_with_numbers_before_it_comes() {
    let fake = Fake::start();
    fake.put("/file", "text/plain", &vec![0; 3 << 20]);
    let error = download(&fake, "/file", 1 << 20).unwrap_err();
    assert!(error.to_string().ends_with("has 3 MiB or more, and 1 MiB are free"), "{error}");
    assert_eq!((error.kind(), fake.requests("/file").len()), (ErrorKind::Transient, 1));
}

#[test]
fn what_is_no_file_says_so_and_what_may_pass_is_tried_again() {
    let fake = Fake::start();
    let error = download(&fake, "/none", 1).unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error}");
    assert_eq!(fake.requests("/none").len(), 1);

    fake.change(|_, reply| *reply = Reply::new(503, ""));
    let error = download(&fake, "/busy", 1).unwrap_err();
    assert!(matches!(error, RegistryError::Status { code: 503, .. }), "{error}");
    assert_eq!(fake.requests("/busy").len(), 3);

    fake.change(|_, reply| *reply = Reply::new(302, "").with("Location", "/again"));
    let error = download(&fake, "/circle", 1).unwrap_err();
    assert!(error.to_string().contains("redirects more than"), "{error}");
    fake.change(|_, reply| *reply = Reply::new(302, "").with("Location", "file:///etc/passwd"));
    let error = download(&fake, "/passwd", 1).unwrap_err();
    assert!(error.to_string().contains("from http to file"), "{error}");

    fake.change(|_, reply| *reply = Reply { stalls_after: Some(0), ..Reply::new(200, "x") });
    let error = download(&fake, "/stalled", 1).unwrap_err();
    assert!(matches!(error, RegistryError::Stalled { time, .. } if time < Duration::from_secs(1)), "{error}");
    let error =
        run(Place::new().registries().download("a b", &mut tempfile::tempfile().unwrap(), 1)).unwrap_err();
    assert!(matches!(error, RegistryError::Config { .. }), "{error}");
}
