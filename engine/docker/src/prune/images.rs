//! Images, name by name: with the last one goes the image.

use std::collections::{BTreeMap, BTreeSet};

use bollard::models::{ContainerSummary, ImageSummary};
use bollard::query_parameters::{ListImagesOptionsBuilder, RemoveImageOptionsBuilder};
use homeostat_reconciler::ports::{PruneRequest, PrunedItem};
use homeostat_reconciler::{LOCAL_REGISTRY, repository, spelled_out};
use homeostat_spec::PruneKind;
use jiff::Timestamp;

use super::{Gone, SIZED, told};
use crate::engine::Inner;
use crate::failure::Failure;
use crate::names::INSTANCE;
use crate::read::{image_id, time};

impl Inner {
    pub(super) async fn prune_images(
        &self,
        request: &PruneRequest,
        gone: &Gone,
    ) -> Result<Vec<PrunedItem>, Failure> {
        let used = self.used_images(gone).await?;
        let mut items = Vec::new();
        for image in self.sized_images().await? {
            if !used.contains(&image_id(&image.id)) {
                items.extend(self.prune_image(request, &image, gone).await?);
            }
        }
        Ok(items)
    }

    /// The ids of the images of containers, but of those that are gone.
    pub(crate) async fn used_images(&self, gone: &Gone) -> Result<BTreeSet<String>, Failure> {
        let containers = self.list_containers().await?;
        let stays = |container: &&ContainerSummary| {
            !gone.containers.contains(container.id.as_deref().unwrap_or_default())
        };
        let used = containers.iter().filter(stays).filter_map(|container| container.image_id.as_deref());
        Ok(used.map(image_id).collect())
    }

    /// Images with their sizes, without those that only are what others are made of.
    pub(crate) async fn sized_images(&self) -> Result<Vec<ImageSummary>, Failure> {
        let api = self.api().await?;
        let every = ListImagesOptionsBuilder::default().all(false).shared_size(true).build();
        self.answer_within(SIZED, api.list_images(Some(every))).await
    }

    /// The references of an image that go; with the last one goes the image, whose size counts for that.
    async fn prune_image(
        &self,
        request: &PruneRequest,
        image: &ImageSummary,
        gone: &Gone,
    ) -> Result<Vec<PrunedItem>, Failure> {
        let id = image_id(&image.id);
        let names = names(image);
        let candidates: Vec<&ImageName> =
            names.iter().filter(|name| self.may_go(request, image, name)).collect();
        if candidates.is_empty() {
            return Ok(Vec::new());
        }
        let needed = if gone.images.contains(&id) { request.now } else { self.needed_until(image).await? };
        let labels: BTreeMap<String, String> = image.labels.clone().into_iter().collect();
        let api = self.api().await?;
        let mut items = Vec::new();
        for name in candidates {
            let age = request.takes_image(&id, name.reference.as_deref(), &labels, needed);
            let Some(age) = age else { continue };
            let shown = name.reference.clone().unwrap_or_else(|| id.clone());
            let options = RemoveImageOptionsBuilder::default().force(false).build();
            let removed = if request.dry_run {
                Ok(())
            } else {
                let done = self.answer(api.remove_image(&shown, Some(options), None)).await;
                done.map(drop).map_err(|failure| failure.about(format!("image {shown} cannot be removed")))
            };
            if told(&shown, removed) {
                items.push(PrunedItem::new(PruneKind::Image, shown, 0, age));
            }
        }
        if items.len() == names.len()
            && let Some(last) = items.last_mut()
        {
            last.bytes = own_bytes(image);
        }
        self.changed(crate::cache::List::Images);
        Ok(items)
    }

    /// Whether a name may go at all, if nobody needs it: one that homeostat gave, or that of others where that is
    /// allowed. What another homeostat has built is never touched, nor what goes with a name that is to stay.
    fn may_go(&self, request: &PruneRequest, image: &ImageSummary, name: &ImageName) -> bool {
        let has_built = self.instance.has_built(&image.labels);
        let brought_as = self.ledger.brought_as(&image_id(&image.id));
        let is_own = match &name.reference {
            None => has_built || !brought_as.is_empty(),
            Some(reference) => {
                (has_built && reference.starts_with(LOCAL_REGISTRY))
                    || brought_as.iter().any(|own| name.is(own))
            }
        };
        let is_anothers = !has_built && image.labels.contains_key(INSTANCE);
        let may_go = is_own || (request.others && !is_anothers);
        may_go && !name.goes_with_it.iter().any(|digest| request.keep.image(digest))
    }

    /// When an image was made, got its name here (which Docker remembers), or was last used.
    async fn needed_until(&self, image: &ImageSummary) -> Result<Timestamp, Failure> {
        let api = self.api().await?;
        let tagged = match self.answer(api.inspect_image(&image.id)).await {
            Ok(told) => told.metadata.and_then(|told| time(told.last_tag_time.as_deref())),
            Err(failure) if failure.is_not_found() => None,
            Err(failure) => return Err(failure),
        };
        let created = Timestamp::from_second(image.created).ok();
        let known = [created, tagged, self.ledger.image_needed(&image_id(&image.id))];
        Ok(known.into_iter().flatten().max().unwrap_or_default())
    }
}

/// What only this image takes: layers that others have as well stay with them.
pub(crate) fn own_bytes(image: &ImageSummary) -> u64 {
    (image.size - image.shared_size.max(0)).try_into().unwrap_or_default()
}

/// What an image is called.
#[derive(Debug, PartialEq, Eq)]
struct ImageName {
    /// `None` if it is dangling.
    reference: Option<String>,
    /// The digests of its repository, which the engine takes away with the last tag there.
    goes_with_it: Vec<String>,
}

impl ImageName {
    /// Whether homeostat gave this name when it brought the image here under a reference. The digest comes with any
    /// tag of the repository, and stays behind when that moves to another image.
    fn is(&self, brought_as: &str) -> bool {
        self.reference.as_deref().is_some_and(|reference| {
            reference == brought_as
                || (is_digest(reference) && repository(reference) == repository(brought_as))
        })
    }
}

/// The names of an image: its tags, and its digests in repositories where it has no tag.
fn names(image: &ImageSummary) -> Vec<ImageName> {
    let spelled = |names: &[String]| -> Vec<String> {
        names.iter().filter(|name| !name.contains("<none>")).map(|name| spelled_out(name)).collect()
    };
    let (tags, digests) = (spelled(&image.repo_tags), spelled(&image.repo_digests));
    let is_in = |name: &str, digest: &String| repository(digest) == repository(name);
    let alone = digests.iter().filter(|digest| !tags.iter().any(|tag| is_in(tag, digest)));
    let names: Vec<ImageName> = tags
        .iter()
        .map(|tag| ImageName {
            reference: Some(tag.clone()),
            goes_with_it: digests.iter().filter(|digest| is_in(tag, digest)).cloned().collect(),
        })
        .chain(alone.map(|digest| ImageName { reference: Some(digest.clone()), goes_with_it: Vec::new() }))
        .collect();
    if names.is_empty() { vec![ImageName { reference: None, goes_with_it: Vec::new() }] } else { names }
}

fn is_digest(reference: &str) -> bool {
    reference.contains('@')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(tags: &[&str], digests: &[&str]) -> ImageSummary {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        ImageSummary { repo_tags: owned(tags), repo_digests: owned(digests), ..ImageSummary::default() }
    }

    fn name(reference: &str, goes_with_it: &[&str]) -> ImageName {
        ImageName {
            reference: Some(reference.to_owned()),
            goes_with_it: goes_with_it.iter().map(|digest| (*digest).to_owned()).collect(),
        }
    }

    #[test]
    fn a_digest_goes_with_the_tags_of_its_repository_or_is_a_name_of_its_own() {
        let (of_a, of_b) = ("r.org:5/a@sha256:00", "r.org:5/b@sha256:00");
        let told = names(&image(&["r.org:5/a:1", "r.org:5/a:2", "c:1"], &[of_a, of_b]));
        let tag = name("docker.io/library/c:1", &[]);
        assert_eq!(told, [name("r.org:5/a:1", &[of_a]), name("r.org:5/a:2", &[of_a]), tag, name(of_b, &[])]);
        let dangling = ImageName { reference: None, goes_with_it: Vec::new() };
        assert_eq!(names(&image(&["<none>:<none>"], &["<none>@<none>"])), [dangling]);
    }

    #[test]
    fn a_digest_that_was_left_behind_is_the_name_of_who_brought_its_tag() {
        assert!(name("r.org/a@sha256:00", &[]).is("r.org/a:1"));
        assert!(name("r.org/a:1", &[]).is("r.org/a:1"));
        assert!(!name("r.org/a:2", &[]).is("r.org/a:1"));
        assert!(!name("r.org/b@sha256:00", &[]).is("r.org/a:1"));
    }
}
