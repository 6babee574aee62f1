//! .dockerignore.

use crate::{Pattern, PatternError, clean_path};

/// What a .dockerignore file leaves out of the build context.
///
/// Its rules are not those of .gitignore: patterns are relative to the top, the last one that matches decides, and one
/// that matches a directory above counts as well.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ignore {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    pattern: Pattern,
    /// Begins with `!`: what it matches is taken in again.
    exception: bool,
}

/// A .dockerignore file is malformed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct IgnoreError {
    /// Where, from 1.
    pub line: usize,
    /// What is wrong.
    pub problem: PatternError,
}

impl Ignore {
    /// Reads the file's text.
    ///
    /// # Errors
    /// When a pattern is malformed, or `!` stands alone.
    pub fn parse(text: &str) -> Result<Self, IgnoreError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut rules = Vec::new();
        for (index, line) in text.lines().enumerate() {
            rules.extend(Rule::parse(line).map_err(|problem| IgnoreError { line: index + 1, problem })?);
        }
        Ok(Self { rules })
    }

    /// Whether the file at `path`, relative to the top of the context, is left out.
    pub fn is_ignored(&self, path: &str) -> bool {
        let path: Vec<char> = path.chars().collect();
        let mut known = vec![Known::default(); self.rules.len()];
        let mut ignored = false;
        for end in (0..=path.len()).filter(|at| is_end(&path, *at)) {
            ignored = self.look(&path, end, &mut known);
        }
        ignored
    }

    /// Whether what `path` is up to `end` is left out, given which rules match the directory it is in; then says which
    /// match it. A rule that could change nothing for the directory is not known to match it, even if it does.
    fn look(&self, path: &[char], end: usize, known: &mut [Known]) -> bool {
        let mut ignored = false;
        for (rule, known) in self.rules.iter().zip(known) {
            if !known.matches && rule.exception == ignored {
                let ends = known.ends.get_or_insert_with(|| rule.ends(path));
                known.matches = ends.binary_search(&end).is_ok();
            }
            if known.matches {
                ignored = !rule.exception;
            }
        }
        ignored
    }

    /// Whether something beneath a directory that is left out may be taken in again.
    pub fn has_exceptions(&self) -> bool {
        self.rules.iter().any(|rule| rule.exception)
    }
}

/// What is known of a rule while a path is looked at.
#[derive(Clone, Default)]
struct Known {
    /// Whether it matches the directory that was looked at last, or one above.
    matches: bool,
    /// The ends of what it matches: the path and directories above. Found once for all of them, and when it is asked for.
    ends: Option<Vec<usize>>,
}

/// Whether the path or a directory above ends here.
fn is_end(path: &[char], at: usize) -> bool {
    path.get(at).is_none_or(|char| *char == '/')
}

impl Rule {
    fn ends(&self, path: &[char]) -> Vec<usize> {
        let matched = self.pattern.beginnings(path);
        (0..=path.len()).filter(|at| matched[*at] && is_end(path, *at)).collect()
    }

    fn parse(line: &str) -> Result<Option<Self>, PatternError> {
        if line.starts_with('#') {
            return Ok(None);
        }
        let line = line.trim();
        let (text, exception) = match line.strip_prefix('!') {
            Some(rest) => (rest.trim(), true),
            None => (line, false),
        };
        if text.is_empty() {
            return if exception {
                Err(PatternError { pattern: line.to_owned(), problem: "excepts nothing" })
            } else {
                Ok(None)
            };
        }
        let clean = clean_path(text);
        let relative = clean.strip_prefix('/').filter(|rest| !rest.is_empty()).unwrap_or(&clean);
        Ok(Some(Self { pattern: Pattern::for_ignore(relative)?, exception }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_decide_as_docker_does() {
        let cases = [
            ("a", "a", true),
            ("a", "a/b/c", true),
            ("a", "b/a", false),
            ("/a", "a", true),
            ("./a/", "a", true),
            ("a/../b", "b", true),
            ("  a  ", "a", true),
            (" #a", "#a", true),
            ("#a", "#a", false),
            ("\u{feff}a", "a", true),
            ("*\n!a", "a", false),
            ("*\n!a", "a/b", false),
            ("*\n!a\na/b", "a/b", true),
            ("!a\n*", "a", true),
            ("*\n! a", "a", false),
            ("*\n!!a", "!a", false),
            ("*.md\n!README*.md\nREADME-secret.md", "README-secret.md", true),
            ("*.md\n!README*.md\nREADME-secret.md", "README-x.md", false),
            ("docs\n!docs/a.md", "docs/a.md", false),
            ("docs\n!docs/a.md", "docs/b.md", true),
            ("**/*.o", "a/b/c.o", true),
            ("**/a\n!dir", "dir/a", true),
            ("dir/*\n!d?r", "dir/a", true),
            ("*\n!dir", "dir/a", false),
            ("**", "a/b", true),
            ("*/tmp*", "a/tmp1", true),
            ("*/tmp*", "tmp1", false),
            ("\n\r\na\r\n", "a", true),
        ];
        for (text, path, expected) in cases {
            assert_eq!(Ignore::parse(text).unwrap().is_ignored(path), expected, "{text:?} {path}");
        }
    }

    #[test]
    fn deep_paths_and_many_stars_take_no_cubic_time() {
        let ignore = Ignore::parse(&"**/*a*/\n!*x\n".repeat(300)).unwrap();
        assert!(!ignore.is_ignored(&"b/".repeat(2000)));
    }

    #[test]
    fn a_malformed_pattern_names_its_line() {
        let error = Ignore::parse("a\n[b").unwrap_err();
        assert_eq!(error.to_string(), "line 2: the pattern `[b` has a `[` without `]`");
        assert_eq!(Ignore::parse("!").unwrap_err().to_string(), "line 1: the pattern `!` excepts nothing");
    }
}
