use std::os::unix::fs::PermissionsExt as _;

use fs_err as fs;

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
    host.options.source_date_epoch = Some(jiff::Timestamp::UNIX_EPOCH);
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
fn a_given_time_makes_images_reproducible_without_the_cache() {
    let mut host = Host::with_base();
    host.options.source_date_epoch = Some(jiff::Timestamp::UNIX_EPOCH);
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
