//! Rules of `compile` that a golden file cannot show.

mod support;

use std::time::{Duration, Instant};

use homeostat_spec::{
    Compiled, DiskRule, HostPrune, LabelMatch, MountSource, Node, PruneFilter, PruneKind, PrunePolicy,
    PruneRule, RestartPolicy, Severity, compile, is_spec_path, render,
};
use support::{SampleTree, file};

const WEB: &str = "[container.web]\nimage = \"nginx:1.27\"\n";

fn compile_one(content: impl Into<Vec<u8>>) -> Compiled {
    compile(&[file("web.toml", content)], &SampleTree, &Node::default())
}

fn only_message(compiled: &Compiled) -> &str {
    assert_eq!(compiled.diagnostics.len(), 1, "{}", render(&compiled.diagnostics, false));
    assert!(compiled.apps.is_empty());
    assert_eq!(compiled.broken.keys().map(homeostat_spec::Name::as_str).collect::<Vec<_>>(), ["web"]);
    &compiled.diagnostics[0].message
}

fn numbered(count: u32, text: impl Fn(u32) -> String) -> String {
    (0..count).map(text).collect()
}

#[test]
fn a_file_of_ten_megabytes_is_refused_without_parsing() {
    let compiled = compile_one(vec![b'['; 10 * 1024 * 1024]);
    assert_eq!(only_message(&compiled), "the file has 10485760 bytes");
}

#[test]
fn a_byte_that_is_not_utf8_is_shown_with_its_line() {
    let mut content = WEB.as_bytes().to_vec();
    content.extend(b"user = \"caf\xe9\"\n");
    let compiled = compile_one(content);
    assert_eq!(only_message(&compiled), "the file is not UTF-8: byte 0xe9 at offset 48");
    let position = compiled.diagnostics[0].position.as_ref().unwrap();
    assert_eq!((position.line, position.column), (3, 12));
}

#[test]
fn hostile_shapes_are_answered_in_bounded_time() {
    let many = |text: &str| text.repeat(1024 * 1024 / text.len() - 100);
    let ports = format!("{WEB}ports = [{}]\n", "\"1:1\",".repeat(150_000));
    let shapes = [
        many("a."),
        format!("a = {}", many("[")),
        format!("a = {}", many("{a=")),
        format!("{} = 1", many("\"a\".")),
        format!("a = {}", many("{a.a.a.a.a.a.a=")),
        format!("a = {}1{}", "{a.a.a.a.a.a.a=".repeat(79), "}".repeat(79)),
        many("[a]\n"),
        many("[[a]]\n"),
        many("= \n"),
        many("a\n"),
        many("\""),
        format!("{WEB}env = {{ {} }}\n", numbered(60_000, |n| format!("A{n}=${{B}},"))),
        ports,
        numbered(20_000, |n| format!("[image.i{n}]\nreference=\"a:1\"\n")),
        numbered(12_000, |n| format!("[image.i{n}]\nreference=\"a:1\"\n[container.c{n}]\nimage=\"i{n}\"\n")),
        numbered(20_000, |n| format!("[container.c{n}]\nimage=\"x{n}\"\n")),
        numbered(10_000, |n| format!("[container.c{n}]\nimage=\"x:1\"\ndepends_on.c{}=\"started\"\n", n + 1)),
        numbered(50_000, |n| format!("x{n} = 1\n")),
        format!("{WEB}x = \"{}\"\n", "x".repeat(1_000_000)),
        format!("{WEB}user = \"{}\"\n", "x:".repeat(500_000)),
        format!("{WEB}hostname = \"{}\"\n", "${A}".repeat(200_000)),
    ];
    for shape in shapes {
        let begin = Instant::now();
        let compiled = compile_one(shape.as_bytes());
        let text = render(&compiled.diagnostics, true);
        assert!(compiled.diagnostics.len() <= 51);
        assert!(text.len() < 200_000, "{}", text.len());
        assert!(begin.elapsed() < Duration::from_secs(20), "{}: {:?}", &shape[..40], begin.elapsed());
    }
}

#[test]
fn variables_cannot_blow_a_file_up() {
    let common = format!("[variables]\nA = \"{}\"\n", "x".repeat(500_000));
    let app = format!("{WEB}env = {{ A = \"{}\" }}\n", "${A}".repeat(200_000));
    let compiled =
        compile(&[file("homeostat.toml", common), file("web.toml", app)], &SampleTree, &Node::default());
    assert!(compiled.diagnostics[0].message.contains("more than 4 MiB"));
}

#[test]
fn variables_of_the_node_win_and_an_escaped_reference_stays() {
    let common = "[variables]\nHOST = \"common\"\nOTHER = \"other\"\n";
    let app = format!("{WEB}env = {{ A = \"${{HOST}}-${{OTHER}}\", B = \"$${{HOST}} $5 $$\" }}\n");
    let node = Node { variables: [("HOST".to_owned(), "node".to_owned())].into() };
    let compiled = compile(&[file("homeostat.toml", common), file("web.toml", app)], &SampleTree, &node);
    assert_eq!(render(&compiled.diagnostics, false), "");
    let env = &compiled.apps["web"].containers["web"].config.env;
    assert_eq!((env["A"].as_str(), env["B"].as_str()), ("node-other", "${HOST} $5 $$"));
}

#[test]
fn a_value_from_a_variable_is_checked_like_any_other() {
    let app = format!("{WEB}ports = [\"${{PORT}}:80\"]\n");
    let node = |port: &str| Node { variables: [("PORT".to_owned(), port.to_owned())].into() };
    assert!(compile(&[file("web.toml", app.clone())], &SampleTree, &node("8080")).diagnostics.is_empty());
    let compiled = compile(&[file("web.toml", app)], &SampleTree, &node("http"));
    assert_eq!(only_message(&compiled), "\"http\" is no port");
}

#[test]
fn defaults_of_the_source_fill_in_what_a_container_leaves_open() {
    let common = "[defaults]\nrestart = \"no\"\nstop = { signal = \"SIGINT\", grace = \"3s\" }\n\
                  log = { max_files = 9 }\nresources = { memory = \"64MiB\", pids = 5 }\n";
    let app = format!("{WEB}stop = {{ grace = \"1s\" }}\nresources = {{ pids = 7 }}\n");
    let compiled =
        compile(&[file("homeostat.toml", common), file("web.toml", app)], &SampleTree, &Node::default());
    let web = &compiled.apps["web"].containers["web"];
    assert_eq!(web.restart, RestartPolicy::No);
    assert_eq!((web.stop.signal.as_deref(), web.stop.grace), (Some("SIGINT"), Duration::from_secs(1)));
    assert_eq!((web.config.log.max_files, web.config.log.max_size), (9, 10 << 20));
    assert_eq!((web.config.resources.memory, web.config.resources.pids), (Some(64 << 20), Some(7)));
}

#[test]
fn an_unused_image_is_a_warning_and_the_app_is_valid() {
    let compiled = compile_one(format!("{WEB}[image.old]\nreference = \"nginx:1.26\"\n"));
    assert_eq!(compiled.diagnostics[0].severity, Severity::Warning);
    assert_eq!((compiled.apps.len(), compiled.broken.len()), (1, 0));
}

#[test]
fn two_files_with_one_name_are_both_wrong() {
    let files = [file("web.toml", WEB), file("web.toml", WEB), file("a/homeostat.toml", WEB)];
    let compiled = compile(&files, &SampleTree, &Node::default());
    assert!(compiled.apps.is_empty());
    assert_eq!(compiled.broken.keys().map(ToString::to_string).collect::<Vec<_>>(), ["homeostat", "web"]);
    let messages: Vec<_> = compiled.diagnostics.iter().map(|one| one.message.as_str()).collect();
    let twice = "the app `web` is also declared in \"web.toml\"";
    assert_eq!(messages, ["no app can be called `homeostat`", twice, twice]);
}

#[test]
fn the_order_of_mounts_ports_and_capabilities_in_a_file_is_no_change() {
    let one = format!(
        "{WEB}ports = [\"1:1\", \"2:2\"]\nvolumes = [\"/a:/a\", \"/a/b:/a/b\"]\ncap_add = [\"KILL\", \"BPF\"]\n"
    );
    let other = format!(
        "{WEB}ports = [\"2:2\", \"1:1\"]\nvolumes = [\"/a/b:/a/b\", \"/a:/a\"]\ncap_add = [\"CAP_BPF\", \"KILL\", \"BPF\"]\n"
    );
    let (one, other) = (compile_one(one), compile_one(other));
    assert_eq!(one, other);
    let mounts = &one.apps["web"].containers["web"].config.mounts;
    assert_eq!(mounts[0].source, MountSource::Host("/a".to_owned()));
}

#[test]
fn control_characters_never_reach_a_terminal() {
    let compiled = compile_one("\u{1b}[2J = \"\u{9b}\u{202e}\"\n\"\\u001b[31m\" = 1\n");
    let text = render(&compiled.diagnostics, false);
    assert!(!text.is_empty() && !text.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{text:?}");
}

#[test]
fn a_diagnostic_is_one_line_for_logs_and_many_for_people() {
    let compiled = compile_one("[container.web]\nimgae = \"nginx:1.27\"\nimage = \"nginx:1.27\"\n");
    assert!(compiled.has_errors());
    let text = compiled.diagnostics[0].to_string();
    assert_eq!(text, "web.toml:2:1: unknown key `imgae` in [container.web]: did you mean `image`?");
    assert_eq!(render(&compiled.diagnostics, false).lines().count(), 7);
}

#[test]
fn a_listing_has_its_specs_in_the_root() {
    let listing =
        ["web.toml", ".web.toml", ".#web.toml", "a/web.toml", "web.tom", ".toml", "toml", "homeostat.toml"];
    let specs: Vec<_> = listing.into_iter().filter(|path| is_spec_path(path)).collect();
    assert_eq!(specs, ["web.toml", "homeostat.toml"]);
}

#[test]
fn a_source_says_what_is_pruned() {
    let text = r#"
        [prune]
        interval = "12h"

        [prune.images]
        older_than = "168h"
        filter = ["label!=org.example.keep", "reference=ghcr.io/acme/*"]

        [prune.disk]
        start = "90%"

        [prune.logs]
    "#;
    let compiled = compile(&[file("homeostat.toml", text)], &SampleTree, &Node::default());
    assert_eq!(compiled.diagnostics, []);
    let keep = LabelMatch { key: "org.example.keep".to_owned(), value: None };
    let filter = vec![PruneFilter::NoLabel(keep), PruneFilter::Name("ghcr.io/acme/*".to_owned())];
    let week = Duration::from_hours(168);
    let expected = PrunePolicy {
        interval: Some(Duration::from_hours(12)),
        rules: [
            (PruneKind::Image, PruneRule { older_than: Some(week), filter: Some(filter) }),
            (PruneKind::Log, PruneRule::default()),
        ]
        .into(),
        disk: DiskRule { start: Some(90), stop: None },
    };
    let stored = serde_json::to_string(&expected).unwrap();
    assert_eq!(serde_json::from_str::<PrunePolicy>(&stored).unwrap(), expected, "the store keeps it as JSON");
    assert_eq!(compiled.prune, Some(expected));
}

#[test]
fn a_source_without_a_word_about_pruning_prunes_nothing_and_a_broken_one_says_nothing() {
    let prune = |text: &str| compile(&[file("homeostat.toml", text)], &SampleTree, &Node::default()).prune;
    assert_eq!(compile(&[], &SampleTree, &Node::default()).prune, Some(PrunePolicy::default()));
    assert_eq!(prune("[variables]\nA = \"a\"\n"), Some(PrunePolicy::default()));
    assert_eq!(prune("[prune]\nothers = true\n"), None);
}

#[test]
fn the_configuration_of_a_host_can_let_prunes_take_what_others_made() {
    let read = |text: &str| toml::from_str::<HostPrune>(text).map_err(|error| error.to_string());
    let host = read("others = true\n[images]\nolder_than = \"1h\"\n").unwrap();
    assert!(host.others);
    assert_eq!(host.policy.rules[&PruneKind::Image], PruneRule::older_than(Duration::from_hours(1)));
    assert_eq!(read("").unwrap(), HostPrune::default());
    let error = read("[images]\nolder_than = \"7d\"\n").unwrap_err();
    assert!(error.contains("line 2") && error.contains("7d"), "{error}");
    assert!(read("[image]\n").is_err());
}
