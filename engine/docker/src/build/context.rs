//! The build context as a tar archive, without what `.dockerignore` leaves out.

use std::io::{self, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use fs_err as fs;
use homeostat_dockerfile::Ignore;

/// Writes the context. The Dockerfile and `.dockerignore` are always in it: the builder needs them.
pub(crate) fn write(context: &Path, dockerfile: &str, out: impl Write) -> io::Result<()> {
    let ignore = ignore(context, dockerfile)?;
    let mut archive = tar::Builder::new(out);
    archive.follow_symlinks(false);
    let needed = [PathBuf::from(dockerfile), PathBuf::from(".dockerignore")];
    add(&mut archive, context, Path::new(""), &ignore, &needed)?;
    archive.into_inner()?.flush()
}

/// The file beside the Dockerfile and named after it comes before the one of the context.
fn ignore(context: &Path, dockerfile: &str) -> io::Result<Ignore> {
    for path in [format!("{dockerfile}.dockerignore"), ".dockerignore".to_owned()] {
        match fs::read_to_string(context.join(&path)) {
            Ok(text) => {
                return Ignore::parse(&text).map_err(|error| io::Error::other(format!("{path}: {error}")));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Ignore::default())
}

fn add<W: Write>(
    archive: &mut tar::Builder<W>,
    context: &Path,
    directory: &Path,
    ignore: &Ignore,
    needed: &[PathBuf],
) -> io::Result<()> {
    let mut entries = fs::read_dir(context.join(directory))?.collect::<io::Result<Vec<_>>>()?;
    // In the same order every time, so that the same context is the same archive.
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = directory.join(entry.file_name());
        let is_ignored = ignore.is_ignored(&path.to_string_lossy()) && !needed.contains(&path);
        let metadata = fs::symlink_metadata(entry.path())?;
        if metadata.is_dir() {
            let holds_needed = needed.iter().any(|needed| needed.starts_with(&path));
            if !is_ignored {
                append(archive, context, &path, &metadata)?;
            } else if !ignore.has_exceptions() && !holds_needed {
                continue;
            }
            add(archive, context, &path, ignore, needed)?;
        } else if !is_ignored {
            append(archive, context, &path, &metadata)?;
        }
    }
    Ok(())
}

/// As Docker's own client does, files are root's: who owns them here is nothing to the image.
fn append<W: Write>(
    archive: &mut tar::Builder<W>,
    context: &Path,
    path: &Path,
    metadata: &std::fs::Metadata,
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_metadata(metadata);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mode(metadata.mode() & 0o7777);
    let full = context.join(path);
    if metadata.is_symlink() {
        header.set_size(0);
        return archive.append_link(&mut header, path, fs::read_link(&full)?);
    }
    if metadata.is_file() {
        return archive.append_data(&mut header, path, fs::File::open(&full)?);
    }
    if metadata.is_dir() {
        header.set_size(0);
        return archive.append_data(&mut header, path, io::empty());
    }
    // Sockets and devices are no part of a context.
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(context: &Path, dockerfile: &str) -> Vec<String> {
        let mut bytes = Vec::new();
        write(context, dockerfile, &mut bytes).unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let entries = archive.entries().unwrap();
        entries.map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect()
    }

    #[test]
    fn what_is_ignored_is_left_out_but_the_dockerfile_stays() {
        let directory = tempfile::tempdir().unwrap();
        let context = directory.path();
        for file in ["build/Dockerfile", "src/main.c", "src/keep/a", "node/b", "secret"] {
            fs::create_dir_all(context.join(file).parent().unwrap()).unwrap();
            fs::write(context.join(file), file).unwrap();
        }
        fs::write(context.join(".dockerignore"), "build\nnode\nsrc\n!src/keep\nsecret\n").unwrap();
        assert_eq!(
            names(context, "build/Dockerfile"),
            [".dockerignore", "build/Dockerfile", "src/keep", "src/keep/a"]
        );
    }

    #[test]
    fn a_link_stays_a_link_and_a_file_of_its_own_name_decides() {
        let directory = tempfile::tempdir().unwrap();
        let context = directory.path();
        fs::write(context.join("Dockerfile"), "FROM scratch").unwrap();
        fs::write(context.join("Dockerfile.dockerignore"), "a").unwrap();
        fs::write(context.join(".dockerignore"), "b").unwrap();
        fs::write(context.join("a"), "").unwrap();
        fs_err::os::unix::fs::symlink("/etc/passwd", context.join("b")).unwrap();
        let names = names(context, "Dockerfile");
        assert_eq!(names, [".dockerignore", "Dockerfile", "Dockerfile.dockerignore", "b"]);
    }
}
