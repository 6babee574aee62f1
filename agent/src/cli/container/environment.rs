//! `--env` and `--env-file`.

use std::collections::BTreeMap;
use std::path::Path;

use homeostat_reconciler::{ErrorKind, PortError};

/// The variables of the files, in their order, and then those that are given one by one. A name without a value takes
/// that of this process, and is left out where it has none.
///
/// # Errors
/// When a file cannot be read, or has a line that is none of Docker's format.
pub(in crate::cli) fn variables(
    files: &[String],
    given: &[String],
) -> Result<BTreeMap<String, String>, PortError> {
    let mut variables = BTreeMap::new();
    for file in files {
        read_file(Path::new(file), &mut variables)?;
    }
    for text in given {
        add(text, &mut variables)
            .map_err(|message| PortError::new(ErrorKind::User, format!("--env: {message}")))?;
    }
    Ok(variables)
}

fn read_file(path: &Path, variables: &mut BTreeMap<String, String>) -> Result<(), PortError> {
    let refuse = |message: String| PortError::new(ErrorKind::User, message);
    let text = fs_err::read_to_string(path).map_err(|error| refuse(error.to_string()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    for (index, line) in text.lines().enumerate() {
        // Docker keeps white space at the end: it is part of the value.
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        add(line, variables)
            .map_err(|message| refuse(format!("{}:{}: {message}", path.display(), index + 1)))?;
    }
    Ok(())
}

fn add(text: &str, variables: &mut BTreeMap<String, String>) -> Result<(), String> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (text, std::env::var(text).ok()),
    };
    if name.is_empty() || name.contains(char::is_whitespace) {
        return Err(format!(
            "{text:?} is no variable: write NAME=VALUE, or NAME for the value that it has here"
        ));
    }
    if let Some(value) = value {
        variables.insert(name.to_owned(), value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_first_and_what_is_no_variable_is_told_with_its_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("env");
        fs_err::write(&path, "\u{feff}# a comment\n\nA=1\n  B=x = y \nHOMEOSTAT_TEST_UNSET\n").unwrap();
        let files = [path.to_string_lossy().into_owned()];
        let found = variables(&files, &["A=2".to_owned(), "C=".to_owned()]).unwrap();
        let expected = [("A", "2"), ("B", "x = y "), ("C", "")];
        assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
        fs_err::write(&path, "A=1\nB C=2\n").unwrap();
        let error = variables(&files, &[]).unwrap_err().to_string();
        assert!(error.contains("env:2: ") && error.contains("B C=2"), "{error}");
        assert!(variables(&[], &["=x".to_owned()]).unwrap_err().to_string().contains("--env"));
    }
}
