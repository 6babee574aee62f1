//! One who is attached.

use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Stdio};

use homeostat_attach::{Decoder, Frame};
use homeostat_monitor::{ExecMode, ExecRequest, Process};
use homeostat_reconciler::ports::{AttachEnd, AttachInput, AttachOutput, AttachRequest};

use super::{Container, PATIENCE, monitor};

pub struct Attached {
    pub socket: UnixStream,
    decoder: Decoder,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Attached {
    pub fn over(socket: UnixStream) -> Self {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, decoder: Decoder::default(), stdout: Vec::new(), stderr: Vec::new() }
    }

    /// Attaches to a container that runs.
    pub fn to(container: &Container, request: AttachRequest) -> Self {
        let directory = fs_err::File::open(container.directory()).unwrap();
        let path = format!("/proc/self/fd/{}/attach.sock", directory.file().as_raw_fd());
        let mut attached = Self::over(UnixStream::connect(Path::new(&path)).unwrap());
        attached.send(&Frame::Request(request));
        assert_eq!(attached.next(), Some(Frame::Ready));
        attached
    }

    /// Starts a container to which one is attached before its program runs.
    pub fn start(container: &mut Container, request: AttachRequest) -> Self {
        let (near, far) = UnixStream::pair().unwrap();
        let mut attached = Self::over(near);
        attached.send(&Frame::Request(request));
        container.start_with(std::os::fd::OwnedFd::from(far)).unwrap();
        attached
    }

    /// Runs a command in a container for one who is attached.
    pub fn exec(container: &Container, process: Process, mode: ExecMode) -> (Self, Child) {
        let (near, far) = UnixStream::pair().unwrap();
        let mut child = monitor()
            .arg("exec")
            .stdin(Stdio::piped())
            .stdout(std::os::fd::OwnedFd::from(far))
            .spawn()
            .unwrap();
        let document = serde_json::to_vec(&exec_request(container, process, mode)).unwrap();
        child.stdin.take().unwrap().write_all(&document).unwrap();
        (Self::over(near), child)
    }

    pub fn send(&mut self, frame: &Frame) {
        self.socket.write_all(&frame.to_bytes()).unwrap();
    }

    pub fn input(&mut self, input: AttachInput) {
        self.send(&Frame::Input(input));
    }

    pub fn type_in(&mut self, text: &str) {
        self.input(AttachInput::Stdin(text.to_owned().into()));
    }

    pub fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.decoder.take().unwrap() {
                return Some(frame);
            }
            let mut chunk = vec![0; 65536];
            match self.socket.read(&mut chunk).unwrap() {
                0 => return None,
                length => self.decoder.push(&chunk[..length]),
            }
        }
    }

    /// Takes one thing that comes; the end if it is that.
    fn take(&mut self) -> Option<AttachEnd> {
        match self.next() {
            Some(Frame::Output(AttachOutput::Stdout(data))) => self.stdout.extend_from_slice(&data),
            Some(Frame::Output(AttachOutput::Stderr(data))) => self.stderr.extend_from_slice(&data),
            Some(Frame::Output(AttachOutput::End(end))) => return Some(end),
            Some(Frame::Ready) => {}
            other => panic!("{other:?} after {:?}", self.text()),
        }
        None
    }

    /// Waits until stdout has this.
    pub fn wait_for(&mut self, text: &str) {
        while !self.text().contains(text) {
            let end = self.take();
            assert_eq!(end, None, "{:?}", self.text());
        }
    }

    /// Takes all that comes, and returns the exit code.
    pub fn code(&mut self) -> i32 {
        self.end().code.unwrap()
    }

    pub fn end(&mut self) -> AttachEnd {
        loop {
            if let Some(end) = self.take() {
                assert_eq!(self.next(), None);
                return end;
            }
        }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

pub fn exec_request(container: &Container, process: Process, mode: ExecMode) -> ExecRequest {
    ExecRequest {
        mode,
        parent: std::process::id(),
        runtime_dir: container.request.runtime_dir.clone(),
        id: container.request.id.clone(),
        process,
        timeout_millis: None,
    }
}
