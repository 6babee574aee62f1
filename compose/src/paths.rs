//! Absolute paths as text. Nothing here looks at a file.

/// `path` as seen from the absolute directory `base`, without `.`, `..` and doubled `/`.
pub(crate) fn join(base: &str, path: &str) -> String {
    let mut components: Vec<&str> = Vec::new();
    let base = if path.starts_with('/') { "" } else { base };
    for part in base.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                components.pop();
            }
            name => components.push(name),
        }
    }
    format!("/{}", components.join("/"))
}

/// The directory of an absolute path.
pub(crate) fn parent(path: &str) -> &str {
    match path.rfind('/') {
        None | Some(0) => "/",
        Some(at) => &path[..at],
    }
}

/// The last component of a path.
pub(crate) fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// What follows `base` in `path`, when `path` is `base` or beneath it.
pub(crate) fn beneath<'a>(base: &str, path: &'a str) -> Option<&'a str> {
    let rest = path.strip_prefix(base.trim_end_matches('/'))?;
    if rest.is_empty() { Some("") } else { rest.strip_prefix('/') }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_joined_without_dots() {
        assert_eq!(join("/srv/app", "./conf/../x"), "/srv/app/x");
        assert_eq!(join("/srv/app", "/etc//hosts"), "/etc/hosts");
        assert_eq!(join("/srv", "../../../x"), "/x");
        assert_eq!(join("/srv", "."), "/srv");
    }

    #[test]
    fn only_whole_components_are_beneath() {
        assert_eq!(beneath("/srv/app", "/srv/app/conf"), Some("conf"));
        assert_eq!(beneath("/srv/app", "/srv/app"), Some(""));
        assert_eq!(beneath("/srv/app", "/srv/application"), None);
        assert_eq!(beneath("/", "/srv"), Some("srv"));
        assert_eq!(parent("/srv/app"), "/srv");
        assert_eq!(parent("/srv"), "/");
    }
}
