use homeostat_reconciler::ErrorKind;

use crate::support::Host;

#[test]
fn stages_build_on_each_other_and_unused_ones_are_skipped() {
    let mut host = Host::with_base();
    let file = "ARG BASE=base\nFROM $BASE AS tools\nRUN mkdir -p /out/d && echo a > /out/d/a && echo b > /out/b\n\
        FROM base AS unused\nRUN exit 1\n\
        FROM tools AS more\nRUN echo c > /out/c\n\
        FROM scratch AS last\nCOPY --from=more /out /o\nCOPY --from=0 /out/b /o2/\nCOPY --from=base /etc/passwd /p\n";
    host.build(file).unwrap();
    assert_eq!(host.read("o/d/a"), "a\n");
    assert_eq!(host.read("o/c"), "c\n");
    assert_eq!(host.read("o2/b"), "b\n");
    assert!(host.read("p").starts_with("root:"));
    assert!(!host.log.take().iter().any(|line| line.contains("exit 1")));
    host.options.target = Some("more".into());
    host.build(file).unwrap();
    assert_eq!(host.read("out/c"), "c\n");
    host.options.target = Some("moer".into());
    let error = host.build(file).unwrap_err();
    assert_eq!(error.to_string(), "there is no stage `moer`");
    assert_eq!(error.hint().unwrap(), "there are: tools, unused, more, last");
}

#[test]
fn a_missing_base_is_said_with_a_hint_and_may_come_later() {
    let host = Host::new();
    let (text, error) = host.failure("# comment\nFROM missing:1\n");
    assert_eq!(text, "line 2: FROM missing:1: there is no image `missing:1` on this host");
    assert_eq!(error.kind(), ErrorKind::Transient);
    assert!(error.hint().unwrap().contains("FROM scratch"));
    let (text, _) = host.failure(
        "FROM scratch\nCOPY --from=later /a /b\nFROM scratch AS later\n"
            .replace("FROM scratch AS later\n", "")
            .as_str(),
    );
    assert!(text.contains("no image `later`"), "{text}");
}

#[test]
fn other_platforms_are_refused() {
    let host = Host::with_base();
    let (text, _) = host.failure("FROM --platform=linux/s390x base\n");
    assert!(text.contains("the platform is linux/s390x"), "{text}");
    host.build("FROM --platform=$TARGETPLATFORM base\n").unwrap();
}

#[test]
fn what_is_wrong_in_the_files_of_the_context_is_said() {
    let mut host = Host::new();
    let (text, error) = host.failure("FROM scratch\nCOPPY a b\n");
    assert_eq!(text, "cannot build `Dockerfile`: line 2: unknown instruction `COPPY`");
    assert_eq!((error.hint().as_deref(), error.kind()), (Some("did you mean COPY?"), ErrorKind::User));
    host.write(".dockerignore", "[");
    let (text, _) = host.failure("FROM scratch\n");
    assert!(text.starts_with("cannot use `.dockerignore`: line 1"), "{text}");
    host.options.dockerfile = "missing/Dockerfile".into();
    let (text, _) = host.failure("FROM scratch\n");
    assert!(text.starts_with("cannot read `missing/Dockerfile` of the build context"), "{text}");
}
