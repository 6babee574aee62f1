//! What holds for every input.

mod support;

use homeostat_spec::{Compiled, Diagnostic, Node, Position, Severity, compile, render};
use proptest::prelude::*;
use support::{SampleTree, file};

const EVERY_KEY: &str = include_str!("valid/every-key.toml");
const SHOP_FRONT: &str = include_str!("valid/shop-front.toml");

fn compile_two(web: &[u8], common: &[u8]) -> Compiled {
    compile(&[file("web.toml", web), file("homeostat.toml", common)], &SampleTree, &Node::default())
}

/// Every file is either an app or held, never both; errors keep an app out; the result is the same again.
fn check(web: &[u8], common: &[u8]) {
    let compiled = compile_two(web, common);
    assert_eq!(compiled, compile_two(web, common));
    assert_eq!(compiled.apps.contains_key("web"), !compiled.broken.contains_key("web"));
    let errors = compiled.diagnostics.iter().filter(|one| one.severity == Severity::Error).count();
    assert_eq!(errors == 0, compiled.broken.is_empty());
    let _ = render(&compiled.diagnostics, true);
    for position in compiled.diagnostics.iter().filter_map(|one| one.position.as_ref()) {
        assert!(position.line > 0 && position.column > 0 && position.length > 0);
    }
}

/// Lines of a spec that are right alone and often wrong together.
fn line() -> impl Strategy<Value = String> {
    let lines: Vec<&'static str> = EVERY_KEY.lines().chain(SHOP_FRONT.lines()).collect();
    prop_oneof![
        8 => proptest::sample::select(lines).prop_map(str::to_owned),
        1 => "[a-z_]{1,8} = [\\[{\"0-9a-z:/.$]{0,12}",
        1 => "\\PC{0,20}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_give_a_result(web in proptest::collection::vec(any::<u8>(), 0..300), common in "\\PC{0,80}") {
        check(&web, common.as_bytes());
    }

    #[test]
    fn a_valid_spec_with_bytes_changed_gives_a_result(
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<proptest::sample::Index>(),
    ) {
        let mut bytes = EVERY_KEY.as_bytes().to_vec();
        for (index, byte) in changes {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        check(&bytes, b"[variables]\nSITE = \"attic\"\n");
        bytes.truncate(cut.index(bytes.len()));
        check(&bytes, b"[variables]\nSITE = \"attic\"\n");
    }

    #[test]
    fn lines_of_valid_specs_in_any_order_give_a_result(lines in proptest::collection::vec(line(), 0..30)) {
        let text = lines.join("\n");
        check(text.as_bytes(), b"");
        check(SHOP_FRONT.as_bytes(), text.as_bytes());
    }

    #[test]
    fn one_bad_file_leaves_the_others_as_they_are(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let alone = compile(&[file("shop.toml", SHOP_FRONT)], &SampleTree, &Node::default());
        let files = [file("bad.toml", bytes), file("shop.toml", SHOP_FRONT)];
        let both = compile(&files, &SampleTree, &Node::default());
        prop_assert_eq!(&alone.apps["shop"], &both.apps["shop"]);
    }

    #[test]
    fn any_diagnostic_can_be_printed(
        file in "\\PC{0,20}", text in any::<String>(), message in any::<String>(), hint in any::<Option<String>>(),
        line in 1usize..2_000_000, column in 1usize..500, length in 1usize..500, color in any::<bool>(),
    ) {
        let position = Some(Position { line, column, length, text });
        let _ = render(&[Diagnostic { file, position, severity: Severity::Error, message, hint }], color);
    }
}
