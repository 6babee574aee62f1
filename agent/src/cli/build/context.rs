//! What `homeostat build` takes for its context, as Docker does: a directory, an archive, what comes by a pipe, or a
//! git repository.

use std::error::Error;
use std::io::{self, Seek as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err as fs;
use homeostat_files::Root;
use homeostat_image::{Archive, Limits};
use homeostat_reconciler::{ErrorKind, PortError};
use homeostat_source::{Credentials, GitConfig};
use tempfile::TempDir;

/// What says that something comes by standard input.
const STANDARD_INPUT: &str = "-";

/// The Dockerfile of a context that is not told otherwise.
const DOCKERFILE: &str = "Dockerfile";

/// A directory of this host with the context in it. What was made for it goes with this value.
pub(super) struct Context {
    pub(super) directory: PathBuf,
    /// The path of the Dockerfile within the directory.
    pub(super) dockerfile: String,
    place: Option<TempDir>,
}

impl Context {
    /// Finds out what the argument means, and brings what is not a directory yet into one.
    pub(super) async fn of(argument: &str, dockerfile: Option<String>) -> Result<Self, PortError> {
        if argument == STANDARD_INPUT {
            return blocking(move || Self::of_standard_input(dockerfile)).await;
        }
        if let Some(repository) = Repository::parse(argument)? {
            return Self::of_repository(&repository, dockerfile).await;
        }
        let path = fs::canonicalize(argument).map_err(unusable)?;
        if path.is_dir() {
            return Ok(Self { directory: path, dockerfile: or_default(dockerfile), place: None });
        }
        blocking(move || {
            let archive = Archive::open(fs::File::open(&path).map_err(unusable)?).map_err(unusable)?;
            let archive = archive.ok_or_else(|| {
                let message = format!("{} is neither a directory nor an archive", path.display());
                PortError::new(ErrorKind::User, message)
                    .with_hint("name a directory, a tar archive, a git repository, or - for standard input")
            })?;
            Self::of_archive(archive, dockerfile)
        })
        .await
    }

    /// Whether something has to be taken away in the end.
    pub(super) fn is_temporary(&self) -> bool {
        self.place.is_some()
    }

    /// An archive is a context; everything else is the Dockerfile of an empty one.
    fn of_standard_input(dockerfile: Option<String>) -> Result<Self, PortError> {
        let mut input = fs::File::from_parts(tempfile::tempfile().map_err(no_place)?, "standard input");
        io::copy(&mut io::stdin().lock(), &mut input).map_err(unusable)?;
        input.rewind().map_err(unusable)?;
        let same = input.file().try_clone().map_err(unusable)?;
        if let Some(archive) = Archive::open(input).map_err(unusable)? {
            return Self::of_archive(archive, dockerfile);
        }
        if dockerfile.is_some() {
            return Err(PortError::new(ErrorKind::User, "what comes by standard input is no archive")
                .with_hint("without --file it is taken for a Dockerfile"));
        }
        let place = place()?;
        let content = fs::File::from_parts(same, "standard input");
        (&content).rewind().map_err(unusable)?;
        let mut file = fs::File::create_new(place.path().join(DOCKERFILE)).map_err(no_place)?;
        io::copy(&mut &content, &mut file).map_err(no_place)?;
        Ok(Self::within(place, "", None))
    }

    fn of_archive(archive: Archive, dockerfile: Option<String>) -> Result<Self, PortError> {
        let place = place()?;
        let root = Root::open(place.path()).map_err(no_place)?;
        archive.unpack(&root, Limits::default()).map_err(unusable)?;
        Ok(Self::within(place, "", dockerfile))
    }

    async fn of_repository(
        repository: &Repository<'_>,
        dockerfile: Option<String>,
    ) -> Result<Self, PortError> {
        const CONTENT: &str = "context";
        let place = place()?;
        let config = GitConfig {
            url: repository.url.to_owned(),
            branch: None,
            path: repository.directory.map(str::to_owned),
            // It is read once.
            interval: Duration::MAX,
            mirror_directory: place.path().join("mirror"),
            credentials: Credentials::default(),
        };
        let content = place.path().join(CONTENT);
        homeostat_source::fetch_directory(config, repository.reference, &content).await?;
        Ok(Self::within(place, CONTENT, dockerfile))
    }

    fn within(place: TempDir, directory: &str, dockerfile: Option<String>) -> Self {
        let directory = place.path().join(directory);
        Self { directory, dockerfile: or_default(dockerfile), place: Some(place) }
    }
}

/// A git repository as Docker writes it: `URL#REFERENCE:DIRECTORY`, both parts of the fragment optional.
#[derive(Debug, PartialEq, Eq)]
struct Repository<'a> {
    url: &'a str,
    reference: Option<&'a str>,
    directory: Option<&'a str>,
}

impl<'a> Repository<'a> {
    /// Nothing for what is a path of this host.
    fn parse(argument: &'a str) -> Result<Option<Self>, PortError> {
        let (url, fragment) = argument.split_once('#').unwrap_or((argument, ""));
        let has_scheme = |schemes: &[&str]| schemes.iter().any(|scheme| url.starts_with(scheme));
        if has_scheme(&["http://", "https://"]) && Path::new(url).extension() != Some("git".as_ref()) {
            return Err(PortError::new(ErrorKind::User, format!("{url} is no git repository by its name"))
                .with_hint("of a repository the URL ends in .git; send an archive by a pipe: curl -fL URL | homeostat build -"));
        }
        if !has_scheme(&["http://", "https://", "ssh://", "git://", "file://", "git@"]) {
            return Ok(None);
        }
        let (reference, directory) = fragment.split_once(':').unwrap_or((fragment, ""));
        let given = |text: &'a str| (!text.is_empty()).then_some(text);
        Ok(Some(Self { url, reference: given(reference), directory: given(directory) }))
    }
}

fn or_default(dockerfile: Option<String>) -> String {
    dockerfile.unwrap_or_else(|| DOCKERFILE.to_owned())
}

/// A directory that nobody else looks into, and that goes when the build is done.
fn place() -> Result<TempDir, PortError> {
    TempDir::with_prefix("homeostat-build-").map_err(no_place)
}

fn unusable(error: impl Error + Send + Sync + 'static) -> PortError {
    PortError::new(ErrorKind::User, "the build context cannot be used").caused_by(error)
}

fn no_place(error: impl Error + Send + Sync + 'static) -> PortError {
    PortError::new(ErrorKind::Transient, "there is no place for the build context").caused_by(error)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PortError> + Send + 'static,
) -> Result<T, PortError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(PortError::new(ErrorKind::Internal, "reading the build context panicked").caused_by(error))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_are_written_as_docker_writes_them() {
        let cases = [
            ("https://example.org/a.git", ("https://example.org/a.git", None, None)),
            ("https://example.org/a.git#v1", ("https://example.org/a.git", Some("v1"), None)),
            ("https://example.org/a.git#:app", ("https://example.org/a.git", None, Some("app"))),
            ("git@example.org:a#main:b/c", ("git@example.org:a", Some("main"), Some("b/c"))),
        ];
        for (text, (url, reference, directory)) in cases {
            assert_eq!(
                Repository::parse(text).unwrap(),
                Some(Repository { url, reference, directory }),
                "{text}"
            );
        }
        for text in [".", "./a#b", "/srv/a.tar.gz", "a.git"] {
            assert_eq!(Repository::parse(text).unwrap(), None, "{text}");
        }
        assert_eq!(Repository::parse("https://example.org/a.tar").unwrap_err().kind, ErrorKind::User);
    }
}
