//! Copying one commit from a repository of this host.
//!
//! libgit2's own transport for that brings every branch with all its history.

use std::collections::BTreeSet;
use std::path::Path;

use git2::{Error, ErrorClass, ErrorCode, ObjectType, Odb, Oid, PackBuilder, Repository};

use super::mirror;
use crate::limits;

/// Copies a commit, with what of its tree is not in the mirror yet, and then points the reference to it.
pub(super) fn copy(from: &Path, to: &Repository, revision: Oid, reference: &str) -> Result<(), Error> {
    let from = Repository::open(from)?;
    let mut copy = Copy {
        from: &from,
        there: from.odb()?,
        here: to.odb()?,
        pack: from.packbuilder()?,
        seen: BTreeSet::new(),
        bytes: 0,
    };
    copy.pack.set_threads(1);
    copy.commit(revision)?;
    if copy.pack.object_count() > 0 {
        copy.pack.write(&to.path().join("objects/pack"), 0o444)?;
        copy.here.refresh()?;
    }
    // The parents stay there. First the objects are durable, then the word that they are here.
    mirror::end_history_at(to, revision, true)?;
    to.reference(reference, revision, true, "fetch").map(drop)
}

struct Copy<'a> {
    from: &'a Repository,
    there: Odb<'a>,
    here: Odb<'a>,
    pack: PackBuilder<'a>,
    seen: BTreeSet<Oid>,
    bytes: usize,
}

impl Copy<'_> {
    fn commit(&mut self, revision: Oid) -> Result<(), Error> {
        let root = self.from.find_commit(revision)?.tree_id();
        self.insert(revision)?;
        if !self.insert(root)? {
            return Ok(());
        }
        let mut left = vec![root];
        while let Some(tree) = left.pop() {
            for entry in &self.from.find_tree(tree)? {
                let kind = entry.kind();
                let wanted = matches!(kind, Some(ObjectType::Tree | ObjectType::Blob));
                // A tree that is here was brought with all that is in it.
                if wanted && self.insert(entry.id())? && kind == Some(ObjectType::Tree) {
                    left.push(entry.id());
                }
            }
        }
        Ok(())
    }

    /// False if the object is here already.
    fn insert(&mut self, oid: Oid) -> Result<bool, Error> {
        if self.here.exists(oid) || !self.seen.insert(oid) {
            return Ok(false);
        }
        self.bytes = self.bytes.saturating_add(self.there.read_header(oid)?.0);
        if self.bytes > limits::FETCH_BYTES {
            return Err(Error::new(ErrorCode::User, ErrorClass::Callback, "the commit is too large"));
        }
        self.pack.insert_object(oid, None)?;
        Ok(true)
    }
}
