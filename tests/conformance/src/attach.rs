//! Those who are connected to containers, and to commands in them.

use futures::{SinkExt as _, StreamExt as _};
use homeostat_reconciler::ResourceKey;
use homeostat_reconciler::ports::{
    AttachEnd, AttachInput, AttachOutput, AttachRequest, Attachment, ContainerRequest, Engine,
    ExecAttachRequest, TerminalSize,
};
use homeostat_spec::ContainerConfig;

use crate::world::{expect, observe, wait_exited};
use crate::{PATIENCE, World, create, run, shell};

const SIZE: TerminalSize = TerminalSize { rows: 31, columns: 97 };

fn command(script: &str) -> ExecAttachRequest {
    let command = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
    ExecAttachRequest { command, stdin: true, ..ExecAttachRequest::default() }
}

fn foreground() -> AttachRequest {
    AttachRequest { stdin: true, foreground: true, size: None }
}

fn open(script: &str) -> ContainerConfig {
    ContainerConfig { stdin_open: true, ..shell(script) }
}

/// Creates a container that is to be run in the foreground.
async fn attended(engine: &dyn Engine, world: &World, name: &str, config: ContainerConfig) -> ResourceKey {
    let key = crate::world::key(name);
    let request = ContainerRequest { attended: true, ..world.request(&key, &world.base, config) };
    expect(engine.create_container(&request).await);
    key
}

async fn send(attachment: &mut Attachment, input: AttachInput) {
    expect(attachment.input.send(input).await);
}

async fn type_in(attachment: &mut Attachment, text: &'static str) {
    send(attachment, AttachInput::Stdin(text.into())).await;
}

/// What came until a text came on stdout, or until the end.
async fn hear(attachment: &mut Attachment, until: Option<&str>) -> (String, String, Option<AttachEnd>) {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    loop {
        let next = tokio::time::timeout(PATIENCE, attachment.output.next()).await;
        match next.unwrap_or_else(|_| panic!("nothing comes after {:?}", text(&stdout))) {
            Some(Ok(AttachOutput::Stdout(bytes))) => stdout.extend_from_slice(&bytes),
            Some(Ok(AttachOutput::Stderr(bytes))) => stderr.extend_from_slice(&bytes),
            Some(Ok(AttachOutput::End(end))) => return (text(&stdout), text(&stderr), Some(end)),
            other => panic!("{other:?} after {:?}", text(&stdout)),
        }
        if until.is_some_and(|until| text(&stdout).contains(until)) {
            return (text(&stdout), text(&stderr), None);
        }
    }
}

async fn code(attachment: &mut Attachment) -> Option<i32> {
    hear(attachment, None).await.2.and_then(|end| end.code)
}

async fn exec(engine: &dyn Engine, key: &ResourceKey, request: &ExecAttachRequest) -> Attachment {
    expect(engine.exec_attached(key, request).await)
}

/// A command has its own user, variables and directory, reads what is sent, and gives its code.
pub async fn a_command_is_run_for_somebody_who_is_there(engine: &dyn Engine, world: &World) {
    let key = run(engine, world, "host", shell("sleep infinity")).await;
    let request = ExecAttachRequest {
        user: Some("worker".to_owned()),
        env: [("COLOUR".to_owned(), "red".to_owned())].into(),
        working_dir: Some("/www".to_owned()),
        ..command("cat; echo $COLOUR $(id -u) $(pwd); echo err >&2; exit 7")
    };
    let mut attachment = exec(engine, &key, &request).await;
    type_in(&mut attachment, "sent\n").await;
    send(&mut attachment, AttachInput::EndOfStdin).await;
    let (stdout, stderr, end) = hear(&mut attachment, None).await;
    assert_eq!((stdout.as_str(), stderr.as_str()), ("sent\nred 1000 /www\n", "err\n"));
    assert_eq!(end.and_then(|end| end.code), Some(7));
    let mut killed = exec(engine, &key, &command("kill -9 $$")).await;
    assert_eq!(code(&mut killed).await, Some(137));
}

/// What cannot be run has the code that a shell gives.
pub async fn a_command_that_cannot_be_run_has_its_code(engine: &dyn Engine, world: &World) {
    let key = run(engine, world, "host", shell("sleep infinity")).await;
    for (program, expected) in [("no-such-program", 127), ("/etc/passwd", 126)] {
        let request = ExecAttachRequest { command: vec![program.to_owned()], ..ExecAttachRequest::default() };
        let mut attachment = exec(engine, &key, &request).await;
        assert_eq!(code(&mut attachment).await, Some(expected), "{program}");
    }
    let idle = create(engine, world, "idle", shell("sleep infinity")).await;
    engine.exec_attached(&idle, &command("true")).await.unwrap_err();
}

/// A terminal has the size of the window, follows it, and turns a key into a signal.
pub async fn a_command_has_a_terminal_with_the_size_of_the_window(engine: &dyn Engine, world: &World) {
    let key = run(engine, world, "host", shell("sleep infinity")).await;
    let script =
        "trap 'busybox stty size; exit 3' INT; busybox stty size; echo ready; while :; do usleep 10000; done";
    let request = ExecAttachRequest { terminal: Some(SIZE), ..command(script) };
    let mut attachment = exec(engine, &key, &request).await;
    assert!(attachment.terminal);
    let (begun, _, _) = hear(&mut attachment, Some("ready\r\n")).await;
    assert_eq!(begun, "31 97\r\nready\r\n");
    send(&mut attachment, AttachInput::Resize(TerminalSize { rows: 5, columns: 60 })).await;
    type_in(&mut attachment, "\u{3}").await;
    let (rest, _, end) = hear(&mut attachment, None).await;
    assert!(rest.contains("5 60\r\n"), "{rest}");
    assert_eq!(end.and_then(|end| end.code), Some(3));
}

/// Megabytes go both ways at once.
pub async fn a_command_takes_as_much_as_it_gives(engine: &dyn Engine, world: &World) {
    const PIECE: usize = 1 << 20;
    let key = run(engine, world, "host", shell("sleep infinity")).await;
    let request = ExecAttachRequest { command: vec!["cat".to_owned()], ..command("") };
    let Attachment { mut input, mut output, .. } = exec(engine, &key, &request).await;
    let sending = async {
        for _ in 0..8 {
            expect(input.send(AttachInput::Stdin(vec![0xff; PIECE].into())).await);
        }
        expect(input.send(AttachInput::EndOfStdin).await);
        input
    };
    let taking = async {
        let mut taken = 0;
        loop {
            match output.next().await {
                Some(Ok(AttachOutput::Stdout(bytes))) => taken += bytes.len(),
                Some(Ok(AttachOutput::End(end))) => return (taken, end.code),
                other => panic!("{other:?} after {taken} bytes"),
            }
        }
    };
    let both = async { futures::join!(sending, taking).1 };
    let taken = tokio::time::timeout(PATIENCE, both).await.expect("both directions go on");
    assert_eq!(taken, (8 * PIECE, Some(0)));
}

/// A command ends with whoever it was run for, and not when one leaves it.
pub async fn a_command_ends_with_whoever_it_is_for(engine: &dyn Engine, world: &World) {
    let key = run(engine, world, "host", shell("sleep infinity")).await;
    for terminal in [None, Some(SIZE)] {
        let request = ExecAttachRequest { terminal, ..command("echo ready; exec sleep 987654") };
        let mut attachment = exec(engine, &key, &request).await;
        hear(&mut attachment, Some("ready")).await;
        drop(attachment);
        let gone = "while pgrep -f 'sleep 98765[4]' > /dev/null; do usleep 10000; done";
        let mut waiting = exec(engine, &key, &command(gone)).await;
        assert_eq!(code(&mut waiting).await, Some(0));
        let script = "echo ready; until [ -e /tmp/go ]; do usleep 10000; done; rm /tmp/go; echo > /tmp/done";
        let request = ExecAttachRequest { terminal, ..command(script) };
        let mut attachment = exec(engine, &key, &request).await;
        hear(&mut attachment, Some("ready")).await;
        send(&mut attachment, AttachInput::Detach).await;
        assert!(attachment.output.next().await.is_none());
        drop(attachment);
        let script = "echo > /tmp/go; until [ -e /tmp/done ]; do usleep 10000; done; rm /tmp/done";
        let mut waiting = exec(engine, &key, &command(script)).await;
        assert_eq!(code(&mut waiting).await, Some(0));
    }
}

/// A command that nobody is connected to is begun, or says that it cannot be.
pub async fn a_command_runs_alone(engine: &dyn Engine, world: &World) {
    let key = run(engine, world, "host", shell("sleep infinity")).await;
    let request = command("seq 1 100000; echo > /tmp/done");
    assert_eq!(expect(engine.exec_detached(&key, &request).await), None);
    let mut waiting = exec(engine, &key, &command("until [ -e /tmp/done ]; do usleep 10000; done")).await;
    assert_eq!(code(&mut waiting).await, Some(0));
    let request = ExecAttachRequest { command: vec!["no-such-program".to_owned()], ..command("") };
    let refused = expect(engine.exec_detached(&key, &request).await);
    assert_eq!(refused.and_then(|end| end.code), Some(127));
}

/// Who is there from the start misses nothing, and hears the end; then the container can be started again.
pub async fn a_container_runs_in_the_foreground(engine: &dyn Engine, world: &World) {
    let key = attended(engine, world, "front", open("md5sum; seq 1 50000; echo err >&2; exit 9")).await;
    for _ in 0..2 {
        let mut attachment = expect(engine.start_attached(&key, &foreground()).await);
        type_in(&mut attachment, "hello").await;
        send(&mut attachment, AttachInput::EndOfStdin).await;
        let (stdout, stderr, end) = hear(&mut attachment, None).await;
        assert!(stdout.starts_with("5d41402abc4b2a76b9719d911017c592  -\n1\n"), "{stdout:.80}");
        assert_eq!((stdout.lines().count(), stderr.as_str()), (50_001, "err\n"));
        assert_eq!(end.and_then(|end| end.code), Some(9));
        wait_exited(engine, &key).await;
    }
    expect(engine.remove_container(&key).await);
    let absent = crate::world::key("absent");
    engine.start_attached(&absent, &foreground()).await.unwrap_err();
}

/// Several hear the same; what one sends the program reads; and one who leaves takes nothing away.
pub async fn several_are_attached_to_a_container(engine: &dyn Engine, world: &World) {
    let key = run(engine, world, "host", open("while read line; do echo got $line; done; exit 4")).await;
    let with_input = AttachRequest { stdin: true, ..AttachRequest::default() };
    let mut one = expect(engine.attach(&key, &with_input).await);
    let mut other = expect(engine.attach(&key, &AttachRequest::default()).await);
    type_in(&mut one, "first\n").await;
    for attachment in [&mut one, &mut other] {
        assert_eq!(hear(attachment, Some("got first\n")).await.0, "got first\n");
    }
    send(&mut one, AttachInput::Detach).await;
    drop(one);
    let mut third = expect(engine.attach(&key, &with_input).await);
    // Whether it is taken, the answer says.
    let _ = third.input.send(AttachInput::Stdin("second\n".into())).await;
    let (heard, _, ended) = hear(&mut other, Some("second\n")).await;
    expect(engine.stop_container(&key, Some("KILL"), PATIENCE).await);
    let code = if let Some(end) = ended { end.code } else { code(&mut other).await };
    assert_eq!((heard.as_str(), code), ("got second\n", Some(137)));
}

/// A container with a terminal.
pub async fn a_container_has_a_terminal(engine: &dyn Engine, world: &World) {
    let config =
        ContainerConfig { tty: true, ..open("busybox stty size; tty; read line; echo got $line; exit 2") };
    let key = attended(engine, world, "host", config.clone()).await;
    let request = AttachRequest { size: Some(SIZE), ..foreground() };
    let mut attachment = expect(engine.start_attached(&key, &request).await);
    assert!(attachment.terminal);
    type_in(&mut attachment, "typed\r").await;
    let (stdout, stderr, end) = hear(&mut attachment, None).await;
    // What is typed is shown wherever it comes in between.
    for part in ["31 97\r\n", "/dev/", "got typed\r\n"] {
        assert!(stdout.contains(part), "{part:?}: {stdout}");
    }
    assert_eq!((stderr.as_str(), end.and_then(|end| end.code)), ("", Some(2)));
    assert_eq!(observe(engine, &key).await.config, config);
}
