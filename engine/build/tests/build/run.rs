use homeostat_reconciler::ErrorKind;

use crate::support::Host;

#[test]
fn a_command_changes_the_image_and_its_output_is_reported() {
    let host = Host::with_base();
    let outcome =
        host.build("FROM base\nRUN echo hello && echo x > /made\nRUN rm /made && echo y > /other\n").unwrap();
    assert_eq!((outcome.steps, outcome.cached), (3, 1));
    assert_eq!(host.read("other"), "y\n");
    assert_eq!(
        host.log.take(),
        [
            "[1/3] FROM base",
            "1: cached",
            "[2/3] RUN echo hello && echo x > /made",
            "2: missed: not in the cache",
            "2: Stdout: hello",
            "[3/3] RUN rm /made && echo y > /other",
            "3: missed: not in the cache",
        ]
    );
    assert_eq!(host.image().layers.len(), 3);
}

#[test]
fn mount_points_and_steps_that_change_nothing_make_no_layer() {
    let host = Host::with_base();
    host.build("FROM base\nRUN true\n").unwrap();
    let image = host.image();
    assert_eq!(image.layers.len(), 1);
    let history = image.config.history().clone().unwrap();
    assert_eq!(history.last().unwrap().empty_layer(), Some(true));
    host.build("FROM base\nRUN echo a > /etc/a\n").unwrap();
    assert_eq!(host.top_layer(), ["etc", "etc/a"]);
}

#[test]
fn what_a_command_writes_to_a_mount_point_stays() {
    let host = Host::with_base();
    host.build("FROM base\nRUN echo own > /etc/hosts\n").unwrap();
    assert_eq!(host.read("etc/hosts"), "own\n");
    assert_eq!(host.top_layer(), ["etc", "etc/hosts"]);
}

#[test]
fn a_command_sees_environment_arguments_user_and_directory() {
    let mut host = Host::with_base();
    host.options.args.insert("GIVEN".into(), "g".into());
    host.options.args.insert("HTTP_PROXY".into(), "p".into());
    host.build(
        "FROM base\nARG GIVEN=d\nARG DEFAULT=d\nARG FROM_BASE=later\nENV A=\"a b\"\nUSER web\nWORKDIR /srv/x\nRUN env; id; pwd\n",
    )
    .unwrap();
    let log = host.log.take();
    for line in ["GIVEN=g", "DEFAULT=d", "FROM_BASE=later", "A=a b", "HTTP_PROXY=p", "HOME=/srv", "/srv/x"] {
        assert!(log.contains(&format!("8: Stdout: {line}")), "{line}: {log:?}");
    }
    assert!(log.iter().any(|line| line.starts_with("8: Stdout: uid=33") && line.contains("40")), "{log:?}");
    let config = format!("{:?}", host.image().config);
    assert!(!config.contains("HTTP_PROXY") && !config.contains("GIVEN=g"), "{config}");
}

#[test]
fn shell_exec_and_heredoc_forms_run() {
    let host = Host::with_base();
    host.build(
        r#"FROM base
RUN ["/bin/sh", "-c", "echo exec > /exec"]
SHELL ["/bin/sh", "-e", "-c"]
RUN true; echo shell > /shell
RUN <<END
echo one > /heredoc
echo two >> /heredoc
END
RUN cat <<END > /text
$FROM_BASE
END
RUN <<END
#!/bin/busybox sh
echo $0 > /script
END
"#,
    )
    .unwrap();
    assert_eq!(host.read("exec"), "exec\n");
    assert_eq!(host.read("shell"), "shell\n");
    assert_eq!(host.read("heredoc"), "one\ntwo\n");
    assert_eq!(host.read("text"), "1\n");
    assert_eq!(host.read("script"), "/.homeostat-run\n");
    assert_eq!(host.path(".homeostat-run"), None);
}

#[test]
fn a_failing_command_names_line_code_and_last_output_and_leaves_nothing() {
    let host = Host::with_base();
    let (text, error) =
        host.failure("FROM base\nRUN echo kept > /kept\n\nRUN seq 1 30; \\\n  echo bad; exit 7\n");
    assert!(
        text.starts_with("line 4: RUN seq 1 30;   echo bad; exit 7: the command exited with 7"),
        "{text}"
    );
    assert!(text.ends_with("29\n30\nbad") && !text.contains("\n11\n"), "{text}");
    assert_eq!(error.kind(), ErrorKind::User);
    let outcome = host.build("FROM base\nRUN echo kept > /kept\n").unwrap();
    assert_eq!(outcome.cached, 2, "the step before the failing one is known");
}

#[test]
fn a_missing_user_or_program_is_said() {
    let host = Host::with_base();
    let (text, error) = host.failure("FROM base\nUSER nobody\nRUN true\n");
    assert_eq!(text, "line 3: RUN true: the image has no user `nobody`");
    assert!(error.hint().unwrap().contains("number"));
    let (text, _) = host.failure("FROM base\nRUN [\"missing\"]\n");
    assert!(text.contains("exited with 127"), "{text}");
}
