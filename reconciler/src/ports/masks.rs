//! Secrets in what commands print.

use std::borrow::Cow;

use super::Secret;

/// Shorter lines of a secret are not looked for: they stand anywhere.
const SHORTEST: usize = 4;

/// What stands in the place of a secret.
const COVER: &str = "***";

/// What is to be covered in the output of a build: the lines of its secrets, the longest first.
#[derive(Clone)]
pub struct Masks(Vec<String>);

impl Masks {
    /// Those of these secrets.
    pub fn new<'a>(secrets: impl Iterator<Item = &'a Secret>) -> Self {
        let texts = secrets.filter_map(|secret| std::str::from_utf8(secret.bytes()).ok());
        let lines = texts.flat_map(str::lines).map(str::trim).filter(|line| line.len() >= SHORTEST);
        let mut lines: Vec<String> = lines.map(str::to_owned).collect();
        lines.sort_by_key(|line| std::cmp::Reverse(line.len()));
        Self(lines)
    }

    /// A line without them.
    pub fn cover<'a>(&self, line: &'a str) -> Cow<'a, str> {
        let found = self.0.iter().filter(|mask| line.contains(mask.as_str()));
        found.fold(Cow::Borrowed(line), |line, mask| line.replace(mask.as_str(), COVER).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_of_a_secret_is_covered() {
        let secrets = ["hunter2\n", "one line\nab\nanother", "hunter2-and-more"];
        let secrets = secrets.map(|text| Secret::new(text.as_bytes().to_vec()));
        let masks = Masks::new(secrets.iter());
        assert_eq!(masks.cover("hunter2-and-more hunter2 x"), "*** *** x");
        assert_eq!(masks.cover("ab: another"), "ab: ***");
        assert!(matches!(masks.cover("nothing"), Cow::Borrowed("nothing")));
    }
}
