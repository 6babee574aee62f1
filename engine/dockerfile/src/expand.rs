//! Variables put into words.

use crate::Pattern;

/// The longest text that expansion may give, in bytes: what Linux takes as one argument (`MAX_ARG_STRLEN`).
const LENGTH_LIMIT: usize = 128 * 1024;

/// How deep `${a:-${b:-...}}` may go.
const DEPTH_LIMIT: usize = 64;

/// A word cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpandError {
    /// A quote or brace has no end.
    #[error("`{opened}` is never closed by `{missing}`")]
    Unclosed {
        /// What began.
        opened: &'static str,
        /// What should have ended it.
        missing: char,
    },
    /// `${}` or the like.
    #[error("`${{` must be followed by a name")]
    NoName,
    /// A modifier that does not exist.
    #[error("`{modifier}` after `${{{name}` means nothing")]
    Modifier {
        /// The variable.
        name: String,
        /// What follows its name.
        modifier: String,
    },
    /// `${name:?message}` and the variable is missing.
    #[error("{name}: {message}")]
    Required {
        /// The variable.
        name: String,
        /// What the file says about it.
        message: String,
    },
    /// The result is longer than one argument or variable may be.
    #[error("the value is longer than {LENGTH_LIMIT} bytes with its variables")]
    TooLong,
    /// Substitutions in substitutions in substitutions.
    #[error("substitutions are nested deeper than {DEPTH_LIMIT}")]
    TooDeep,
}

impl ExpandError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unclosed { .. } => Some("close it, or put the escape character before it"),
            Self::NoName => Some("a `$` that stands for itself needs the escape character before it"),
            Self::Modifier { .. } => Some("there are - :- + :+ ? :? # ## % %% / and //"),
            Self::Required { .. } => Some("give it a value with ARG, ENV or the build's arguments"),
            Self::TooLong | Self::TooDeep => None,
        }
    }
}

/// Puts variables into one word and takes its quotes and escapes away.
///
/// # Errors
/// When quotes or braces are not closed, a modifier is unknown, or a required variable is missing.
pub fn expand_word(
    word: &str,
    escape: char,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<String, ExpandError> {
    Expander::new(word, escape, lookup).until(None, false).map(Words::joined)
}

/// As [`expand_word`], then splits at white space that is not quoted, also at that of variables.
///
/// # Errors
/// As [`expand_word`].
pub fn expand_words(
    text: &str,
    escape: char,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<String>, ExpandError> {
    Expander::new(text, escape, lookup).until(None, false).map(Words::split)
}

/// Puts variables into a text in which quotes are nothing special, as in a heredoc. The escape character takes the
/// meaning of `$` and of itself away, and is gone wherever it stands.
///
/// # Errors
/// As [`expand_word`], and when the text holds more than fits an argument.
pub fn expand_text(
    text: &str,
    escape: char,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<String, ExpandError> {
    Expander::new(text, escape, lookup).text().map(Words::joined)
}

/// Text, with a note for each character whether it was quoted.
#[derive(Default)]
struct Words {
    chars: Vec<(char, bool)>,
    length: usize,
}

impl Words {
    fn push(&mut self, char: char, quoted: bool) -> Result<(), ExpandError> {
        self.length += char.len_utf8();
        if self.length > LENGTH_LIMIT {
            return Err(ExpandError::TooLong);
        }
        self.chars.push((char, quoted));
        Ok(())
    }

    fn push_str(&mut self, text: &str, quoted: bool) -> Result<(), ExpandError> {
        text.chars().try_for_each(|char| self.push(char, quoted))
    }

    fn joined(self) -> String {
        self.chars.into_iter().map(|(char, _)| char).collect()
    }

    fn split(self) -> Vec<String> {
        self.chars
            .split(|(char, quoted)| !quoted && char.is_whitespace())
            .filter(|word| !word.is_empty())
            .map(|word| word.iter().map(|(char, _)| char).collect())
            .collect()
    }
}

struct Expander<'a> {
    input: Vec<char>,
    at: usize,
    escape: char,
    lookup: &'a dyn Fn(&str) -> Option<String>,
    depth: usize,
}

impl<'a> Expander<'a> {
    fn new(text: &str, escape: char, lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { input: text.chars().collect(), at: 0, escape, lookup, depth: 0 }
    }

    fn peek(&self) -> Option<char> {
        self.input.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let char = self.peek()?;
        self.at += 1;
        Some(char)
    }

    /// Expands up to `stop`, which is taken; or to the end. With `raw`, escapes stay, for a pattern.
    fn until(&mut self, stop: Option<char>, raw: bool) -> Result<Words, ExpandError> {
        let mut words = Words::default();
        loop {
            let Some(char) = self.next() else {
                return match stop {
                    None => Ok(words),
                    Some(missing) => Err(ExpandError::Unclosed { opened: "${", missing }),
                };
            };
            match char {
                char if Some(char) == stop => return Ok(words),
                '\'' => self.single_quoted(&mut words)?,
                '"' => self.double_quoted(&mut words)?,
                '$' => words.push_str(&self.dollar()?, false)?,
                char if char == self.escape => {
                    let Some(next) = self.next() else { continue };
                    if raw {
                        words.push(char, true)?;
                    }
                    words.push(next, true)?;
                }
                char => words.push(char, false)?,
            }
        }
    }

    fn text(&mut self) -> Result<Words, ExpandError> {
        let mut words = Words::default();
        while let Some(char) = self.next() {
            match char {
                '$' => words.push_str(&self.dollar()?, true)?,
                char if char == self.escape => {
                    let Some(next) = self.next() else { continue };
                    words.push(next, true)?;
                }
                char => words.push(char, true)?,
            }
        }
        Ok(words)
    }

    fn single_quoted(&mut self, words: &mut Words) -> Result<(), ExpandError> {
        loop {
            match self.next() {
                None => return Err(ExpandError::Unclosed { opened: "'", missing: '\'' }),
                Some('\'') => return Ok(()),
                Some(char) => words.push(char, true)?,
            }
        }
    }

    fn double_quoted(&mut self, words: &mut Words) -> Result<(), ExpandError> {
        loop {
            match self.next() {
                None => return Err(ExpandError::Unclosed { opened: "\"", missing: '"' }),
                Some('"') => return Ok(()),
                Some('$') => words.push_str(&self.dollar()?, true)?,
                Some(char) if char == self.escape => match self.next() {
                    Some(next) if next == '"' || next == '$' || next == self.escape => {
                        words.push(next, true)?;
                    }
                    next => {
                        words.push(char, true)?;
                        next.map_or(Ok(()), |next| words.push(next, true))?;
                    }
                },
                Some(char) => words.push(char, true)?,
            }
        }
    }

    /// What a `$`, already taken, stands for.
    fn dollar(&mut self) -> Result<String, ExpandError> {
        if self.peek() != Some('{') {
            let name = self.name();
            return Ok(if name.is_empty() {
                "$".to_owned()
            } else {
                (self.lookup)(&name).unwrap_or_default()
            });
        }
        self.at += 1;
        self.depth += 1;
        if self.depth > DEPTH_LIMIT {
            return Err(ExpandError::TooDeep);
        }
        let value = self.braced();
        self.depth -= 1;
        value
    }

    fn name(&mut self) -> String {
        let begin = self.at;
        match self.peek() {
            Some(char) if char.is_ascii_digit() => self.skip_while(|char| char.is_ascii_digit()),
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => self.at += 1,
            _ => self.skip_while(|char| char.is_alphanumeric() || char == '_'),
        }
        self.input[begin..self.at].iter().collect()
    }

    fn skip_while(&mut self, wanted: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&wanted) {
            self.at += 1;
        }
    }

    fn braced(&mut self) -> Result<String, ExpandError> {
        let name = self.name();
        if name.is_empty() {
            return Err(ExpandError::NoName);
        }
        let value = (self.lookup)(&name);
        match self.next() {
            None => Err(ExpandError::Unclosed { opened: "${", missing: '}' }),
            Some('}') => Ok(value.unwrap_or_default()),
            Some(':') => {
                let operator = self.next();
                self.conditional(name, ":", operator, value.filter(|value| !value.is_empty()))
            }
            Some(side @ ('#' | '%')) => self.trimmed(side, &value.unwrap_or_default()),
            Some('/') => self.replaced(&value.unwrap_or_default()),
            operator => self.conditional(name, "", operator, value),
        }
    }

    /// `-`, `+` or `?`, with `value` absent when it counts as unset.
    fn conditional(
        &mut self,
        name: String,
        colon: &str,
        operator: Option<char>,
        value: Option<String>,
    ) -> Result<String, ExpandError> {
        let Some(operator) = operator else {
            return Err(ExpandError::Unclosed { opened: "${", missing: '}' });
        };
        if !matches!(operator, '-' | '+' | '?') {
            return Err(ExpandError::Modifier { name, modifier: format!("{colon}{operator}") });
        }
        let word = self.until(Some('}'), false)?.joined();
        match (operator, value) {
            ('-', None) | ('+', Some(_)) => Ok(word),
            ('?', None) if word.is_empty() => {
                Err(ExpandError::Required { name, message: "it is not set".to_owned() })
            }
            ('?', None) => Err(ExpandError::Required { name, message: word }),
            (_, Some(value)) => Ok(value),
            (_, None) => Ok(String::new()),
        }
    }

    /// `#` and `##` take what matches off the front, `%` and `%%` off the end; doubled, as much as possible.
    fn trimmed(&mut self, side: char, value: &str) -> Result<String, ExpandError> {
        let longest = self.peek() == Some(side);
        if longest {
            self.at += 1;
        }
        let text = self.until(Some('}'), true)?.joined();
        let pattern = Pattern::for_value(&text, self.escape);
        let mut value: Vec<char> = value.chars().collect();
        // To take something off the end is to take it off the front when all is turned round.
        let turned = side == '%';
        let pattern = if turned { pattern.reversed() } else { pattern };
        if turned {
            value.reverse();
        }
        let matched = pattern.beginnings(&value);
        let mut places = matched.iter();
        let cut = if longest { places.rposition(|ends| *ends) } else { places.position(|ends| *ends) };
        value.drain(..cut.unwrap_or(0));
        if turned {
            value.reverse();
        }
        Ok(value.into_iter().collect())
    }

    /// `/old/new` replaces the first match, `//old/new` all; each as long as possible.
    fn replaced(&mut self, value: &str) -> Result<String, ExpandError> {
        let all = self.peek() == Some('/');
        if all {
            self.at += 1;
        }
        let text = self.until(Some('/'), true)?.joined();
        let new = self.until(Some('}'), false)?.joined();
        let pattern = Pattern::for_value(&text, self.escape);
        if pattern.is_empty() {
            return Ok(value.to_owned());
        }
        let value: Vec<char> = value.chars().collect();
        let mut parts = pattern.parts(&value);
        if !all {
            parts.truncate(1);
        }
        let mut result = Words::default();
        let mut at = 0;
        for part in parts {
            value[at..part.start].iter().try_for_each(|char| result.push(*char, true))?;
            result.push_str(&new, true)?;
            at = part.end;
        }
        value[at..].iter().try_for_each(|char| result.push(*char, true))?;
        Ok(result.joined())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<String> {
        match name {
            "v" => Some("value".to_owned()),
            "empty" => Some(String::new()),
            "path" => Some("/usr/local/bin".to_owned()),
            "file" => Some("a.tar.gz".to_owned()),
            "two" => Some("1 2".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn every_form_expands_as_docker_does() {
        let cases = [
            ("", ""),
            ("a", "a"),
            ("$v", "value"),
            ("${v}", "value"),
            ("a$v-b", "avalue-b"),
            ("$", "$"),
            ("a$", "a$"),
            ("$.", "$."),
            ("$1x", "x"),
            ("$missing", ""),
            ("${v:-d}", "value"),
            ("${empty:-d}", "d"),
            ("${empty-d}", ""),
            ("${missing-d}", "d"),
            ("${missing:-$v}", "value"),
            ("${missing:-${empty:-x}}", "x"),
            ("${missing:-a\\}b}", "a}b"),
            ("${v:+s}", "s"),
            ("${empty:+s}", ""),
            ("${empty+s}", "s"),
            ("${missing+s}", ""),
            ("${v:?no}", "value"),
            ("${empty?no}", ""),
            ("${path#*/}", "usr/local/bin"),
            ("${path##*/}", "bin"),
            ("${file%.*}", "a.tar"),
            ("${file%%.*}", "a"),
            ("${file#x}", "a.tar.gz"),
            ("${path/\\//_}", "_usr/local/bin"),
            ("${path//\\//_}", "_usr_local_bin"),
            ("${v/l*/x}", "vax"),
            ("${v//?/x}", "xxxxx"),
            ("${file//a?/_}", "_t_.gz"),
            ("${file/.*./_}", "a_gz"),
            ("${file//a*r/_}", "_.gz"),
            ("${file##*a*.}", "gz"),
            ("${file#*a*.}", "tar.gz"),
            ("${file%.*r*}", "a"),
            ("${file%%*}", ""),
            ("'$v'", "$v"),
            ("\"$v\"", "value"),
            ("\"\\$v\"", "$v"),
            ("\"a\\b\"", "a\\b"),
            ("\"a\\\"b\"", "a\"b"),
            ("\\$v", "$v"),
            ("a\\ b", "a b"),
            ("a\\", "a"),
            ("'a'\"b\"c", "abc"),
        ];
        for (word, expected) in cases {
            assert_eq!(expand_word(word, '\\', &lookup).as_deref(), Ok(expected), "{word}");
        }
    }

    #[test]
    fn a_backtick_escapes_where_the_directive_says_so() {
        assert_eq!(expand_word(r"C:\$v`$v", '`', &lookup).unwrap(), r"C:\value$v");
    }

    #[test]
    fn words_split_at_white_space_of_variables_but_not_of_quotes() {
        assert_eq!(expand_words("$two \"$two\" a\\ b", '\\', &lookup).unwrap(), ["1", "2", "1 2", "a b"]);
    }

    #[test]
    fn quotes_are_nothing_special_in_a_text() {
        assert_eq!(expand_text("it's \"$v\" \\$v \\n", '\\', &lookup).unwrap(), "it's \"value\" $v n");
    }

    #[test]
    fn what_cannot_be_expanded_says_why() {
        let cases = [
            ("'a", "`'` is never closed by `'`"),
            ("\"a", "`\"` is never closed by `\"`"),
            ("${v", "`${` is never closed by `}`"),
            ("${v:-a", "`${` is never closed by `}`"),
            ("${v/a}", "`${` is never closed by `/`"),
            ("${}", "`${` must be followed by a name"),
            ("${v^}", "`^` after `${v` means nothing"),
            ("${v:x}", "`:x` after `${v` means nothing"),
            ("${missing:?say it}", "missing: say it"),
            ("${missing?}", "missing: it is not set"),
        ];
        for (word, expected) in cases {
            assert_eq!(expand_word(word, '\\', &lookup).unwrap_err().to_string(), expected, "{word}");
        }
    }

    #[test]
    fn substitutions_in_long_values_take_no_cubic_time() {
        let long = |_: &str| Some("a".repeat(100_000));
        for word in ["${v//a*b/c}", "${v//b/c}", "${v#*b}", "${v##*b*}", "${v%b*}", "${v%%b}"] {
            assert_eq!(expand_word(word, '\\', &long).unwrap().len(), 100_000, "{word}");
        }
        assert_eq!(expand_word("${v//?/bc}", '\\', &long), Err(ExpandError::TooLong));
        assert_eq!(expand_word("${v//a*a/b}", '\\', &long).as_deref(), Ok("b"));
    }

    #[test]
    fn bombs_are_refused() {
        let long = |_: &str| Some("x".repeat(1000));
        assert_eq!(expand_word(&"$v".repeat(200), '\\', &long), Err(ExpandError::TooLong));
        assert_eq!(expand_word(&"${a:-".repeat(10_000), '\\', &lookup), Err(ExpandError::TooDeep));
    }
}
