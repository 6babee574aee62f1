//! Splitting a line into words, as Compose does with `command` and `entrypoint`: quotes and backslashes as in a shell,
//! and nothing else of a shell.

/// The words of a line; `None` when a quote is not closed.
pub(crate) fn split(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        match c {
            c if c.is_whitespace() => words.extend(word.take()),
            '\\' => word.get_or_insert_default().push(characters.next()?),
            '\'' => single(&mut characters, word.get_or_insert_default())?,
            '"' => double(&mut characters, word.get_or_insert_default())?,
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Some(words)
}

fn single(characters: &mut std::str::Chars<'_>, word: &mut String) -> Option<()> {
    loop {
        match characters.next()? {
            '\'' => return Some(()),
            c => word.push(c),
        }
    }
}

/// Within double quotes, a backslash stands for itself except before what has a meaning there.
fn double(characters: &mut std::str::Chars<'_>, word: &mut String) -> Option<()> {
    loop {
        match characters.next()? {
            '"' => return Some(()),
            '\\' => match characters.next()? {
                c @ ('"' | '\\' | '$' | '`') => word.push(c),
                '\n' => {}
                c => word.extend(['\\', c]),
            },
            c => word.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_backslashes_are_those_of_a_shell() {
        for (line, words) in [
            ("redis-server --save 60 1", vec!["redis-server", "--save", "60", "1"]),
            (r#"sh -c "echo 'a b' > /x""#, vec!["sh", "-c", "echo 'a b' > /x"]),
            (r#"a\ b '' "" 'c'"d""#, vec!["a b", "", "", "cd"]),
            (r#""\"q\" \n""#, vec![r#""q" \n"#]),
            ("  # no comment\n", vec!["#", "no", "comment"]),
            ("", vec![]),
        ] {
            assert_eq!(split(line).unwrap(), words, "{line}");
        }
    }

    #[test]
    fn an_open_quote_is_no_line() {
        for line in ["'a", "\"a", "a\\", "\"a\\"] {
            assert_eq!(split(line), None, "{line}");
        }
    }
}
