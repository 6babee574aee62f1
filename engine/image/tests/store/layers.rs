//! Layers: what goes in comes out, and the same goes in as the same bytes.

use fs_err as fs;

use crate::support::Place;

#[test]
fn an_unchanged_upper_directory_is_no_layer() {
    let place = Place::new();
    assert!(place.store().begin_layer(None).unwrap().commit().unwrap().is_none());
    assert_eq!((place.count("ingest"), place.count("staging")), (0, 0));
}

#[test]
fn a_layer_that_is_dropped_leaves_nothing() {
    let place = Place::new();
    let staged = place.store().begin_layer(None).unwrap();
    fs::write(staged.upper().join("file"), "content").unwrap();
    drop(staged);
    assert_eq!((place.count("ingest"), place.count("staging"), place.count("layers")), (0, 0, 0));
}
