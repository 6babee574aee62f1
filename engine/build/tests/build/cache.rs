use std::os::unix::fs::PermissionsExt as _;

use fs_err as fs;

use homeostat_reconciler::ErrorKind;

use crate::support::Host;

const FILE: &str =
    "FROM base\nARG A=1\nENV B=1\nCOPY site /site\nRUN cat /site/index > /copy\nWORKDIR /w\nCMD [\"x\"]\n";

#[test]
fn a_build_that_is_all_cached_gives_the_same_image() {
    let host = Host::with_base();
    host.write("site/index", "1");
    let first = host.build(FILE).unwrap();
    host.log.take();
    let second = host.build(FILE).unwrap();
    assert_eq!(first.id, second.id);
    assert_eq!((second.steps, second.cached), (7, 7));
    assert!(!host.log.take().iter().any(|line| line.contains(": Std")));
}

/// How many of the seven steps the cache knows after a change.
fn cached_after(change: impl FnOnce(&mut Host) -> String) -> usize {
    let mut host = Host::with_base();
    // So that a command that does the same makes the same layer.
    host.options.args.insert("SOURCE_DATE_EPOCH".to_owned(), "0".to_owned());
    host.write("site/index", "1");
    host.build(FILE).unwrap();
    let file = change(&mut host);
    host.build(&file).unwrap().cached
}

#[test]
fn times_and_files_that_are_not_copied_are_no_matter() {
    assert_eq!(
        cached_after(|host| {
            host.write("other", "x");
            host.write("site/index", "1");
            FILE.to_owned()
        }),
        7
    );
}

#[test]
fn changed_content_names_or_modes_run_the_copy_and_what_follows() {
    let by_content = cached_after(|host| {
        host.write("site/index", "2");
        FILE.to_owned()
    });
    let by_name = cached_after(|host| {
        host.write("site/more", "");
        FILE.to_owned()
    });
    let by_mode = cached_after(|host| {
        let path = host.options.context.join("site/index");
        fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        FILE.to_owned()
    });
    assert_eq!((by_content, by_name, by_mode), (3, 3, 3));
}

#[test]
fn a_command_depends_on_arguments_variables_user_and_directory() {
    let argument = cached_after(|host| {
        host.options.args.insert("A".into(), "2".into());
        FILE.to_owned()
    });
    // FROM, ARG, ENV and COPY are known; RUN makes the same layer again, so that what follows is known too.
    assert_eq!(argument, 6);
    assert_eq!(cached_after(|_| FILE.replace("ENV B=1", "ENV B=2")), 5);
    assert_eq!(cached_after(|_| FILE.replace("RUN", "USER 1\nUSER 0\nRUN")), 6);
}

#[test]
fn ignoring_the_cache_runs_everything() {
    let mut host = Host::with_base();
    host.write("site/index", "1");
    host.build(FILE).unwrap();
    host.options.no_cache = true;
    assert_eq!(host.build(FILE).unwrap().cached, 1);
}

#[test]
fn a_time_that_is_none_is_refused() {
    let mut host = Host::with_base();
    host.options.args.insert("SOURCE_DATE_EPOCH".to_owned(), "yesterday".to_owned());
    let error = host.build("FROM scratch\nENV A=1\n").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::User);
    assert!(error.to_string().contains("yesterday"), "{error}");
}

#[test]
fn a_given_time_makes_images_reproducible_without_the_cache() {
    let mut host = Host::with_base();
    host.options.args.insert("SOURCE_DATE_EPOCH".to_owned(), "0".to_owned());
    host.options.no_cache = true;
    host.write("site/index", "1");
    let file = "FROM scratch\nCOPY site/index /new/index\nWORKDIR /w/x\nCMD [\"x\"]\n";
    let first = host.build(file).unwrap();
    let path = host.options.context.join("site/index");
    fs::File::options()
        .write(true)
        .open(path)
        .unwrap()
        .file()
        .set_modified(std::time::SystemTime::now())
        .unwrap();
    assert_eq!(first.id, host.build(file).unwrap().id);
    assert_eq!(host.image().config.created().as_deref(), Some("1970-01-01T00:00:00Z"));
}

/// Why the cache does not know steps after a change.
fn missed_after(change: impl FnOnce(&mut Host) -> String) -> Vec<String> {
    let mut host = Host::with_base();
    host.write("site/index", "1");
    host.write("site/more/page", "1");
    host.build(FILE).unwrap();
    host.log.take();
    let file = change(&mut host);
    host.build(&file).unwrap();
    host.log.take().into_iter().filter(|line| line.contains(": missed: ")).collect()
}

#[test]
fn a_miss_says_what_has_changed() {
    let changed = missed_after(|host| {
        host.write("site/more/page", "2");
        FILE.to_owned()
    });
    assert_eq!(changed[0], "4: missed: context file site/more/page changed");
    assert_eq!(changed[1], "5: missed: an earlier step changed");
    let added = missed_after(|host| {
        host.write("site/new", "");
        host.write("site/other", "");
        FILE.to_owned()
    });
    assert_eq!(added[0], "4: missed: context file site/new is new, and 1 more");
    let removed = missed_after(|host| {
        fs::remove_file(host.options.context.join("site/more/page")).unwrap();
        FILE.to_owned()
    });
    assert_eq!(removed[0], "4: missed: context file site/more/page is gone");
    let argument = missed_after(|host| {
        host.options.args.insert("A".into(), "2".into());
        host.options.reference = "result:another-tag".into();
        FILE.to_owned()
    });
    assert_eq!(argument[0], "5: missed: build argument A changed");
    let written =
        missed_after(|_| FILE.replace("RUN cat /site/index > /copy", "RUN cat /site/index > /other"));
    assert_eq!(written[0], "5: missed: instruction changed");
    let inserted = missed_after(|_| FILE.replace("WORKDIR", "RUN echo new > /new\nWORKDIR"));
    assert_eq!(inserted[0], "6: missed: new instruction");
    let uncached = missed_after(|host| {
        host.options.no_cache = true;
        FILE.to_owned()
    });
    assert_eq!((uncached.len(), &*uncached[0]), (6, "2: missed: the cache is not used"));
}

#[test]
fn another_base_and_a_failure_before_are_told_apart() {
    let host = Host::with_base();
    let built_on = |base: &str| host.build(&format!("FROM {base} AS one\nRUN echo a > /a\n"));
    built_on("base").unwrap();
    host.log.take();
    host.build("FROM base AS zero\nRUN echo x > /x\nFROM zero AS one\nRUN echo a > /a\n").unwrap();
    assert_eq!(host.log.take().last().unwrap(), "4: missed: base changed");
    host.build("FROM base\nRUN echo b > /b\nRUN exit 1\n").unwrap_err();
    host.log.take();
    host.build("FROM base\nRUN echo b > /b\nRUN true\n").unwrap();
    assert_eq!(host.log.take().last().unwrap(), "3: missed: new instruction");
}
