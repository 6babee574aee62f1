//! The build context as a tar archive, without what `.dockerignore` leaves out.

use std::io::{self, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use fs_err as fs;
use homeostat_dockerfile::Ignore;
use homeostat_reconciler::ports::BuildRequest;
use sha2::{Digest as _, Sha256};

use crate::connection::Builder;

const IGNORE_FILE: &str = ".dockerignore";

/// A context as it is sent.
#[derive(Debug)]
pub(crate) struct ContextArchive {
    directory: PathBuf,
    /// The path of the Dockerfile in the archive.
    pub(crate) dockerfile: String,
    /// Its text, where it is no file of the directory.
    text: Option<String>,
    /// Whether the builder reads `.dockerignore` itself. BuildKit does not where the context is sent as an archive.
    is_read: bool,
}

impl ContextArchive {
    pub(crate) fn of(request: &BuildRequest, builder: Builder) -> Self {
        let text = request.dockerfile_text.clone();
        let dockerfile = match &text {
            // Nothing of the context is called that, and the same text is always called the same.
            Some(text) => format!(".dockerfile.{:x}", Sha256::digest(text)),
            None => request.dockerfile.clone(),
        };
        let is_read = builder != Builder::BuildKit;
        Self { directory: request.context.clone(), dockerfile, text, is_read }
    }

    /// Writes it. The Dockerfile and `.dockerignore` are always in it: the builder needs them.
    pub(crate) fn write(&self, out: impl Write) -> io::Result<()> {
        let ignore = self.ignore()?;
        let mut archive = tar::Builder::new(out);
        archive.follow_symlinks(false);
        if let Some(text) = &self.text {
            self.append_text(&mut archive, text)?;
        }
        self.add(&mut archive, Path::new(""), &ignore)?;
        archive.into_inner()?.flush()
    }

    fn add<W: Write>(
        &self,
        archive: &mut tar::Builder<W>,
        directory: &Path,
        ignore: &Ignore,
    ) -> io::Result<()> {
        let context = &self.directory;
        let mut entries = fs::read_dir(context.join(directory))?.collect::<io::Result<Vec<_>>>()?;
        // In the same order every time, so that the same context is the same archive.
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = directory.join(entry.file_name());
            let is_ignored = self.is_ignored(&path, ignore);
            let metadata = fs::symlink_metadata(entry.path())?;
            if metadata.is_dir() {
                let holds_needed = Path::new(&self.dockerfile).starts_with(&path);
                if !is_ignored {
                    append(archive, context, &path, &metadata)?;
                } else if !ignore.has_exceptions() && !holds_needed {
                    continue;
                }
                self.add(archive, &path, ignore)?;
            } else if !is_ignored {
                append(archive, context, &path, &metadata)?;
            }
        }
        Ok(())
    }

    /// What the builder needs is sent whatever `.dockerignore` says, and not sent twice.
    fn is_ignored(&self, path: &Path, ignore: &Ignore) -> bool {
        if path == Path::new(IGNORE_FILE) || path == Path::new(&self.dockerfile) {
            self.text.is_some() && self.is_read
        } else {
            ignore.is_ignored(&path.to_string_lossy())
        }
    }

    /// Adds a Dockerfile that is not to be seen by `COPY`, as Docker's own client does, where that can be had.
    fn append_text<W: Write>(&self, archive: &mut tar::Builder<W>, text: &str) -> io::Result<()> {
        append_file(archive, &self.dockerfile, text)?;
        if !self.is_read {
            return Ok(());
        }
        let ignored = read(&self.directory.join(IGNORE_FILE))?.unwrap_or_else(|| IGNORE_FILE.to_owned());
        append_file(archive, IGNORE_FILE, &format!("{ignored}\n{}\n", self.dockerfile))
    }

    /// The file beside the Dockerfile and named after it comes before the one of the context.
    fn ignore(&self) -> io::Result<Ignore> {
        let own = format!("{}.dockerignore", self.dockerfile);
        for path in [own.as_str(), IGNORE_FILE] {
            if let Some(text) = read(&self.directory.join(path))? {
                return Ignore::parse(&text).map_err(|error| io::Error::other(format!("{path}: {error}")));
            }
        }
        Ok(Ignore::default())
    }
}

fn append_file<W: Write>(archive: &mut tar::Builder<W>, path: &str, content: &str) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o600);
    archive.append_data(&mut header, path, content.as_bytes())
}

fn read(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
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
        contents(context, dockerfile, None).into_iter().map(|(name, _)| name).collect()
    }

    fn contents(context: &Path, dockerfile: &str, text: Option<&str>) -> Vec<(String, String)> {
        let (directory, text) = (context.to_owned(), text.map(str::to_owned));
        let mut bytes = Vec::new();
        let dockerfile = dockerfile.to_owned();
        ContextArchive { directory, dockerfile, text, is_read: true }.write(&mut bytes).unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            (path, io::read_to_string(&mut entry).unwrap())
        });
        entries.collect()
    }

    #[test]
    fn a_dockerfile_from_elsewhere_is_sent_and_not_copied() {
        let directory = tempfile::tempdir().unwrap();
        let sent = |text| contents(directory.path(), ".dockerfile.1", Some(text));
        let pair = |name: &str, content: &str| (name.to_owned(), content.to_owned());
        let dockerfile = pair(".dockerfile.1", "FROM a");
        assert_eq!(
            sent("FROM a"),
            [dockerfile.clone(), pair(".dockerignore", ".dockerignore\n.dockerfile.1\n")]
        );
        fs::write(directory.path().join(".dockerignore"), "b").unwrap();
        fs::write(directory.path().join("a"), "").unwrap();
        assert_eq!(sent("FROM a"), [dockerfile, pair(".dockerignore", "b\n.dockerfile.1\n"), pair("a", "")]);
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
