//! Secrets, agents and memory: what a command sees while it runs, and nobody afterwards.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Mutex;

use fs_err as fs;
use homeostat_build::{Cancel, RunError, RunStep, StepRunner, Stream, build};
use homeostat_reconciler::ports::Secret;

use crate::support::{Chroot, Host};

const PLANTED: &str = "correct-horse-battery-staple";

/// Says what is mounted and which variables there are, and then runs the command.
#[derive(Default)]
struct Looking {
    seen: Mutex<Vec<String>>,
}

impl StepRunner for Looking {
    fn run(
        &self,
        step: &RunStep,
        cancel: &Cancel,
        output: &mut dyn FnMut(Stream, &str),
    ) -> Result<i32, RunError> {
        let mut seen = self.seen.lock().unwrap();
        for mount in &step.mounts {
            let found = fs::metadata(&mount.source)?;
            let content = fs::read_to_string(&mount.source).unwrap_or_default();
            let (mode, uid, gid) = (found.permissions().mode() & 0o7777, found.uid(), found.gid());
            seen.push(format!("{} {mode:o} {uid}:{gid} {content}", mount.target));
            if mount.target.contains("ssh_agent") {
                UnixStream::connect(&mount.source)?;
            }
        }
        for (name, secret) in &step.secrets {
            seen.push(format!("{name}={}", String::from_utf8_lossy(secret.bytes())));
        }
        seen.extend(step.env.iter().filter(|line| line.starts_with("SSH_AUTH_SOCK=")).cloned());
        // As a careless command does.
        output(Stream::Stdout, &format!("it is {PLANTED}"));
        assert!(!format!("{step:?}").contains(PLANTED));
        Chroot.run(step, cancel, output)
    }
}

fn host() -> Host {
    let mut host = Host::with_base();
    host.options.secrets.insert("token".into(), Secret::new(PLANTED.into()));
    host
}

fn run(host: &Host, file: &str) -> Vec<String> {
    host.write("Dockerfile", file);
    let looking = Looking::default();
    build(&host.store, &host.options, &looking, &host.web, &host.log, &host.cancel).unwrap();
    host.assert_no_leftovers();
    looking.seen.into_inner().unwrap()
}

/// Whether a file beneath the directory has the text in it or in its name.
fn holds(directory: &Path, text: &str) -> bool {
    fs::read_dir(directory).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        let named = path.to_string_lossy().contains(text);
        named
            || match path.symlink_metadata().unwrap().file_type() {
                kind if kind.is_dir() => holds(&path, text),
                kind if kind.is_file() => {
                    let content = fs::read(&path).unwrap();
                    content.windows(text.len()).any(|bytes| bytes == text.as_bytes())
                }
                _ => false,
            }
    })
}

#[test]
fn a_secret_is_seen_by_its_command_and_by_nothing_else() {
    let mut host = host();
    let file = "FROM base\n\
        RUN --mount=type=secret,id=token --mount=type=secret,id=token,target=/t,mode=0440,uid=3,gid=4 \
        --mount=type=secret,id=token,env=TOKEN --mount=type=secret,id=missing touch /made\n";
    let seen = run(&host, file);
    let expected = [
        format!("/run/secrets/token 400 0:0 {PLANTED}"),
        format!("/t 440 3:4 {PLANTED}"),
        format!("TOKEN={PLANTED}"),
    ];
    assert_eq!(seen, expected);
    assert!(!holds(host.store.directory(), PLANTED));
    let told = host.log.take();
    assert!(told.contains(&"2: Stdout: it is ***".to_owned()), "{told:?}");
    // Another secret is no reason to run the step again.
    host.options.secrets.insert("token".into(), Secret::new(b"another".to_vec()));
    assert_eq!(run(&host, file), Vec::<String>::new());
}

#[test]
fn what_a_failed_command_printed_is_told_without_the_secret() {
    let host = host();
    let (text, _) = host
        .failure(&format!("FROM base\nRUN --mount=type=secret,id=token echo x {PLANTED} | cat; exit 1\n"));
    // The text of the Dockerfile is no secret; the output is looked through.
    assert!(text.ends_with("it printed last:\nx ***"), "{text}");
    let (text, _) = host.failure("FROM base\nRUN --mount=type=secret,id=none,required true\n");
    assert!(text.ends_with("the secret `none` is required and was not given"), "{text}");
}

#[test]
fn an_agent_is_reached_through_a_socket_of_the_commands_own() {
    let mut host = host();
    let socket = host.outside("agent");
    let agent = UnixListener::bind(&socket).unwrap();
    host.options.ssh.insert("default".into(), socket);
    let seen = run(&host, "FROM base\nRUN --mount=type=ssh,uid=33 touch /made\n");
    assert_eq!(seen, ["/run/buildkit/ssh_agent.0 600 33:0 ", "SSH_AUTH_SOCK=/run/buildkit/ssh_agent.0"]);
    // The connection that was made there has come here.
    agent.accept().unwrap();
}

#[test]
fn memory_has_the_size_that_is_asked_for() {
    let host = host();
    let seen = run(&host, "FROM base\nRUN --mount=type=tmpfs,target=/t,size=1m touch /made\n");
    assert_eq!(seen, ["/t 1777 0:0 "]);
}
