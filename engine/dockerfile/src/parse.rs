//! From logical lines to instructions.

mod arguments;
mod copies;
mod flags;
mod mounts;

use arguments::{command_line, json_strings, pairs, text};
use flags::Flags;

use crate::file::{
    Argument, Command, CommandLine, Dockerfile, Healthcheck, Instruction, Run, RunCommand, Stage, Warning,
};
use crate::lines::{self, Line};
use crate::{DockerfileError, Heredoc, Problem, words};

/// All instructions, for suggestions.
const INSTRUCTIONS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// Reads a Dockerfile.
///
/// # Errors
/// The first thing that is malformed, or that homeostat does not build, with its line.
pub fn parse(text: &str) -> Result<Dockerfile, DockerfileError> {
    let (directives, lines, warnings) = lines::read(text)?;
    let mut parser = Parser { escape: directives.escape, globals: Vec::new(), stages: Vec::new(), warnings };
    for line in lines {
        let number = line.number;
        parser.take(line).map_err(|problem| problem.at(number))?;
    }
    if parser.stages.is_empty() {
        return Err(Problem::Empty.at(1));
    }
    let Parser { globals, stages, warnings, .. } = parser;
    Ok(Dockerfile { directives, globals, stages, warnings })
}

/// Reads one instruction that an image has for builds on top of it, at the line of the `FROM` that brings it.
///
/// # Errors
/// As [`parse`].
pub fn parse_trigger(text: &str, line: usize) -> Result<Instruction, DockerfileError> {
    let (_, lines, _) = lines::read(text)?;
    let mut parser = Parser { escape: '\\', globals: Vec::new(), stages: Vec::new(), warnings: Vec::new() };
    let Some(read) = lines.into_iter().next() else { return Err(Problem::Empty.at(line)) };
    let (word, rest) = words::first(&read.text);
    let name = known(word).map_err(|problem| problem.at(line))?;
    let command = parser.command(name, rest, &read).map_err(|problem| problem.at(line))?;
    Ok(Instruction { line, text: read.text, command })
}

fn known(word: &str) -> Result<&'static str, Problem> {
    let found = INSTRUCTIONS.iter().find(|name| name.eq_ignore_ascii_case(word));
    found
        .copied()
        .ok_or_else(|| Problem::UnknownInstruction { word: shortened(word), similar: similar(word) })
}

struct Parser {
    escape: char,
    globals: Vec<(usize, Argument)>,
    stages: Vec<Stage>,
    warnings: Vec<Warning>,
}

impl Parser {
    fn take(&mut self, line: Line) -> Result<(), Problem> {
        let (word, rest) = words::first(&line.text);
        let name = known(word)?;
        if name == "FROM" {
            return self.begin_stage(&line, rest);
        }
        if self.stages.is_empty() {
            return self.take_global(&line, name, rest);
        }
        let command = self.command(name, rest, &line)?;
        let instruction = Instruction { line: line.number, text: line.text, command };
        self.stages.last_mut().expect("there is one: it was looked at above").instructions.push(instruction);
        Ok(())
    }

    fn take_global(&mut self, line: &Line, name: &'static str, rest: &str) -> Result<(), Problem> {
        if name != "ARG" {
            return Err(Problem::BeforeFrom { instruction: name });
        }
        let arguments = self.build_arguments(rest)?;
        self.globals.extend(arguments.into_iter().map(|argument| (line.number, argument)));
        Ok(())
    }

    fn begin_stage(&mut self, line: &Line, rest: &str) -> Result<(), Problem> {
        let (mut flags, rest) = Flags::read("FROM", rest, self.escape);
        let platform = flags.take("platform")?;
        flags.finish()?;
        let words: Vec<&str> = rest.split_whitespace().collect();
        let (base, name) = match words[..] {
            [base] => (base, None),
            [base, between, name] if between.eq_ignore_ascii_case("AS") => (base, Some(stage_name(name)?)),
            _ => {
                return Err(Problem::Arguments {
                    instruction: "FROM",
                    needs: "needs an image, and may give the stage a name",
                    usage: "FROM image, or FROM image AS name",
                });
            }
        };
        if let Some(name) = &name
            && let Some(other) = self.stages.iter().find(|stage| stage.name.as_ref() == Some(name))
        {
            return Err(Problem::StageTwice { name: name.clone(), first: other.line });
        }
        self.stages.push(Stage {
            line: line.number,
            text: line.text.clone(),
            base: base.to_owned(),
            platform,
            name,
            instructions: Vec::new(),
        });
        Ok(())
    }

    fn command(&mut self, name: &'static str, rest: &str, line: &Line) -> Result<Command, Problem> {
        Ok(match name {
            "RUN" => Command::Run(self.run(rest, line)?),
            "COPY" => Command::Copy(self.copy("COPY", rest, line)?),
            "ADD" => Command::Add(self.add(rest, line)?),
            "ENV" => Command::Env(pairs("ENV", rest, self.escape)?),
            "LABEL" => Command::Label(pairs("LABEL", rest, self.escape)?),
            "ARG" => Command::Arg(self.build_arguments(rest)?),
            "WORKDIR" => Command::Workdir(text("WORKDIR", rest, "WORKDIR /path")?),
            "USER" => Command::User(text("USER", rest, "USER name, or USER name:group")?),
            "STOPSIGNAL" => Command::StopSignal(text("STOPSIGNAL", rest, "STOPSIGNAL SIGTERM")?),
            "MAINTAINER" => Command::Maintainer(text("MAINTAINER", rest, "MAINTAINER name")?),
            "EXPOSE" => Command::Expose(text("EXPOSE", rest, "EXPOSE 80, or EXPOSE 53/udp")?),
            "CMD" => Command::Cmd(self.command_line("CMD", rest, line)?),
            "ENTRYPOINT" => Command::Entrypoint(self.command_line("ENTRYPOINT", rest, line)?),
            "VOLUME" => Command::Volume(volumes(rest)?),
            "SHELL" => Command::Shell(shell(rest)?),
            "HEALTHCHECK" => Command::Healthcheck(self.healthcheck(rest, line)?),
            _ => Command::OnBuild(Self::trigger(rest)?),
        })
    }

    /// The arguments of `CMD` and its like, which may be nothing.
    fn command_line(
        &mut self,
        instruction: &'static str,
        rest: &str,
        line: &Line,
    ) -> Result<CommandLine, Problem> {
        let command = command_line(instruction, rest)?;
        if matches!(&command, CommandLine::Shell(text) if text.starts_with('[')) {
            self.warnings.push(Warning {
                line: line.number,
                message: format!(
                    "{instruction} looks like a JSON array but is none, and goes to the shell as it is"
                ),
            });
        }
        Ok(command)
    }

    fn build_arguments(&self, rest: &str) -> Result<Vec<Argument>, Problem> {
        let words = words::split(rest, self.escape);
        if words.is_empty() {
            return Err(Problem::Arguments {
                instruction: "ARG",
                needs: "needs a name",
                usage: "ARG NAME, or ARG NAME=default",
            });
        }
        words.into_iter().map(|word| build_argument(&word)).collect()
    }

    fn run(&mut self, rest: &str, line: &Line) -> Result<Run, Problem> {
        let (mut flags, rest) = Flags::read("RUN", rest, self.escape);
        let network = match flags.take("network")?.as_deref() {
            None | Some("default" | "host") => true,
            Some("none") => false,
            Some(value) => {
                return Err(Problem::FlagValue {
                    instruction: "RUN",
                    flag: "network",
                    value: shortened(value),
                    usage: "--network=default or --network=none",
                });
            }
        };
        let mounts =
            flags.take_all("mount")?.iter().map(|text| mounts::mount(text)).collect::<Result<_, _>>()?;
        flags.refuse("security", "builds run with the capabilities of an ordinary container")?;
        flags.refuse("device", "use devices in the container, not in the build")?;
        flags.finish()?;
        if rest.is_empty() {
            return Err(Problem::Arguments {
                instruction: "RUN",
                needs: "needs a command",
                usage: "RUN command, or RUN [\"program\", \"argument\"]",
            });
        }
        let command = match self.command_line("RUN", rest, line)? {
            CommandLine::Exec(arguments) if arguments.is_empty() => {
                return Err(Problem::Arguments {
                    instruction: "RUN",
                    needs: "needs a command",
                    usage: "RUN [\"program\", \"argument\"]",
                });
            }
            CommandLine::Exec(arguments) => RunCommand::Exec(arguments),
            CommandLine::Shell(text) => with_heredocs(text, &line.heredocs),
        };
        Ok(Run { command, network, mounts })
    }

    /// The instruction of `ONBUILD`, which is read again when it is due.
    fn trigger(rest: &str) -> Result<String, Problem> {
        let (word, _) = words::first(rest);
        let name = word.to_ascii_uppercase();
        if matches!(name.as_str(), "" | "ONBUILD" | "FROM" | "MAINTAINER") {
            return Err(Problem::Arguments {
                instruction: "ONBUILD",
                needs: "needs another instruction than ONBUILD, FROM and MAINTAINER",
                usage: "ONBUILD RUN command",
            });
        }
        Ok(rest.to_owned())
    }

    fn healthcheck(&mut self, rest: &str, line: &Line) -> Result<Healthcheck, Problem> {
        let (mut flags, rest) = Flags::read("HEALTHCHECK", rest, self.escape);
        let interval = flags.take_duration("interval")?;
        let timeout = flags.take_duration("timeout")?;
        let start_period = flags.take_duration("start-period")?;
        let start_interval = flags.take_duration("start-interval")?;
        let retries = flags.take_number("retries")?;
        flags.finish()?;
        let usage = Problem::Arguments {
            instruction: "HEALTHCHECK",
            needs: "needs CMD with a command, or NONE",
            usage: "HEALTHCHECK CMD command, or HEALTHCHECK NONE",
        };
        match words::first(rest) {
            (word, "") if word.eq_ignore_ascii_case("NONE") => Ok(Healthcheck::None),
            (word, command) if word.eq_ignore_ascii_case("CMD") && !command.is_empty() => {
                let command = self.command_line("HEALTHCHECK", command, line)?;
                Ok(Healthcheck::Command { command, interval, timeout, start_period, start_interval, retries })
            }
            _ => Err(usage),
        }
    }
}

fn build_argument(word: &str) -> Result<Argument, Problem> {
    let (name, default) = match word.split_once('=') {
        Some((name, default)) => (name, Some(default.to_owned())),
        None => (word, None),
    };
    if name.is_empty() {
        return Err(Problem::NoPair { instruction: "ARG", word: shortened(word) });
    }
    Ok(Argument { name: name.to_owned(), default })
}

fn stage_name(name: &str) -> Result<String, Problem> {
    let lower = name.to_ascii_lowercase();
    let valid = lower.starts_with(|char: char| char.is_ascii_lowercase())
        && lower.chars().all(|char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.'));
    if valid { Ok(lower) } else { Err(Problem::StageName { name: shortened(name) }) }
}

/// A heredoc alone is a script; with other words it is up to the shell.
fn with_heredocs(text: String, heredocs: &[Heredoc]) -> RunCommand {
    match heredocs {
        [only] if Heredoc::begin(&text).is_some() && !text.contains(char::is_whitespace) => {
            let content = only.content.clone();
            if content.starts_with("#!") { RunCommand::Script(content) } else { RunCommand::Shell(content) }
        }
        [] => RunCommand::Shell(text),
        heredocs => {
            let mut whole = text;
            for heredoc in heredocs {
                whole.extend(["\n", &heredoc.content, &heredoc.name]);
            }
            RunCommand::Shell(whole)
        }
    }
}

fn volumes(rest: &str) -> Result<Vec<String>, Problem> {
    let paths = match json_strings("VOLUME", rest)? {
        Some(paths) => paths,
        None => rest.split_whitespace().map(str::to_owned).collect(),
    };
    if paths.is_empty() || paths.iter().any(|path| path.trim().is_empty()) {
        return Err(Problem::Arguments {
            instruction: "VOLUME",
            needs: "needs a path",
            usage: "VOLUME /path",
        });
    }
    Ok(paths)
}

fn shell(rest: &str) -> Result<Vec<String>, Problem> {
    json_strings("SHELL", rest)?.filter(|words| !words.is_empty()).ok_or(Problem::Arguments {
        instruction: "SHELL",
        needs: "needs a JSON array",
        usage: "SHELL [\"/bin/sh\", \"-c\"]",
    })
}

fn similar(word: &str) -> Option<&'static str> {
    if word.len() > 20 {
        return None;
    }
    let word = word.to_ascii_uppercase();
    let distance = |name: &str| strsim::damerau_levenshtein(name, &word);
    INSTRUCTIONS
        .into_iter()
        .min_by_key(|name| distance(name))
        .filter(|name| distance(name) <= 1 + name.len() / 4)
}

/// Enough of a word for a message.
fn shortened(word: &str) -> String {
    match word.char_indices().nth(60) {
        Some((end, _)) => format!("{}...", &word[..end]),
        None => word.to_owned(),
    }
}

#[cfg(test)]
mod tests;
