//! Words of a line, as Docker splits them: quotes hold words together and stay.

/// The words of `text` with their quotes and escapes. A quote without an end goes to the end of the text.
pub(crate) fn split(text: &str, escape: char) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match quote {
            None if char.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            None if char == '\'' || char == '"' => quote = Some(char),
            Some(open) if char == open => quote = None,
            _ => {}
        }
        if char == escape && quote != Some('\'') {
            // One at the very end continues nothing: it goes.
            if let Some(next) = chars.next() {
                word.extend([char, next]);
            }
        } else {
            word.push(char);
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// `text` at its first white space: the word before it, and what follows without white space before it.
pub(crate) fn first(text: &str) -> (&str, &str) {
    match text.find(char::is_whitespace) {
        Some(end) => (&text[..end], text[end..].trim_start()),
        None => (text, ""),
    }
}

/// A flag of an instruction: `--name` or `--name=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flag {
    pub(crate) name: String,
    pub(crate) value: Option<String>,
}

/// The flags that `text` begins with, and the rest. A lone `--` ends them.
pub(crate) fn flags(text: &str, escape: char) -> (Vec<Flag>, &str) {
    let mut flags = Vec::new();
    let mut rest = text.trim_start();
    while let Some(after) = rest.strip_prefix("--") {
        let (word, length) = flag_word(after, escape);
        rest = after[length..].trim_start();
        if word.is_empty() {
            break;
        }
        flags.push(match word.split_once('=') {
            Some((name, value)) => Flag { name: name.to_owned(), value: Some(value.to_owned()) },
            None => Flag { name: word, value: None },
        });
    }
    (flags, rest)
}

/// The first word of `text` without its quotes, and its length in bytes with them.
fn flag_word(text: &str, escape: char) -> (String, usize) {
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match quote {
            None if char.is_whitespace() => return (word, at),
            None if char == '\'' || char == '"' => quote = Some(char),
            Some(open) if char == open => quote = None,
            _ if char == escape && quote != Some('\'') => word.extend(chars.next().map(|(_, next)| next)),
            _ => word.push(char),
        }
    }
    (word, text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_escapes_hold_words_together_and_stay() {
        let cases: [(&str, &[&str]); 7] = [
            ("", &[]),
            ("a b\tc", &["a", "b", "c"]),
            ("a=\"b c\" d", &["a=\"b c\"", "d"]),
            ("a='b \" c' d", &["a='b \" c'", "d"]),
            (r"a=b\ c d", &[r"a=b\ c", "d"]),
            (r#"a="b\" c" d"#, &[r#"a="b\" c""#, "d"]),
            ("a \"b c", &["a", "\"b c"]),
        ];
        for (text, words) in cases {
            assert_eq!(split(text, '\\'), words, "{text:?}");
        }
    }

    #[test]
    fn flags_end_at_the_first_word_that_is_none() {
        let (found, rest) = flags("--chown=\"a b\" --link x --from=y", '\\');
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].value.as_deref(), Some("a b"));
        assert_eq!(found[1], Flag { name: "link".into(), value: None });
        assert_eq!(rest, "x --from=y");
        assert_eq!(flags("-- --x", '\\'), (vec![], "--x"));
    }
}
