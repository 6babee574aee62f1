//! `images` for people.

use std::io;

use super::table::{self, Cell};
use super::{short, size};
use crate::service::ImageListing;

/// Prints images by reference.
pub(crate) fn print(images: &[ImageListing]) -> io::Result<()> {
    let rows = images.iter().map(|listing| -> [Cell; 4] {
        let users: Vec<String> = listing.used_by.iter().map(ToString::to_string).collect();
        [
            listing.reference.clone().into(),
            short(&listing.image.id).into(),
            size(listing.image.size).into(),
            users.join(", ").into(),
        ]
    });
    table::print(["REFERENCE", "ID", "SIZE", "USED BY"], rows.collect())
}
