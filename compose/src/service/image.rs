//! `image` and `build`.

use super::Service;
use crate::check;
use crate::merge::as_map;
use crate::paths;
use crate::spec::{Section, Toml};
use crate::yaml::{Node, Value};

impl<'p> Service<'_, 'p, '_> {
    /// Sets the image; `false` when there is none that a spec can name.
    pub(super) fn image(&mut self) -> bool {
        let reference = self.get("image").and_then(Node::text).map(str::to_owned);
        if let (Some(build), Some(adoption)) = (self.get("build"), &self.shared.adoption) {
            let built = reference.clone().unwrap_or_else(|| adoption.image(self.original));
            if self.image_of_compose(&built, build) {
                return true;
            }
        } else if let Some(build) = self.get("build") {
            if let Some(section) = self.build(build) {
                let image = section.header[1].clone();
                self.images.push(section);
                self.container.set("image", Toml::text(image));
                return true;
            }
        } else if let Some(image) = reference
            .as_deref()
            .filter(|_| self.shared.adoption.is_none())
            .and_then(|tag| self.shared.built.get(tag))
            .cloned()
        {
            self.container.set("image", Toml::text(image));
            return true;
        }
        let (Some(reference), Some(node)) = (reference, self.get("image")) else {
            let place = self.node.place;
            self.lost(place, "image", "there is no image for it, so the service is not in the spec")
                .hint("add a [container.*] with an image by hand");
            return false;
        };
        let full = if reference.is_empty() { reference } else { tagged(&reference) };
        let good = self.set("image", Toml::text(full), node, "image");
        if !good {
            self.lost(node.place, "image", "without an image, the service is not in the spec");
        }
        good
    }

    /// Sets the image to the one that Compose has built, as it was: the container that is taken over was made of it. How it is
    /// built stands in the spec as a comment.
    fn image_of_compose(&mut self, reference: &str, build: &'p Node) -> bool {
        if !self.set("image", Toml::text(tagged(reference)), build, "image") {
            return false;
        }
        let name = self.name().to_owned();
        let message =
            "the image is the one that Compose has built; how it is built stands in the spec as a comment";
        self.note(build.place, "build", message)
            .hint(format!("to build it here, take the `#` away and write `image = \"{name}\"`"));
        let section = self.build(build).map(|section| section.disabled_if(true));
        self.images.extend(section);
        true
    }

    /// `[image.NAME]` of what is built; `None` when it cannot be.
    fn build(&mut self, build: &Node) -> Option<Section> {
        let context = match build.text() {
            Some(text) => text.to_owned(),
            None => build.get("context").and_then(Node::text).unwrap_or(".").to_owned(),
        };
        if context.contains("://") || context.starts_with("git@") || context.starts_with("github.com/") {
            self.lost(
                build.place,
                "build",
                "a build context is a directory; this one is fetched from elsewhere",
            )
            .hint("put the files beside the spec");
            return None;
        }
        let mut table = vec![("context".to_owned(), Toml::text(self.context(build, &context)))];
        for key in ["dockerfile", "target"] {
            if let Some(text) = build.get(key).and_then(Node::text) {
                table.push((key.to_owned(), Toml::text(text)));
            }
        }
        let args = self.arguments(build);
        if !args.is_empty() {
            table.push(("args".to_owned(), Toml::Table(args)));
        }
        self.build_options(build);
        let table = Toml::Table(table);
        if let Err(message) = check::resource("image", "build", &table) {
            self.lost(build.place, "build", message);
            return None;
        }
        let mut section = Section::new("image", self.name());
        section.set("build", table);
        Some(section)
    }

    /// The context as a path of the source.
    fn context(&mut self, build: &Node, context: &str) -> String {
        let absolute = paths::join(&self.shared.files.directory(build.place), context);
        let directory = self.shared.directory.clone();
        if let Some(relative) = paths::beneath(&directory, &absolute) {
            return if relative.is_empty() { ".".to_owned() } else { format!("./{relative}") };
        }
        let name = crate::names::nearest(paths::file_name(&absolute))
            .map_or_else(|| "context".to_owned(), String::from);
        let message = format!("the build context {absolute} is not beneath the spec");
        self.lost(build.place, "build.context", message)
            .hint(format!("copy it to {}", paths::join(&directory, &name)));
        format!("./{name}")
    }

    fn arguments(&mut self, build: &Node) -> Vec<(String, Toml)> {
        let mut arguments = Vec::new();
        let Some(args) = build.get("args") else { return arguments };
        for (name, value) in as_map("args", args.clone()).entries() {
            let key = format!("build.args.{name}");
            let Some(text) = self.value_or_variable(name, value) else {
                self.lost(value.place, &key, "it is taken from the environment, where it is not set");
                continue;
            };
            let context = ("context".to_owned(), Toml::text("."));
            let one = Toml::Table(vec![(name.clone(), Toml::text(text.clone()))]);
            match check::resource("image", "build", &Toml::Table(vec![context, ("args".to_owned(), one)])) {
                Ok(()) => arguments.push((name.clone(), Toml::text(text))),
                Err(message) => {
                    self.lost(value.place, &key, message);
                }
            }
        }
        arguments
    }

    fn build_options(&mut self, build: &Node) {
        let Value::Map(entries) = &build.value else { return };
        for (key, value) in entries {
            let known =
                matches!(key.as_str(), "context" | "dockerfile" | "target" | "args") || key.starts_with("x-");
            if known || value.is_empty() {
                continue;
            }
            let path = format!("build.{key}");
            if matches!(key.as_str(), "cache_from" | "cache_to" | "tags" | "provenance" | "sbom") {
                self.note(value.place, &path, "it does not change what is built");
            } else {
                self.lost(value.place, &path, "a build has a context, a Dockerfile, arguments and a target");
            }
        }
    }
}

/// A reference with the tag that it stands for where it has none. A colon may be that of the registry's port.
fn tagged(reference: &str) -> String {
    let reference = reference.trim_end_matches(':');
    let has_tag = reference.rsplit('/').next().is_some_and(|last| last.contains([':', '@']));
    if has_tag || reference.contains('@') { reference.to_owned() } else { format!("{reference}:latest") }
}
