//! Whether a daemon answers.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long a daemon may take until it answers. It takes half a second on a quiet machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// Where a daemon listens.
#[derive(Debug)]
pub(crate) enum Endpoint {
    /// An engine, on a socket.
    Engine(PathBuf),
    /// A registry, on a port. Whether it speaks TLS, and what it asks for, does not matter here.
    Registry(SocketAddr),
}

impl Endpoint {
    /// Waits until the daemon answers.
    pub(crate) fn wait(&self) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.ping() {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() >= deadline => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    fn ping(&self) -> Result<(), String> {
        let (answer, expected) = match self {
            Self::Engine(socket) => {
                (UnixStream::connect(socket).and_then(|it| get(it, "/_ping")), "HTTP/1.1 200")
            }
            Self::Registry(address) => {
                (TcpStream::connect(address).and_then(|it| get(it, "/v2/")), "HTTP/1.")
            }
        };
        let answer = answer.map_err(|error| error.to_string())?;
        if answer.starts_with(expected) { Ok(()) } else { Err(answer) }
    }
}

fn get(mut stream: impl Read + Write + Patient, path: &str) -> io::Result<String> {
    stream.be_patient()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: daemon\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// A stream whose end is waited for so long and no longer.
trait Patient {
    fn be_patient(&self) -> io::Result<()>;
}

impl Patient for UnixStream {
    fn be_patient(&self) -> io::Result<()> {
        self.set_read_timeout(Some(PATIENCE))
    }
}

impl Patient for TcpStream {
    fn be_patient(&self) -> io::Result<()> {
        self.set_read_timeout(Some(PATIENCE))
    }
}
