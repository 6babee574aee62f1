//! The build context and the files in it that say what to do.

use std::io::{self, Read as _};

use homeostat_dockerfile::{Dockerfile, Ignore, parse};
use homeostat_files::Root;

use crate::copy::Tree;
use crate::{BuildError, BuildOptions};

/// The longest Dockerfile or .dockerignore file, in bytes.
const TEXT_LIMIT: u64 = 1 << 20;

/// Reads the Dockerfile, and opens the context as the .dockerignore file leaves it.
pub(crate) fn open(options: &BuildOptions) -> Result<(Dockerfile, Tree), BuildError> {
    let root = Root::open(&options.context).map_err(BuildError::Context)?;
    let path = &options.dockerfile;
    let text = match &options.dockerfile_text {
        Some(text) => text.clone(),
        None => read(&root, path)
            .and_then(|text| text.ok_or_else(|| io::ErrorKind::NotFound.into()))
            .map_err(|source| BuildError::Read { path: path.clone(), source })?,
    };
    let file = parse(&text).map_err(|source| BuildError::Dockerfile { path: path.clone(), source })?;
    let ignore = ignore(&root, options)?;
    Ok((file, Tree { root, ignore, title: "context file".to_owned(), keep_owner: false }))
}

/// The file beside the Dockerfile and named after it comes before the one of the context.
fn ignore(root: &Root, options: &BuildOptions) -> Result<Ignore, BuildError> {
    let own = options.dockerfile_text.is_none().then(|| format!("{}.dockerignore", options.dockerfile));
    for path in own.into_iter().chain([".dockerignore".to_owned()]) {
        match read(root, &path) {
            Ok(None) => {}
            Ok(Some(text)) => {
                return Ignore::parse(&text).map_err(|source| BuildError::Ignore { path, source });
            }
            Err(source) => return Err(BuildError::Read { path, source }),
        }
    }
    Ok(Ignore::default())
}

fn read(root: &Root, path: &str) -> Result<Option<String>, io::Error> {
    if root.metadata(path).map_err(io::Error::other)?.is_none() {
        return Ok(None);
    }
    let file = root.open_to_read(path).map_err(io::Error::other)?;
    let mut bytes = Vec::new();
    file.take(TEXT_LIMIT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > TEXT_LIMIT {
        return Err(io::Error::other(format!("it is larger than {TEXT_LIMIT} bytes")));
    }
    String::from_utf8(bytes).map(Some).map_err(|_| io::Error::other("it is no UTF-8 text"))
}
