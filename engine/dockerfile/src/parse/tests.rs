use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::Source;

/// The instructions of the only stage of `FROM x` and these lines.
fn commands(lines: &str) -> Vec<Command> {
    let file = parse(&format!("FROM x\n{lines}")).unwrap();
    file.stages[0].instructions.iter().map(|instruction| instruction.command.clone()).collect()
}

fn command(line: &str) -> Command {
    commands(line).pop().unwrap()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn stages_have_names_bases_and_platforms() {
    let file = parse(
        "ARG V=1\nFROM --platform=$BUILDPLATFORM base:$V as Build\nRUN a\n\nfrom scratch\nCOPY --from=build a b\n",
    )
    .unwrap();
    assert_eq!(file.globals, [(1, Argument { name: "V".into(), default: Some("1".into()) })]);
    let [first, second] = &file.stages[..] else { panic!("two stages") };
    assert_eq!((first.base.as_str(), first.name.as_deref(), first.line), ("base:$V", Some("build"), 2));
    assert_eq!(first.platform.as_deref(), Some("$BUILDPLATFORM"));
    assert_eq!((second.base.as_str(), second.name.as_deref(), second.line), ("scratch", None, 5));
    assert_eq!(
        (second.instructions[0].line, second.instructions[0].text.as_str()),
        (6, "COPY --from=build a b")
    );
    assert_eq!((file.stage("BUILD"), file.stage("1"), file.stage("2")), (Some(0), Some(1), None));
}

#[test]
fn commands_have_a_shell_form_and_a_json_form() {
    let shell = |text: &str| CommandLine::Shell(text.into());
    let exec = |words: &[&str]| CommandLine::Exec(words.iter().map(|word| (*word).to_owned()).collect());
    assert_eq!(command("CMD echo  \"a\""), Command::Cmd(shell("echo  \"a\"")));
    assert_eq!(command("CMD [ \"a\", \"b c\" ]"), Command::Cmd(exec(&["a", "b c"])));
    assert_eq!(command("CMD"), Command::Cmd(shell("")));
    assert_eq!(command("CMD []"), Command::Cmd(exec(&[])));
    assert_eq!(command("ENTRYPOINT ['a']"), Command::Entrypoint(shell("['a']")));
    assert_eq!(parse("FROM x\nENTRYPOINT ['a']").unwrap().warnings.len(), 1);
    assert_eq!(
        command("SHELL [\"/bin/bash\", \"-c\"]"),
        Command::Shell(vec!["/bin/bash".into(), "-c".into()])
    );
}

#[test]
fn env_and_label_have_an_old_form_and_a_new_one() {
    assert_eq!(command("ENV a b c"), Command::Env(pairs(&[("a", "b c")])));
    assert_eq!(command("ENV a=b c='d e' f="), Command::Env(pairs(&[("a", "b"), ("c", "'d e'"), ("f", "")])));
    assert_eq!(command("LABEL a.b=\"c\" \\\n d=e"), Command::Label(pairs(&[("a.b", "\"c\""), ("d", "e")])));
}

#[test]
fn a_run_may_have_heredocs() {
    let run = |lines: &str| match command(lines) {
        Command::Run(run) => run.command,
        other => panic!("{other:?}"),
    };
    assert_eq!(run("RUN <<E\na\nb\nE"), RunCommand::Shell("a\nb\n".into()));
    assert_eq!(run("RUN <<E\n#!/bin/x\na\nE"), RunCommand::Script("#!/bin/x\na\n".into()));
    assert_eq!(run("RUN cat <<E > f\na\nE"), RunCommand::Shell("cat <<E > f\na\nE".into()));
    assert_eq!(run("RUN [\"a\"]"), RunCommand::Exec(vec!["a".into()]));
    assert!(matches!(command("RUN --network=none a"), Command::Run(Run { network: false, .. })));
}

#[test]
fn copy_takes_flags_json_and_heredocs() {
    let Command::Copy(copy) = command("COPY --from=1 --chown=a:b --chmod=755 --link a b/ c/") else {
        panic!("a copy")
    };
    assert_eq!(copy.sources, [Source::Path("a".into()), Source::Path("b/".into())]);
    assert_eq!(copy.destination, "c/");
    assert_eq!(
        (copy.from.as_deref(), copy.chown.as_deref(), copy.chmod.as_deref()),
        (Some("1"), Some("a:b"), Some("755"))
    );
    let Command::Copy(copy) = command("COPY [\"a b\", \"c\"]") else { panic!("a copy") };
    assert_eq!(copy.sources, [Source::Path("a b".into())]);
    let Command::Copy(copy) = command("COPY <<a.txt x /d/\nhello\na.txt") else { panic!("a copy") };
    let [Source::Inline(inline), Source::Path(path)] = &copy.sources[..] else { panic!("two sources") };
    assert_eq!((inline.name.as_str(), inline.content.as_str(), path.as_str()), ("a.txt", "hello\n", "x"));
}

#[test]
fn health_checks_have_times() {
    let Command::Healthcheck(Healthcheck::Command { interval, retries, timeout, .. }) =
        command("HEALTHCHECK --interval=1m30s --retries=3 CMD true")
    else {
        panic!("a health check")
    };
    assert_eq!((interval, retries, timeout), (Some(Duration::from_secs(90)), Some(3), None));
    assert_eq!(command("HEALTHCHECK NONE"), Command::Healthcheck(Healthcheck::None));
}

#[test]
fn what_is_wrong_names_its_line_and_says_what_to_do() {
    let cases = [
        ("", "line 1: there is no instruction", "begin with FROM"),
        ("RUN a", "line 1: RUN stands before the first FROM", "only ARG may stand before the first FROM"),
        ("FROM x\n\nCPOY a b", "line 3: unknown instruction `CPOY`", "did you mean COPY?"),
        ("FROM x\nWORDIR a", "line 2: unknown instruction `WORDIR`", "did you mean WORKDIR?"),
        ("FROM x\napt-get", "line 2: unknown instruction `apt-get`", "a line that goes on must end in"),
        ("FROM", "line 1: FROM needs an image", "write FROM image"),
        ("FROM a b c d", "line 1: FROM needs an image", "write FROM image"),
        ("FROM a as 1b", "line 1: `1b` cannot be the name", "begin with a letter"),
        ("FROM a as b\nFROM c as B", "line 2: there is a stage `b` already, at line 1", "another name"),
        ("FROM x\nADD --checksum=x a b", "line 2: ADD with --checksum needs one source", "https://"),
        (
            "FROM x\nADD --checksum=x https://a/b https://a/c d",
            "line 2: ADD with --checksum needs one source",
            "",
        ),
        (
            "FROM x\nADD --keep-git-dir=true git@h:a/b.git c",
            "line 2: ADD --keep-git-dir is not supported",
            "clone the repository with RUN",
        ),
        ("FROM x\nONBUILD FROM a", "line 2: ONBUILD needs another instruction", "ONBUILD RUN"),
        ("FROM x\nRUN --mount=type=x,target=/a b", "line 2: RUN --mount cannot be `x`", "type=bind"),
        ("FROM x\nRUN --mount=type=tmpfs a", "line 2: RUN --mount cannot be `type=tmpfs`", "target=/path"),
        ("FROM x\nRUN --mount=target=/a,id=b c", "line 2: RUN --mount cannot be", "only keys"),
        ("FROM x\nCOPY --link=x a b", "line 2: COPY --link cannot be `x`", "true or false"),
        ("FROM x\nCOPY --checksum=x a b", "line 2: COPY has no flag `--checksum`", ""),
        ("FROM x\nRUN --network=x a", "line 2: RUN --network cannot be `x`", "--network=none"),
        ("FROM x\nRUN", "line 2: RUN needs a command", "write RUN command"),
        ("FROM x\nCOPY a", "line 2: COPY needs at least one source", "write COPY source destination"),
        ("FROM x\nCOPY --frm=a b c", "line 2: COPY has no flag `--frm`", ""),
        ("FROM x\nCOPY [a b c/", "line 2: the pattern `[a` has a `[` without `]`", ""),
        ("FROM x\nCOPY --from= a b", "line 2: COPY --from cannot be ``", "--flag=value"),
        ("FROM x\nENV a", "line 2: ENV has `a` where `name=value` is needed", "quotes"),
        ("FROM x\nENV a=b c", "line 2: ENV has `c` where `name=value` is needed", "quotes"),
        ("FROM x\nENV =b", "line 2: ENV has `=b` where `name=value` is needed", "quotes"),
        ("FROM x\nARG", "line 2: ARG needs a name", "ARG NAME"),
        ("FROM x\nCMD [1]", "line 2: the JSON array of CMD may hold strings only", "quotes"),
        ("FROM x\nSHELL sh", "line 2: SHELL needs a JSON array", "SHELL ["),
        ("FROM x\nVOLUME", "line 2: VOLUME needs a path", "VOLUME /path"),
        ("FROM x\nUSER", "line 2: USER needs an argument", "USER name"),
        ("FROM x\nHEALTHCHECK foo", "line 2: HEALTHCHECK needs CMD", "HEALTHCHECK NONE"),
        ("FROM x\nHEALTHCHECK --interval=5 CMD a", "line 2: HEALTHCHECK --interval cannot be `5`", "30s"),
    ];
    for (file, message, hint) in cases {
        let error = parse(file).unwrap_err();
        assert!(error.to_string().starts_with(message), "{file:?}: {error}");
        assert!(error.hint().unwrap_or_default().contains(hint), "{file:?}: {:?}", error.hint());
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC*") {
        let _ = parse(&text);
    }

    #[test]
    fn no_text_of_telling_pieces_makes_the_parser_panic(
        pieces in proptest::collection::vec(
            proptest::sample::select(vec![
                "FROM ", "RUN ", "COPY ", "ENV ", "ARG ", "HEALTHCHECK ", "--from=", "--", "<<E", "<<-'E'", "E", "\n",
                "\\\n", "\\", "`", "# escape=`\n", "[\"", "\"]", "'", "\"", "=", "$a", "${", "}", ":-", "##", " ", "é",
                "\u{feff}", "1m", "\t", "\r\n", "CMD ",
            ]),
            0..40,
        ),
    ) {
        let text = pieces.concat();
        let _ = parse(&text);
        let _ = parse(&format!("FROM x\n{text}"));
        let _ = crate::expand_word(&text, '\\', &|_| Some("*x".to_owned()));
        let _ = crate::Ignore::parse(&text).map(|ignore| ignore.is_ignored("a/b"));
    }
}
