//! Paths in the container, in the source and on the host.

use super::Scalar;
use crate::problem::Problem;

/// The longest path that Linux takes (`PATH_MAX`), in bytes.
const LONGEST_PATH: usize = 4095;
/// The longest component of a path that Linux takes (`NAME_MAX`), in bytes.
const LONGEST_COMPONENT: usize = 255;

/// An absolute path without `.`, `..`, doubled or trailing `/`.
pub(super) fn parse_absolute(text: &str, what: &str) -> Result<String, Problem> {
    if !text.starts_with('/') {
        return Err(
            Problem::new(format!("{text:?} is no absolute path")).hint(format!("{what} begins with `/`"))
        );
    }
    check_lengths(text)?;
    let components: Vec<_> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if components.contains(&"..") {
        return Err(
            Problem::new(format!("the path {text:?} goes through `..`")).hint("write the path it leads to")
        );
    }
    Ok(format!("/{}", components.join("/")))
}

/// A path relative to the root of the source, without `.` or `..` components.
pub(super) fn parse_relative(text: &str, root: &str) -> Result<String, Problem> {
    if text.starts_with('/') {
        return Err(Problem::new(format!("{text:?} is an absolute path"))
            .hint(format!("write a path relative to {root}, as `./conf`")));
    }
    check_lengths(text)?;
    let mut components = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                components.pop().ok_or_else(|| {
                    Problem::new(format!("the path {text:?} leaves {root}"))
                        .hint("only what is beneath it can be used; it is all that a revision holds")
                })?;
            }
            name => components.push(name),
        }
    }
    Ok(components.join("/"))
}

fn check_lengths(text: &str) -> Result<(), Problem> {
    if text.len() > LONGEST_PATH || text.split('/').any(|part| part.len() > LONGEST_COMPONENT) {
        return Err(Problem::new("the path is too long")
            .hint(format!("Linux takes {LONGEST_PATH} bytes, {LONGEST_COMPONENT} in one component")));
    }
    Ok(())
}

/// An absolute path inside the container.
pub(crate) struct ContainerPath(pub(crate) String);

impl Scalar for ContainerPath {
    const FORMAT: &'static str = "container-path";
    const EXAMPLES: &'static [&'static str] = &["/tmp", "/var/lib/app"];

    fn parse(text: &str) -> Result<Self, Problem> {
        parse_absolute(text, "a path inside the container").map(Self)
    }
}

/// The directory of a build context, relative to the root of the source; empty for the root itself.
pub(crate) struct ContextPath(pub(crate) String);

impl Scalar for ContextPath {
    const FORMAT: &'static str = "context-path";
    const EXAMPLES: &'static [&'static str] = &["./web", "."];

    fn parse(text: &str) -> Result<Self, Problem> {
        if text.is_empty() {
            return Err(
                Problem::new("the build context is empty").hint("write `.` for the root of the source")
            );
        }
        parse_relative(text, "the source").map(Self)
    }
}

/// The path of a Dockerfile relative to its build context.
pub(crate) struct DockerfilePath(pub(crate) String);

impl Scalar for DockerfilePath {
    const FORMAT: &'static str = "dockerfile-path";
    const EXAMPLES: &'static [&'static str] = &["Dockerfile", "docker/web.Dockerfile"];

    fn parse(text: &str) -> Result<Self, Problem> {
        let path = parse_relative(text, "the build context")?;
        if path.is_empty() {
            return Err(
                Problem::new(format!("{text:?} names no file")).hint("write `Dockerfile`, or leave it out")
            );
        }
        Ok(Self(path))
    }
}

/// An absolute path of this host.
pub(crate) struct HostPath(pub(crate) String);

impl Scalar for HostPath {
    const FORMAT: &'static str = "host-path";
    const EXAMPLES: &'static [&'static str] = &["/etc/homeostat/npm-token"];

    fn parse(text: &str) -> Result<Self, Problem> {
        parse_absolute(text, "a path of this host").map(Self)
    }
}
