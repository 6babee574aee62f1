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
    /// Absolute paths; a [`Place`] names one by its index.
    paths: Vec<String>,
    /// How the first file is called in messages; the others are called by their path from its directory.
    display: String,
}

impl<'a> Files<'a> {
    pub(crate) fn new(world: &'a dyn Surroundings, path: &str, display: &str) -> Self {
        Self { world, budget: Budget::default(), paths: vec![path.to_owned()], display: display.to_owned() }
    }

    /// The directory of the file that something stands in.
    pub(crate) fn directory(&self, place: Place) -> String {
        paths::parent(&self.paths[place.file]).to_owned()
    }

    /// Reads a text file that `from` refers to, and gives it a number.
    pub(crate) fn read(&mut self, path: &str, from: Place) -> Result<Option<(usize, String)>, Problem> {
        let failed = |message| Problem::new(from, format!("{path} cannot be read: {message}"));
        let Some(bytes) = self.world.read(path).map_err(failed)? else { return Ok(None) };
        if self.paths.len() >= MOST {
            return Err(Problem::new(from, format!("more than {MOST} files are referred to")));
        }
        self.budget.spend(bytes.len(), from)?;
        self.paths.push(path.to_owned());
        text(bytes)
            .map(|text| Some((self.paths.len() - 1, text)))
            .map_err(|message| failed(message.to_owned()))
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
        if place.file == 0 {
            return self.display.clone();
        }
        let path = &self.paths[place.file];
        paths::beneath(paths::parent(&self.paths[0]), path).unwrap_or(path).to_owned()
    }
}

/// The text of a file.
pub(crate) fn text(bytes: Vec<u8>) -> Result<String, &'static str> {
    if bytes.len() > LARGEST {
        return Err("it is larger than 1 MiB");
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8")
}
