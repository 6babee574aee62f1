//! Volumes for people.

use std::io::{self, Write as _};

use jiff::Timestamp;

use super::table::{self, Cell};
use super::{ago, size};
use crate::service::VolumeListing;

/// Prints volumes.
pub(crate) fn print(listed: &[VolumeListing]) -> io::Result<()> {
    let now = Timestamp::now();
    table::print(HEADINGS, listed.iter().map(|volume| row(volume, now)).collect())
}

/// Prints what they are called, one a line.
pub(crate) fn print_names(listed: &[VolumeListing]) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    listed.iter().try_for_each(|volume| writeln!(out, "{}", volume.stored.key))
}

const HEADINGS: [&str; 5] = ["VOLUME", "SIZE", "CREATED", "DECLARED", "USED BY"];

fn row(volume: &VolumeListing, now: Timestamp) -> [Cell; 5] {
    let users: Vec<String> = volume.used_by.iter().map(ToString::to_string).collect();
    [
        volume.stored.key.to_string().into(),
        volume.stored.size.map(size).unwrap_or_default().into(),
        volume.stored.created.map(|time| format!("{} ago", ago(time, now))).unwrap_or_default().into(),
        if volume.declared { "yes" } else { "no" }.into(),
        users.join(", ").into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_uses_a_volume_and_whether_it_is_declared_is_shown() {
        let listed: Vec<VolumeListing> = serde_json::from_value(serde_json::json!([
            {
                "key": "shop/data", "path": "/srv/data", "created": "2026-01-02T03:00:00Z",
                "size": 2048, "used_by": ["shop/db"], "declared": true,
            },
            {
                "key": "shop/old", "path": null, "created": null, "size": null,
                "used_by": [], "declared": false,
            },
        ]))
        .unwrap();
        let now = "2026-01-02T04:00:00Z".parse().unwrap();
        let text = table::text(HEADINGS, listed.iter().map(|volume| row(volume, now)).collect());
        insta::assert_snapshot!(text, @r"
        VOLUME     SIZE     CREATED  DECLARED  USED BY
        shop/data  2.0 KiB  1h ago   yes       shop/db
        shop/old                     no
        ");
    }
}
