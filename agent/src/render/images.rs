//! Images for people.

use std::io::{self, Write};

use homeostat_reconciler::ports::{HistoryStep, ImageRemoval};
use jiff::Timestamp;

use super::table::{self, Cell};
use super::{ago, short, size};
use crate::service::ImageListing;

/// How much of a step's command is shown.
const COMMAND: usize = 60;

/// Prints images by reference.
pub(crate) fn print(images: &[ImageListing]) -> io::Result<()> {
    let rows = images.iter().map(|listing| -> [Cell; 6] {
        let users: Vec<String> = listing.used_by.iter().map(ToString::to_string).collect();
        [
            listing.reference.as_deref().unwrap_or("<none>").into(),
            short(&listing.id).into(),
            listing.digest.as_deref().map_or("", short).into(),
            since(listing.created).into(),
            size(listing.size).into(),
            users.join(", ").into(),
        ]
    });
    table::print(["REFERENCE", "ID", "DIGEST", "CREATED", "SIZE", "USED BY"], rows.collect())
}

/// Prints the steps of an image.
pub(crate) fn print_history(steps: &[HistoryStep]) -> io::Result<()> {
    let rows = steps.iter().map(|step| -> [Cell; 4] {
        [
            since(step.created).into(),
            size(step.size).into(),
            one_line(&step.created_by).into(),
            one_line(&step.comment).into(),
        ]
    });
    table::print(["CREATED", "SIZE", "CREATED BY", "COMMENT"], rows.collect())
}

/// Prints what became of images.
pub(crate) fn print_removed(removed: &[ImageRemoval]) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    for removal in removed {
        for reference in &removal.untagged {
            writeln!(out, "untagged {reference}")?;
        }
        if let Some(id) = &removal.deleted {
            writeln!(out, "deleted {}", short(id))?;
        }
    }
    Ok(())
}

/// Empty where it is not known; builds that can be repeated say 1970.
fn since(time: Option<Timestamp>) -> String {
    time.map(|time| ago(time, Timestamp::now())).unwrap_or_default()
}

/// Whoever made the image wrote it: it must not reach a terminal as it is.
fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line: String = words.join(" ").chars().filter(|character| !character.is_control()).collect();
    match line.char_indices().nth(COMMAND) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_image_says_is_one_line_without_control() {
        assert_eq!(one_line("RUN a \\\n\t b \x1b[31m"), "RUN a \\ b [31m");
        assert_eq!(one_line(&"x".repeat(100)).len(), COMMAND + 3);
    }
}
