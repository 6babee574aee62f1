//! `homeostat import`.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anstream::eprintln;
use clap::{Args, Subcommand};
use homeostat_compose::{ComposeFile, Finding, ImportError, Kind, Request, Surroundings, import};
use homeostat_reconciler::{ErrorKind, PortError};
use homeostat_spec::Name;

use super::errors::CliError;
use super::options::Resolved;
use super::{CHANGES, DONE};
use crate::render::{self, GREEN, Output, YELLOW};

#[derive(Args)]
pub(super) struct Import {
    #[command(subcommand)]
    from: From,
}

#[derive(Subcommand)]
enum From {
    /// Turn Compose files into a spec: 0 all carried over, 1 something not, 2 error
    Compose(Compose),
}

#[derive(Args)]
struct Compose {
    /// The Compose file, as compose.yaml; of several each is merged on top of those before it, as `docker compose -f` does
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Directory that the spec is written to; it is printed without [default: relative paths are those of a spec
    /// beside the Compose file]
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Name of the app [default: the name of the Compose project]
    #[arg(long, value_name = "NAME")]
    app: Option<Name>,
    /// Take over the containers, volumes and networks that Compose made of these files, as they are
    #[arg(long)]
    adopt: bool,
}

impl Import {
    pub(super) fn run(self, global: &Resolved) -> Result<u8, CliError> {
        let From::Compose(command) = self.from;
        command.run(global)
    }
}

impl Compose {
    fn run(self, global: &Resolved) -> Result<u8, CliError> {
        let files = self.files.iter().map(|file| read(file)).collect::<Result<Vec<_>, _>>()?;
        let directory = if let Some(directory) = &self.directory {
            absolute(directory, "the directory of the spec cannot be used")?
        } else {
            let first = files.first().and_then(|file| Path::new(&file.path).parent());
            first.map(|parent| parent.display().to_string()).unwrap_or_default()
        };
        let request = Request { files, directory: directory.clone(), app: self.app, adopt: self.adopt };
        let import = import(&request, &Host).map_err(refused)?;
        let written = match &self.directory {
            Some(_) => Some(write(&directory, import.app.as_str(), &import.spec)?),
            None => None,
        };
        match global.output {
            Output::Json => render::json(&serde_json::json!({
                "app": import.app, "spec": import.spec, "written": written, "findings": import.findings,
            }))?,
            Output::Text => {
                if written.is_none() {
                    anstream::stdout().write_all(import.spec.as_bytes())?;
                }
                report(&import.findings, written.as_deref());
            }
        }
        let complete = import.findings.iter().all(|finding| finding.kind == Kind::Note);
        Ok(if complete { DONE } else { CHANGES })
    }
}

/// This host, as an import sees it.
struct Host;

impl Surroundings for Host {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        match fs_err::read(path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    fn exists(&self, path: &str) -> bool {
        fs_err::symlink_metadata(path).is_ok()
    }

    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

/// A Compose file as it is on disk.
fn read(file: &Path) -> Result<ComposeFile, PortError> {
    let path = absolute(file, "the Compose file cannot be used")?;
    let content = fs_err::read(&path).map_err(|error| {
        PortError::new(ErrorKind::User, "the Compose file cannot be read").caused_by(error)
    })?;
    Ok(ComposeFile { path, display: file.display().to_string(), content })
}

/// A path that is there, absolute and without links.
fn absolute(path: &Path, message: &'static str) -> Result<String, PortError> {
    let path = fs_err::canonicalize(path)
        .map_err(|error| PortError::new(ErrorKind::User, message).caused_by(error))?;
    path.into_os_string()
        .into_string()
        .map_err(|_| PortError::new(ErrorKind::User, message).with_hint("give it a path that is UTF-8"))
}

/// Writes a spec that is not there yet. It may hold what only its owner may read: so could the files that it is
/// made of.
fn write(directory: &str, app: &str, spec: &str) -> Result<String, PortError> {
    let path = format!("{directory}/{app}.toml");
    let failed = |error: std::io::Error| {
        let there = error.kind() == std::io::ErrorKind::AlreadyExists;
        let error = PortError::new(ErrorKind::User, "the spec cannot be written").caused_by(error);
        if there {
            error.with_hint("nothing is overwritten: remove it, or name the app with `--app`")
        } else {
            error
        }
    };
    let mut options = fs_err::OpenOptions::new();
    options.write(true).create_new(true).options_mut().mode(0o600);
    let mut file = options.open(&path).map_err(failed)?;
    file.write_all(spec.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    Ok(path)
}

fn refused(error: ImportError) -> PortError {
    let refusal = PortError::new(ErrorKind::User, error.to_string());
    match error.hint {
        Some(hint) => refusal.with_hint(hint),
        None => refusal,
    }
}

/// Prints what differs, and a summary, to stderr: stdout is for the spec.
fn report(findings: &[Finding], written: Option<&str>) {
    for finding in findings {
        let style = if finding.kind == Kind::Note { GREEN } else { YELLOW };
        eprintln!("{style}{}{style:#}: {finding}", finding.kind);
        if let Some(hint) = &finding.hint {
            eprintln!("  hint: {hint}");
        }
    }
    let lost = findings.iter().filter(|finding| finding.kind == Kind::NotCarriedOver).count();
    if let Some(path) = written {
        eprintln!("{path} is written");
    }
    eprintln!("{lost} not carried over, {} notes", findings.len() - lost);
}
