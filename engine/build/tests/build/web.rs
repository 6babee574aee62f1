//! What can be fetched, as a test says.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;

use fs_err as fs;
use homeostat_build::{Cancel, Fetcher};
use homeostat_dockerfile::Repository;
use homeostat_reconciler::{ErrorKind, PortError};
use jiff::Timestamp;

/// Files and repositories elsewhere.
#[derive(Default)]
pub(crate) struct Web(Mutex<Content>);

#[derive(Default)]
struct Content {
    files: BTreeMap<String, (Vec<u8>, Option<i64>)>,
    /// The commit of a repository, and its files.
    repositories: BTreeMap<String, (String, Vec<(String, String)>)>,
    requests: Vec<String>,
}

impl Web {
    /// Has a URL give this from now on, changed last at this second since 1970.
    pub(crate) fn serve(&self, url: &str, content: &[u8], modified: Option<i64>) {
        self.0.lock().unwrap().files.insert(url.to_owned(), (content.to_vec(), modified));
    }

    /// Has a repository be at this commit from now on.
    pub(crate) fn commit(&self, url: &str, commit: &str, files: &[(&str, &str)]) {
        let files = files.iter().map(|(path, content)| ((*path).to_owned(), (*content).to_owned())).collect();
        self.0.lock().unwrap().repositories.insert(url.to_owned(), (commit.to_owned(), files));
    }

    /// What was asked for until now, and forgets it.
    pub(crate) fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().requests)
    }

    fn repository(&self, what: &str, url: &str) -> Result<(String, Vec<(String, String)>), PortError> {
        let mut content = self.0.lock().unwrap();
        content.requests.push(format!("{what} of {url}"));
        content.repositories.get(url).cloned().ok_or_else(missing)
    }
}

impl Fetcher for Web {
    fn download(
        &self,
        url: &str,
        file: &mut File,
        room: u64,
        _cancel: &Cancel,
    ) -> Result<Option<Timestamp>, PortError> {
        let mut content = self.0.lock().unwrap();
        content.requests.push(url.to_owned());
        let (bytes, modified) = content.files.get(url).cloned().ok_or_else(missing)?;
        assert!(room > bytes.len() as u64);
        file.write_all(&bytes).unwrap();
        Ok(modified.map(|second| Timestamp::from_second(second).unwrap()))
    }

    fn commit(&self, repository: Repository<'_>, _cancel: &Cancel) -> Result<String, PortError> {
        Ok(self.repository("commit", repository.url)?.0)
    }

    fn check_out(
        &self,
        repository: Repository<'_>,
        place: &Path,
        destination: &Path,
        _cancel: &Cancel,
    ) -> Result<String, PortError> {
        let (commit, files) = self.repository("files", repository.url)?;
        fs::write(place.join("mirror"), "needed meanwhile").unwrap();
        for (path, content) in files {
            let path = destination.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        Ok(commit)
    }
}

fn missing() -> PortError {
    PortError::new(ErrorKind::Transient, "there is no such thing").with_hint("ask somebody else")
}
