//! The files that an import reads, by number.

use crate::budget::Budget;
use crate::error::{ImportError, Problem};
use crate::finding::{Finding, Note};
use crate::paths;
use crate::variables::Lookup;
use crate::yaml::Place;
use crate::{Surroundings, dotenv};

/// The largest file that is read, in bytes.
const LARGEST: usize = 1024 * 1024;
/// The most files that are read.
const MOST: usize = 256;

/// Everything that was read so far.
pub(crate) struct Files<'a> {
    pub(crate) world: &'a dyn Surroundings,
    pub(crate) budget: Budget,
    /// A [`Place`] names one by its index.
    known: Vec<Known>,
}

/// A file that was read.
struct Known {
    /// Absolute path of the directory that paths in it start from.
    directory: String,
    /// How it is called in messages.
    display: String,
}

impl<'a> Files<'a> {
    /// No file yet.
    pub(crate) fn new(world: &'a dyn Surroundings) -> Self {
        Self { world, budget: Budget::default(), known: Vec::new() }
    }

    /// Gives a file a number. Paths in it start from `directory`.
    pub(crate) fn add(&mut self, directory: &str, display: &str) -> usize {
        self.known.push(Known { directory: directory.to_owned(), display: display.to_owned() });
        self.known.len() - 1
    }

    /// The directory that paths start from where something stands.
    pub(crate) fn directory(&self, place: Place) -> String {
        self.known[place.file].directory.clone()
    }

    /// Has paths in a file start from another directory than its own.
    pub(crate) fn set_directory(&mut self, file: usize, directory: &str) {
        directory.clone_into(&mut self.known[file].directory);
    }

    /// Reads a text file that `from` refers to, and gives it a number.
    pub(crate) fn read(&mut self, path: &str, from: Place) -> Result<Option<(usize, String)>, Problem> {
        let failed = |message| Problem::new(from, format!("{path} cannot be read: {message}"));
        let Some(bytes) = self.world.read(path).map_err(failed)? else { return Ok(None) };
        if self.known.len() >= MOST {
            return Err(Problem::new(from, format!("more than {MOST} files are referred to")));
        }
        self.budget.spend(bytes.len(), from)?;
        // By its path from the first file.
        let display = paths::beneath(&self.known[0].directory, path).unwrap_or(path).to_owned();
        let file = self.add(paths::parent(path), &display);
        text(bytes).map(|text| Some((file, text))).map_err(|message| failed(message.to_owned()))
    }

    /// The variables of a file in the format of `.env`; `None` when it is not there.
    pub(crate) fn variables(
        &mut self,
        path: &str,
        from: Place,
        outer: &dyn Lookup,
        raw: bool,
    ) -> Result<Option<dotenv::Variables>, Problem> {
        let Some((file, text)) = self.read(path, from)? else { return Ok(None) };
        let variables =
            if raw { dotenv::parse_raw(&text) } else { dotenv::parse(&text, file, outer, &mut self.budget)? };
        if variables.len() > dotenv::MOST {
            let message = format!("the file has more than {} variables", dotenv::MOST);
            return Err(Problem::new(Place { file, line: 1 }, message));
        }
        Ok(Some(variables))
    }

    pub(crate) fn error(&self, problem: Problem) -> ImportError {
        let Problem { place, message, hint } = problem;
        ImportError { file: self.name(place), line: place.line.max(1), message, hint }
    }

    pub(crate) fn finding(&self, note: Note) -> Finding {
        let Note { kind, place, path, message, hint } = note;
        Finding { kind, file: self.name(place), line: place.line.max(1), path, message, hint }
    }

    fn name(&self, place: Place) -> String {
        self.known[place.file].display.clone()
    }
}

/// The text of a file.
pub(crate) fn text(bytes: Vec<u8>) -> Result<String, &'static str> {
    if bytes.len() > LARGEST {
        return Err("it is larger than 1 MiB");
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8")
}
