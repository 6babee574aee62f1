//! What `homeostat build` takes for its context, as Docker does: a directory, an archive, what comes by a pipe, or a
//! git repository.

use std::error::Error;
use std::io::{self, Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err as fs;
use homeostat_dockerfile::{Remote, Repository};
use homeostat_files::Root;
use homeostat_image::{Archive, Limits};
use homeostat_reconciler::{ErrorKind, PortError};
use homeostat_source::{Credentials, GitConfig};

/// What says that something comes by standard input.
const STANDARD_INPUT: &str = "-";

/// The Dockerfile of a context that is not told otherwise.
const DOCKERFILE: &str = "Dockerfile";

/// The longest Dockerfile by standard input, in bytes.
const TEXT_LIMIT: u64 = 1 << 20;

/// A directory of this host with the context in it. What was made for it goes with this value.
pub(super) struct Context {
    pub(super) directory: PathBuf,
    /// The path of the Dockerfile within the directory, or what it is called.
    pub(super) dockerfile: String,
    /// The text of a Dockerfile that is not in the directory.
    pub(super) dockerfile_text: Option<String>,
    _place: Option<Place>,
}

impl Context {
    /// Finds out what the arguments mean, and brings what is not a directory yet into one.
    pub(super) async fn of(argument: &str, file: Option<String>) -> Result<Self, PortError> {
        if file.as_deref() == Some(STANDARD_INPUT) {
            if argument == STANDARD_INPUT {
                return Err(PortError::new(
                    ErrorKind::User,
                    "standard input cannot be both context and Dockerfile",
                )
                .with_hint("without --file it is an archive, or a Dockerfile with an empty context"));
            }
            let text = blocking(text_of_standard_input).await?;
            let context = Self::of_argument(argument, None).await?;
            return Ok(Self {
                dockerfile: "standard input".to_owned(),
                dockerfile_text: Some(text),
                ..context
            });
        }
        Self::of_argument(argument, file).await
    }

    async fn of_argument(argument: &str, file: Option<String>) -> Result<Self, PortError> {
        if argument == STANDARD_INPUT {
            let input = blocking(standard_input).await?;
            return Self::of_standard_input(input, file).await;
        }
        if argument.starts_with("file://") {
            return Self::of_repository(Repository::read(argument), file).await;
        }
        match Remote::parse(argument) {
            Some(Remote::Repository(repository)) => return Self::of_repository(repository, file).await,
            Some(Remote::Url(url)) => return Err(no_repository(url)),
            None => {}
        }
        let path = fs::canonicalize(argument).map_err(unusable)?;
        if path.is_dir() {
            return Self::of_directory(path, file);
        }
        if let Some(place) = unpack(fs::File::open(&path).map_err(unusable)?).await? {
            return Ok(Self::within(place, "", file));
        }
        let message = format!("{} is neither a directory nor an archive", path.display());
        Err(PortError::new(ErrorKind::User, message)
            .with_hint("name a directory, a tar archive, a git repository, or - for standard input"))
    }

    /// The Dockerfile is looked for from the working directory on, as Docker does, then in the context. It may be outside.
    fn of_directory(directory: PathBuf, file: Option<String>) -> Result<Self, PortError> {
        let mut context =
            Self { directory, dockerfile: DOCKERFILE.to_owned(), dockerfile_text: None, _place: None };
        let Some(file) = file else { return Ok(context) };
        context.dockerfile = file;
        let Ok(path) = fs::canonicalize(&context.dockerfile) else { return Ok(context) };
        if let Ok(Some(inside)) = path.strip_prefix(&context.directory).map(Path::to_str) {
            inside.clone_into(&mut context.dockerfile);
        } else {
            let text = fs::read_to_string(path).map_err(unreadable)?;
            context.dockerfile_text = Some(text);
        }
        Ok(context)
    }

    /// An archive is a context; everything else is the Dockerfile of an empty one.
    async fn of_standard_input(input: fs::File, file: Option<String>) -> Result<Self, PortError> {
        let same = input.file().try_clone().map_err(unusable)?;
        if let Some(place) = unpack(input).await? {
            return Ok(Self::within(place, "", file));
        }
        if file.is_some() {
            return Err(PortError::new(ErrorKind::User, "what comes by standard input is no archive")
                .with_hint("without --file it is taken for a Dockerfile"));
        }
        let mut same = fs::File::from_parts(same, "standard input");
        same.rewind().map_err(unusable)?;
        let text = io::read_to_string(same).map_err(unusable)?;
        Ok(Self { dockerfile_text: Some(text), ..Self::within(Place::new()?, "", None) })
    }

    async fn of_repository(repository: Repository<'_>, file: Option<String>) -> Result<Self, PortError> {
        const CONTENT: &str = "context";
        let place = Place::new()?;
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
        Ok(Self::within(place, CONTENT, file))
    }

    fn within(place: Place, directory: &str, file: Option<String>) -> Self {
        let directory = place.path().join(directory);
        let dockerfile = file.unwrap_or_else(|| DOCKERFILE.to_owned());
        Self { directory, dockerfile, dockerfile_text: None, _place: Some(place) }
    }
}

/// A directory that nobody else looks into, and that goes with this value.
struct Place(PathBuf);

impl Place {
    fn new() -> Result<Self, PortError> {
        let place = tempfile::Builder::new().prefix("homeostat-build-").tempdir().map_err(no_place)?;
        Ok(Self(place.keep()))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // After an interruption somebody may be writing into it still, until what he writes into is gone.
        for _ in 0..ATTEMPTS {
            match fs::remove_dir_all(&self.0) {
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
                _ => break,
            }
        }
    }
}

/// How often a directory is tried to be removed that others write into.
const ATTEMPTS: usize = 100;

/// Unpacks a file; nothing when it is no archive.
async fn unpack(file: fs::File) -> Result<Option<Place>, PortError> {
    let place = Place::new()?;
    let root = Root::open(place.path()).map_err(no_place)?;
    let is_archive = blocking(move || match Archive::open(file).map_err(unusable)? {
        Some(archive) => archive.unpack(&root, Limits::default()).map(|()| true).map_err(unusable),
        None => Ok(false),
    });
    Ok(is_archive.await?.then_some(place))
}

/// All of standard input, in a file without a name: an archive is read more than once.
fn standard_input() -> Result<fs::File, PortError> {
    let mut input = fs::File::from_parts(tempfile::tempfile().map_err(no_place)?, "standard input");
    io::copy(&mut io::stdin().lock(), &mut input).map_err(unusable)?;
    input.rewind().map_err(unusable)?;
    Ok(input)
}

fn text_of_standard_input() -> Result<String, PortError> {
    let unreadable =
        |error| PortError::new(ErrorKind::User, "the Dockerfile cannot be read").caused_by(error);
    let text = io::read_to_string(io::stdin().lock().take(TEXT_LIMIT + 1)).map_err(unreadable)?;
    if text.len() as u64 > TEXT_LIMIT {
        return Err(PortError::new(
            ErrorKind::User,
            format!("the Dockerfile is larger than {TEXT_LIMIT} bytes"),
        ));
    }
    Ok(text)
}

fn no_repository(url: &str) -> PortError {
    PortError::new(ErrorKind::User, format!("{url} is no git repository by its name")).with_hint(
        "of a repository the URL ends in .git; send an archive by a pipe: curl -fL URL | homeostat build -",
    )
}

fn unreadable(error: io::Error) -> PortError {
    PortError::new(ErrorKind::User, "the Dockerfile cannot be read").caused_by(error)
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
