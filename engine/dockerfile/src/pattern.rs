//! Wildcards.

use std::ops::Range;

/// A wildcard, ready to match whole paths.
///
/// `?` is any character but `/`, `*` any number of them, `[a-z]` and `[^a-z]` one of a class, and a backslash takes the
/// next character as it is. Matching takes time in proportion to pattern times path, whatever they hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    tokens: Vec<Token>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Literal(char),
    /// Any character but `/`.
    One,
    /// Any number of characters, none of them `/`.
    Star,
    /// Any number of any characters.
    All,
    /// Nothing, or anything that ends in `/`.
    Directories,
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

/// A wildcard is malformed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the pattern `{pattern}` {problem}")]
pub struct PatternError {
    /// The pattern.
    pub pattern: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl Pattern {
    /// A pattern of a .dockerignore file, in which `**` crosses directories: at the end it means everything, elsewhere
    /// any number of directories, also none.
    ///
    /// # Errors
    /// When a class has no end or is empty, or a backslash stands at the end.
    pub fn for_ignore(pattern: &str) -> Result<Self, PatternError> {
        Compiler::new(pattern).compile(true)
    }

    /// A source of `COPY`, in which `**` is no more than `*`.
    ///
    /// # Errors
    /// As [`Pattern::for_ignore`].
    pub fn for_copy(pattern: &str) -> Result<Self, PatternError> {
        Compiler::new(pattern).compile(false)
    }

    /// A pattern of the shell as it stands in `${name#pattern}`: classes are nothing special, and `*` and `?` match `/`.
    pub(crate) fn for_value(pattern: &str, escape: char) -> Self {
        let mut tokens = Vec::new();
        let mut chars = pattern.chars();
        while let Some(char) = chars.next() {
            match char {
                '*' => tokens.push(Token::All),
                '?' => tokens.push(Token::Class { negated: true, ranges: Vec::new() }),
                char if char == escape => tokens.push(Token::Literal(chars.next().unwrap_or(char))),
                char => tokens.push(Token::Literal(char)),
            }
        }
        Self { tokens }
    }

    /// Whether `text` has a character that means something else than itself in a pattern.
    pub fn is_wild(text: &str) -> bool {
        text.contains(['*', '?', '[', '\\'])
    }

    /// Whether it matches nothing but the empty text.
    pub(crate) fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Whether it matches all of `path`.
    pub fn matches(&self, path: &str) -> bool {
        self.beginnings(&path.chars().collect::<Vec<_>>()).last() == Some(&true)
    }

    /// For each place in `text`, whether it matches all that is before.
    pub(crate) fn beginnings(&self, text: &[char]) -> Vec<bool> {
        let mut begins = vec![false; text.len() + 1];
        begins[0] = true;
        self.pass(text, begins)
    }

    /// Where in `text` the parts that it matches begin and end: each as early as it can be, then as long, and none empty.
    /// For patterns of the shell.
    pub(crate) fn parts(&self, text: &[char]) -> Vec<Range<usize>> {
        let everywhere = || vec![true; text.len() + 1];
        let turned: Vec<char> = text.iter().rev().copied().collect();
        let mut begins = self.clone().reversed().pass(&turned, everywhere());
        begins.reverse();
        // A star can always take more: what follows the last one decides how far.
        let last_star = self.tokens.iter().rposition(|token| *token == Token::All);
        let last_end = last_star.and_then(|star| {
            let rest = Self { tokens: self.tokens[star + 1..].to_vec() };
            rest.pass(text, everywhere()).iter().rposition(|ends| *ends)
        });
        let mut parts = Vec::new();
        let mut at = 0;
        while at < text.len() {
            if begins[at] {
                let end = last_end.unwrap_or(at + self.tokens.len());
                parts.push(at..end);
                at = end;
            } else {
                at += 1;
            }
        }
        parts
    }

    /// What matches the same texts when they are turned round. For patterns of the shell.
    pub(crate) fn reversed(mut self) -> Self {
        self.tokens.reverse();
        self
    }

    /// The places that all tokens, one after the other, lead to from some.
    fn pass(&self, text: &[char], mut places: Vec<bool>) -> Vec<bool> {
        for token in &self.tokens {
            if !places.contains(&true) {
                break;
            }
            places = token.pass(text, &places);
        }
        places
    }
}

impl Token {
    /// For each place in `text`, whether this token leads there from one of `begins`.
    fn pass(&self, text: &[char], begins: &[bool]) -> Vec<bool> {
        let mut ends = vec![false; begins.len()];
        let mut begun = false;
        for at in 0..begins.len() {
            let last = at.checked_sub(1).map(|before| text[before]);
            let steps = at > 0 && begins[at - 1];
            let goes_on = at > 0 && ends[at - 1];
            ends[at] = match self {
                Self::Literal(char) => steps && last == Some(*char),
                Self::One => steps && last != Some('/'),
                Self::Class { negated, ranges } => {
                    let is_in = |char| ranges.iter().any(|(low, high)| (*low..=*high).contains(&char));
                    steps && last.is_some_and(|last| is_in(last) != *negated)
                }
                Self::Star => begins[at] || (goes_on && last != Some('/')),
                Self::All => begins[at] || goes_on,
                Self::Directories => begins[at] || (begun && last == Some('/')),
            };
            begun |= begins[at];
        }
        ends
    }
}

struct Compiler<'a> {
    pattern: &'a str,
    chars: std::iter::Peekable<std::str::Chars<'a>>,
}

impl<'a> Compiler<'a> {
    fn new(pattern: &'a str) -> Self {
        Self { pattern, chars: pattern.chars().peekable() }
    }

    fn compile(mut self, double_star: bool) -> Result<Pattern, PatternError> {
        let mut tokens = Vec::new();
        while let Some(char) = self.chars.next() {
            tokens.push(match char {
                '*' if double_star && self.chars.next_if_eq(&'*').is_some() => {
                    self.double_star(tokens.is_empty())
                }
                '*' => Token::Star,
                '?' => Token::One,
                '[' => self.class()?,
                '\\' => Token::Literal(self.escaped()?),
                char => Token::Literal(char),
            });
        }
        Ok(Pattern { tokens })
    }

    fn double_star(&mut self, first: bool) -> Token {
        let slash = self.chars.next_if_eq(&'/').is_some();
        // Docker takes `**x` as "ends in x", also within a name.
        if self.chars.peek().is_none() || (first && !slash) { Token::All } else { Token::Directories }
    }

    fn class(&mut self) -> Result<Token, PatternError> {
        let negated = self.chars.next_if_eq(&'^').is_some();
        let mut ranges = Vec::new();
        loop {
            if !ranges.is_empty() && self.chars.next_if_eq(&']').is_some() {
                return Ok(Token::Class { negated, ranges });
            }
            let low = self.member()?;
            let high = if self.chars.next_if_eq(&'-').is_some() { self.member()? } else { low };
            if high < low {
                return Err(self.error("has a range that ends before it begins"));
            }
            ranges.push((low, high));
        }
    }

    fn member(&mut self) -> Result<char, PatternError> {
        match self.chars.next() {
            None => Err(self.error("has a `[` without `]`")),
            Some('\\') => self.escaped(),
            Some('-' | ']') => Err(self.error("has a class that is empty or ends in `-`")),
            Some(char) => Ok(char),
        }
    }

    fn escaped(&mut self) -> Result<char, PatternError> {
        self.chars.next().ok_or_else(|| self.error("ends in a backslash"))
    }

    fn error(&self, problem: &'static str) -> PatternError {
        PatternError { pattern: self.pattern.to_owned(), problem }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_dockerignore_match_as_docker_does() {
        let cases = [
            ("a", "a", true),
            ("a", "ab", false),
            ("a?c", "abc", true),
            ("a?c", "a/c", false),
            ("*", "a", true),
            ("*", "a/b", false),
            ("*/b", "a/b", true),
            ("**", "a/b/c", true),
            ("**/b", "b", true),
            ("**/b", "a/x/b", true),
            ("**/b", "ab", false),
            ("**b", "ab", true),
            ("a/**", "a/b/c", true),
            ("a/**", "a", false),
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/y/b", true),
            ("a/**/b", "a/xb", false),
            ("**/*.go", "x/y.go", true),
            ("**/*.go", "y.go", true),
            ("*.go", "x/y.go", false),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("[^a-c]x", "dx", true),
            (r"\*", "*", true),
            (r"\*", "a", false),
            (r"[\]]", "]", true),
            ("a.b", "axb", false),
            ("a+(b)", "a+(b)", true),
        ];
        for (pattern, path, expected) in cases {
            assert_eq!(Pattern::for_ignore(pattern).unwrap().matches(path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn malformed_patterns_are_refused() {
        for pattern in ["[", "[]", "[a", "[a-]", "[-a]", "a\\", "[\\"] {
            assert!(Pattern::for_ignore(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        let pattern = Pattern::for_ignore(&"**/*a".repeat(60)).unwrap();
        assert!(!pattern.matches(&"a/".repeat(500)));
    }
}
