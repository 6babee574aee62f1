//! From physical lines to logical ones: directives, comments, continuation, heredocs.

use crate::{Directives, DockerfileError, Heredoc, Problem, Warning, words};

/// One instruction's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// Where it begins, from 1.
    pub(crate) number: usize,
    /// Continued lines joined.
    pub(crate) text: String,
    /// The texts that its words `<<NAME` announce, in order.
    pub(crate) heredocs: Vec<Heredoc>,
}

/// The instructions that heredocs can belong to.
const WITH_HEREDOCS: [&str; 3] = ["RUN", "COPY", "ADD"];

type Numbered<'a> = std::iter::Peekable<std::iter::Enumerate<std::str::Lines<'a>>>;

/// The logical lines of a file.
pub(crate) fn read(text: &str) -> Result<(Directives, Vec<Line>, Vec<Warning>), DockerfileError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let directives = read_directives(text)?;
    let mut lines = Vec::new();
    let mut warnings = Vec::new();
    let mut input = text.lines().enumerate().peekable();
    while let Some((index, first)) = input.next() {
        let first = first.trim_start();
        if first.is_empty() || first.starts_with('#') {
            continue;
        }
        let number = index + 1;
        let text = join(first, &mut input, directives.escape, &mut warnings);
        let heredocs = read_heredocs(&text, number, &mut input, directives.escape)?;
        lines.push(Line { number, text, heredocs });
    }
    Ok((directives, lines, warnings))
}

/// `first` with the lines that continue it. Comments between them go, as do empty lines.
fn join(first: &str, input: &mut Numbered<'_>, escape: char, warnings: &mut Vec<Warning>) -> String {
    let (part, mut goes_on) = continued(first, escape);
    let mut text = part.to_owned();
    while goes_on {
        let Some((index, line)) = input.next() else { break };
        if line.trim_start().starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            warnings.push(Warning {
                line: index + 1,
                message: "an empty line in a continued instruction; newer versions of Docker refuse it"
                    .to_owned(),
            });
            continue;
        }
        let part;
        (part, goes_on) = continued(line, escape);
        text.push_str(part);
    }
    text.trim_end().to_owned()
}

/// The line without its continuation mark, and whether it has one: a single escape character at its end, maybe with
/// white space behind.
fn continued(line: &str, escape: char) -> (&str, bool) {
    match line.trim_end_matches([' ', '\t']).strip_suffix(escape) {
        Some(part) if !part.ends_with(escape) => (part, true),
        _ => (line, false),
    }
}

fn read_heredocs(
    text: &str,
    number: usize,
    input: &mut Numbered<'_>,
    escape: char,
) -> Result<Vec<Heredoc>, DockerfileError> {
    let (instruction, rest) = words::first(text);
    if !rest.contains("<<") || !WITH_HEREDOCS.iter().any(|name| name.eq_ignore_ascii_case(instruction)) {
        return Ok(Vec::new());
    }
    let mut heredocs: Vec<Heredoc> =
        words::split(rest, escape).iter().filter_map(|word| Heredoc::begin(word)).collect();
    for heredoc in &mut heredocs {
        loop {
            let Some((_, line)) = input.next() else {
                return Err(Problem::HeredocWithoutEnd { name: heredoc.name.clone() }.at(number));
            };
            if heredoc.take(line) {
                break;
            }
        }
    }
    Ok(heredocs)
}

/// Directives stand at the top; the first line that is none ends them.
fn read_directives(text: &str) -> Result<Directives, DockerfileError> {
    let mut directives = Directives::default();
    let mut seen: Vec<String> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let Some((name, value)) = directive(line) else { break };
        match &*name {
            "escape" => {
                directives.escape = match value {
                    "\\" => '\\',
                    "`" => '`',
                    value => return Err(Problem::Escape { value: value.to_owned() }.at(index + 1)),
                }
            }
            "syntax" => directives.syntax = Some(value.to_owned()),
            "check" => directives.check = Some(value.to_owned()),
            _ => break,
        }
        if seen.contains(&name) {
            return Err(Problem::DirectiveTwice { name }.at(index + 1));
        }
        seen.push(name);
    }
    Ok(directives)
}

fn directive(line: &str) -> Option<(String, &str)> {
    let (name, value) = line.trim_start().strip_prefix('#')?.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let is_name = name.starts_with(|char: char| char.is_ascii_alphabetic())
        && name.chars().all(|char| char.is_ascii_alphanumeric());
    (is_name && !value.is_empty()).then(|| (name.to_ascii_lowercase(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(file: &str) -> Vec<(usize, String)> {
        read(file).unwrap().1.into_iter().map(|line| (line.number, line.text)).collect()
    }

    #[test]
    fn continued_lines_are_joined_and_comments_between_them_go() {
        let file = "FROM a\nRUN one \\\n  # comment\n\n  two \\  \n  three\n# end\nCMD x\\\\\n";
        assert_eq!(
            texts(file),
            [(1, "FROM a".into()), (2, "RUN one   two   three".into()), (8, "CMD x\\\\".into())]
        );
        assert_eq!(read(file).unwrap().2[0].line, 4);
    }

    #[test]
    fn a_continuation_at_the_end_of_the_file_ends_with_it() {
        assert_eq!(texts("RUN a \\"), [(1, "RUN a".into())]);
        assert_eq!(texts("RUN a \\\n# b"), [(1, "RUN a".into())]);
    }

    #[test]
    fn the_escape_directive_changes_what_continues_a_line() {
        let file = "\u{feff}# escape=`\nRUN a`\n b\\\nRUN c";
        assert_eq!(texts(file), [(2, "RUN a b\\".into()), (4, "RUN c".into())]);
    }

    #[test]
    fn directives_end_at_the_first_line_that_is_none() {
        assert_eq!(read("# a comment\n# escape=`\n").unwrap().0.escape, '\\');
        assert_eq!(read("# other=x\n# escape=`\n").unwrap().0.escape, '\\');
        assert_eq!(read("#syntax=docker/dockerfile:1\n#escape = `\n").unwrap().0.escape, '`');
        let twice = read("# escape=`\n# ESCAPE=`\n").unwrap_err();
        assert_eq!(
            (twice.line, twice.to_string().as_str()),
            (2, "line 2: the directive `escape` stands there twice")
        );
        assert!(read("# escape=x").is_err());
    }

    #[test]
    fn heredocs_go_to_the_line_that_holds_their_name() {
        let file = "RUN <<EOF cat <<-'B' x\n# kept\n  a\\\nEOF\n\tb\n\tB\nCMD <<no\n";
        let lines = read(file).unwrap().1;
        assert_eq!(lines.len(), 2);
        let [first, second] = &lines[0].heredocs[..] else { panic!("two heredocs") };
        assert_eq!((first.content.as_str(), first.expand), ("# kept\n  a\\\n", true));
        assert_eq!((second.content.as_str(), second.expand), ("b\n", false));
        assert!(lines[1].heredocs.is_empty());
    }

    #[test]
    fn a_heredoc_without_end_names_its_line() {
        let error = read("FROM a\nCOPY <<EOF /x\nb\n").unwrap_err();
        assert_eq!(error.to_string(), "line 2: the text after `<<EOF` has no end");
    }

    #[test]
    fn here_strings_and_shifts_are_no_heredocs() {
        assert!(read("RUN cat <<<a; echo $((1<<2))").unwrap().1[0].heredocs.is_empty());
    }
}
