//! Whether there is room for what is to be copied, before anything of it is.

use homeostat_files::FileKind;
use homeostat_image::ImageStore;

use super::{Content, Selection};
use crate::StepError;

/// Refuses files that the disk has no room for. A layer is kept as files and as an archive.
pub(crate) fn ensure_room(store: &ImageStore, selections: &[Selection<'_>]) -> Result<(), StepError> {
    let items = selections.iter().flat_map(|selection| &selection.items);
    let needed = items.map(|item| twice(&item.content)).fold(0, u64::saturating_add);
    let free = store.free_space()?;
    if needed <= free {
        return Ok(());
    }
    Err(StepError::NoRoom { path: store.directory().to_owned(), needed, free })
}

/// What a file takes in both forms; what an archive holds is not known and counted as the archive.
fn twice(content: &Content) -> u64 {
    match content {
        Content::Tree { metadata, .. } if metadata.kind == FileKind::Regular => {
            metadata.allocated.saturating_add(metadata.size)
        }
        Content::Tree { .. } => 0,
        Content::Inline(text) => 2 * text.len() as u64,
    }
}
