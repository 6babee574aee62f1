//! Layers that mean no good, and images for which there is no room.

use homeostat_reconciler::chain;
use homeostat_registry::RegistryError;

use crate::fake::Fake;
use crate::image::{Layer, Packing, put};
use crate::place::{ARCHITECTURE, Place};

#[test]
fn a_layer_that_leads_out_of_its_directory_is_refused() {
    let (fake, place) = (Fake::start(), Place::new());
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.as_ustar_mut().unwrap().name[..9].copy_from_slice(b"../../out");
    header.set_size(0);
    header.set_mode(0o644);
    header.set_cksum();
    tar.append(&header, std::io::empty()).unwrap();
    put(&fake, ARCHITECTURE, &[Layer::packed(&tar.into_inner().unwrap(), Packing::Gzip)]);
    let error = place.pull(&fake).unwrap_err();
    assert!(chain(&error).contains("../../out"), "{}", chain(&error));
    place.assert_empty();
    assert_eq!(place.count("downloads"), 0);
}

#[test]
fn a_small_layer_that_becomes_huge_is_refused() {
    let (fake, place) = (Fake::start(), Place::new());
    // A header that promises 2 GiB of zeros is enough: the rest need not come.
    let mut header = tar::Header::new_gnu();
    header.set_path("zeros").unwrap();
    header.set_size(2 << 30);
    header.set_mode(0o644);
    header.set_cksum();
    let mut archive = header.as_bytes().to_vec();
    archive.extend(vec![0; 1 << 20]);
    put(&fake, ARCHITECTURE, &[Layer::packed(&archive, Packing::Gzip)]);
    let error = place.pull(&fake).unwrap_err();
    assert!(chain(&error).contains("more than 1073741824 bytes"), "{}", chain(&error));
    place.assert_empty();
}

#[test]
fn a_layer_that_is_not_the_registrys_to_give_is_refused() {
    for media_type in [
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.oci.image.layer.v1.tar+gzip+encrypted",
    ] {
        let (fake, place) = (Fake::start(), Place::new());
        let mut layer = Layer::of("file", b"text", Packing::Gzip);
        layer.media_type = media_type.to_owned();
        put(&fake, ARCHITECTURE, std::slice::from_ref(&layer));
        let error = place.pull(&fake).unwrap_err();
        assert!(matches!(error, RegistryError::NotAnImage { .. }), "{error:?}");
        assert!(fake.requests(layer.digest.as_str()).is_empty());
        place.assert_empty();
    }
}

#[test]
fn an_image_that_the_disk_has_no_room_for_is_refused_with_numbers_before_any_layer() {
    let (fake, place) = (Fake::start(), Place::new());
    let mut layer = Layer::of("file", b"text", Packing::Gzip);
    layer.size = 1 << 50;
    put(&fake, ARCHITECTURE, std::slice::from_ref(&layer));
    let error = place.pull(&fake).unwrap_err();
    let (download, together) = ((1u64 << 50) >> 20, (4u64 << 50) >> 20);
    let text = error.to_string();
    assert!(text.contains(&format!("needs {together} MiB")), "{text}");
    assert!(text.contains(&format!("{download} MiB to download")) && text.contains("MiB are free"), "{text}");
    assert!(error.hint().unwrap().contains("homeostat prune"));
    assert!(fake.requests(layer.digest.as_str()).is_empty());
    place.assert_empty();
}
