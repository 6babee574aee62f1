//! `[image.*]`.

use std::collections::{BTreeMap, BTreeSet};

use super::Lowering;
use crate::file::BuildTable;
use crate::problem::Problem;
use crate::scalar::{HostPath, Keyed, SecretId, Text};
use crate::{Build, ContainerImage, EntryKind, Image, Name, SourcePath};

impl Lowering<'_> {
    pub(super) fn images(&mut self) -> BTreeMap<Name, Image> {
        self.warn_of_unused_images();
        let mut images = BTreeMap::new();
        for (name, table) in self.file.image.iter() {
            let image = match (&table.build, &table.reference) {
                (Some(build), _) => self.build(&name, build).map(Image::Build),
                (None, Some(reference)) => Some(Image::Reference(reference.0.0.clone())),
                (None, None) => None,
            };
            images.extend(image.map(|image| (name, image)));
        }
        images
    }

    fn build(&mut self, name: &Name, table: &BuildTable) -> Option<Build> {
        let path = ["image", name.as_str(), "build", "context"];
        let context = &table.context.0.0;
        let dockerfile = table.dockerfile.as_ref().map_or("Dockerfile", |path| &path.0.0);
        let (kind, context) = self.source_path(context, &path)?;
        if kind != EntryKind::Directory {
            let hint = "name the directory and give the file as `dockerfile`";
            self.document
                .error_at(&path, Problem::new("a build context is a directory, this is a file").hint(hint));
            return None;
        }
        self.dockerfile(name, &context.path, dockerfile)?;
        let args = table.args.as_written().clone();
        let paths = |table: &Keyed<SecretId, Text<HostPath>>| {
            let paths = table.as_written().iter();
            paths.map(|(id, path)| (id.clone(), path.0.0.clone())).collect()
        };
        Some(Build {
            context,
            dockerfile: dockerfile.to_owned(),
            args,
            target: table.target.clone(),
            secrets: paths(&table.secrets),
            ssh: paths(&table.ssh),
        })
    }

    /// The Dockerfile has to be there and be a file.
    fn dockerfile(&mut self, name: &Name, context: &str, dockerfile: &str) -> Option<()> {
        let path = ["image", name.as_str(), "build", "dockerfile"];
        let full = if context.is_empty() { dockerfile.to_owned() } else { format!("{context}/{dockerfile}") };
        let problem = match self.tree.entry(&full) {
            Ok(Some(entry)) if entry.kind == EntryKind::File => return Some(()),
            Ok(Some(_)) => Problem::new(format!("{full:?} is a directory, not a Dockerfile")),
            Ok(None) => Problem::new(format!("there is no {full:?} in the source"))
                .hint("add the file, or name it with `dockerfile` relative to the context"),
            Err(reason) => Problem::new(reason),
        };
        self.document.error_at(&path, problem);
        None
    }

    /// The entry of the source at a path, with what is wrong with it reported.
    pub(super) fn source_path(&mut self, path: &str, at: &[&str]) -> Option<(EntryKind, SourcePath)> {
        let problem = match self.tree.entry(path) {
            Ok(Some(entry)) => {
                return Some((entry.kind, SourcePath { path: path.to_owned(), digest: entry.digest }));
            }
            Ok(None) => Problem::new(format!("there is no {path:?} in the source"))
                .hint("a path is relative to the directory of the spec files; in git it has to be committed"),
            Err(reason) => Problem::new(reason),
        };
        self.document.error_at(at, problem);
        None
    }

    /// The image of a container: one of this file or a reference.
    pub(super) fn container_image(&mut self, container: &str, text: &str) -> Option<ContainerImage> {
        use crate::scalar::{ImageReference, Scalar};
        let path = ["container", container, "image"];
        if self.document.has(&["image", text]) {
            return text.parse().ok().map(ContainerImage::Local);
        }
        if !text.contains(['/', ':', '@']) {
            let message = format!("no [image.{text}] is declared in this file");
            let hint = format!(
                "for an image of a registry write its full reference, as `docker.io/library/{text}:latest`"
            );
            let near = self.nearest_declared("image", text);
            self.document.error_at(&path, Problem::new(message).hint(hint).maybe_hint(near));
            return None;
        }
        match ImageReference::parse(text) {
            Ok(reference) => Some(ContainerImage::Reference(reference.0)),
            Err(problem) => {
                self.document.error_at(&path, problem);
                None
            }
        }
    }

    /// An image that no container uses is neither built nor pulled, and probably a slip.
    fn warn_of_unused_images(&mut self) {
        let containers = self.file.container.as_written();
        // A container with errors may use any image for all that is known.
        if self.document.keys(&["container"]).len() > containers.len() {
            return;
        }
        let used: BTreeSet<_> = containers.values().map(|table| table.image.as_str()).collect();
        for (name, _) in self.file.image.iter().filter(|(name, _)| !used.contains(name.as_str())) {
            let problem = Problem::new(format!("the image `{name}` is used by no container of this file"))
                .hint("it is neither built nor pulled");
            self.document.warning_at(&["image", name.as_str()], problem);
        }
    }
}
