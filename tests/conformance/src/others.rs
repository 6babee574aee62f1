//! Somebody else who uses the same engine, and knows nothing of homeostat.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Somebody else, with Docker's own client.
#[derive(Debug)]
pub struct Others {
    socket: PathBuf,
}

impl Others {
    /// One who uses the engine that listens on a socket.
    pub fn at(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// Runs Docker's client, and gives what it says.
    pub fn docker(&self, arguments: &[&str]) -> String {
        let host = format!("unix://{}", self.socket.display());
        let output = Command::new("docker").arg("--host").arg(host).args(arguments).output().unwrap();
        text(&output).trim().to_owned()
    }

    /// Makes an image of one layer from the files in a directory.
    pub(crate) fn import(&self, directory: &Path, label: &str, reference: &str) {
        let archive = directory.with_extension("tar");
        fs_err::write(&archive, tar(directory)).unwrap();
        let change = format!("LABEL {label}");
        self.docker(&["import", "--change", &change, archive.to_str().unwrap(), reference]);
    }

    /// Builds an image of a context with BuildKit, and says whether the engine has that.
    pub(crate) fn build(&self, context: &Path, reference: &str) -> bool {
        let body = tar(context);
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        write!(
            stream,
            "POST /build?version=2&t={reference} HTTP/1.1\r\nHost: engine\r\nConnection: close\r\n\
             Content-Type: application/x-tar\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .unwrap();
        stream.write_all(&body).unwrap();
        let mut answer = Vec::new();
        // Podman may break the connection off.
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        assert!(!answer.contains("errorDetail"), "{answer}");
        // What it tells of itself has this name.
        answer.contains("moby.buildkit")
    }
}

fn tar(directory: &Path) -> Vec<u8> {
    let output = Command::new("tar").arg("-C").arg(directory).args(["-c", "."]).output().unwrap();
    text(&output);
    output.stdout
}

fn text(output: &Output) -> String {
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
